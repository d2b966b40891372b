"""Whatever `send` is given is taken apart, in order, or refused as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import durable
from durable._sending import Unheard, encode_events


@dataclass
class Order:
    """An order."""

    cents: int


def test_the_envelope_is_handed_on() -> None:
    event = durable.Event("a", {"x": 1}, id="mine", ts=5, v="2", user={"u": 1})
    assert encode_events([event]) == [("a", b'{"x":1}', "mine", 5, "2", b'{"u":1}')]


def test_events_and_lists_of_them_keep_their_order() -> None:
    a, b, c = (durable.Event(name) for name in "abc")
    given: Any = [a, [b, (c,)]]
    assert [one[0] for one in encode_events(given)] == ["a", "b", "c"]


def test_dataclasses_are_data_too() -> None:
    kind = durable.EventType("a", Order)
    assert encode_events([kind(cents=3)])[0][1] == b'{"cents":3}'


@pytest.mark.parametrize("given", ["name", {"name": "a"}, 5, None])
def test_what_is_no_event_is_refused(given: Any) -> None:
    with pytest.raises(durable.EventRefused, match="is no event"):
        encode_events([given])


def test_what_is_an_events_data_or_its_type_is_told_from_an_event() -> None:
    class Model(BaseModel):
        """Can be iterated, and is no batch."""

        cents: int

    told = "is an event's data, and no event: send what an EventType makes of it, as in placed"
    for given in (Model(cents=3), Order(cents=3)):
        for one in (given, [given]):
            with pytest.raises(durable.EventRefused, match=told):
                encode_events([one])  # type: ignore[list-item]  # the mistake
    with pytest.raises(durable.EventRefused, match="call it with the event's data"):
        encode_events([durable.EventType("a")])  # type: ignore[list-item]  # the mistake


def test_what_of_an_event_is_not_json_is_told_with_its_name() -> None:
    event = durable.Event[Any]("a/b", {"at": [object()]})
    with pytest.raises(durable.SerializationError) as caught:
        encode_events([event])
    assert str(caught.value) == (
        "event 'a/b': data.at[0] is a builtins.object, which has no JSON form; give plain data (dict, list, str, "
        "numbers), a pydantic model or a dataclass"
    )
    assert caught.value.path == "data.at[0]"
    with pytest.raises(durable.SerializationError, match=r"^event 'a/b': user\.x is"):
        encode_events([durable.Event("a/b", user={"x": object()})])


def test_data_that_is_no_object_is_refused() -> None:
    with pytest.raises(durable.EventRefused, match="JSON object"):
        encode_events([durable.Event("a", [1])])


def unheard_of(caplog: Any, *names: str) -> list[str]:
    async def handler(ctx: durable.Context) -> None:
        del ctx

    app = durable.App("t")
    app.function("one", on=["heard", "shop/*"])(handler)
    unheard = Unheard(app.functions.values())
    for name in names:
        unheard.look(encode_events([durable.Event(name)]))
    return [record.getMessage() for record in caplog.records]


def test_an_event_that_nobody_listens_to_is_told_once(caplog: Any) -> None:
    caplog.set_level("DEBUG", "durable")
    names = ["lost", "heard", "shop/x", "lost", "shop", "heard/x", "lost"]
    told = unheard_of(caplog, *names)
    assert [text.split("'")[1] for text in told] == ["lost", "shop", "heard/x"]
    assert "no function" in told[0]


def test_many_names_that_nobody_listens_to_are_told_up_to_a_limit(caplog: Any) -> None:
    caplog.set_level("DEBUG", "durable")
    assert len(unheard_of(caplog, *(f"e{n}" for n in range(1100)))) == 1000


def test_what_may_be_meant_for_others_is_told_who_asks_for_it(caplog: Any) -> None:
    caplog.set_level("INFO", "durable")
    assert unheard_of(caplog, "lost") == []


def test_a_name_that_is_nearly_one_that_is_listened_to_is_warned_of(
    caplog: Any,
) -> None:
    caplog.set_level("INFO", "durable")
    [told] = unheard_of(caplog, "herd", "herd", "hoard's", "shared")
    assert told.endswith("it is kept and starts nothing. Did you mean 'heard'?")
    assert caplog.records[0].levelname == "WARNING"


def test_data_that_is_no_json_says_where() -> None:
    with pytest.raises(durable.SerializationError, match=r"data\.lock"):
        encode_events([durable.Event("a", {"lock": object()})])
