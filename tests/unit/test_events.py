"""Events are made of fields or models, checked once, and never change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NotRequired

import orjson
import pytest
from pydantic import (
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from typing_extensions import TypedDict

import durable
from durable._events import is_event, make_event, read_conditions, read_triggers
from durable._setting import Place


class Order(BaseModel):
    """An order."""

    order_id: str
    cents: int = 0


@dataclass
class Line:
    """One thing of it."""

    sku: str


class Row(TypedDict):
    """The same, as a dict."""

    sku: str


@dataclass(slots=True)
class Slot:
    """Has no room for more than it declares."""

    sku: str


class Strict(TypedDict):
    """Says itself what becomes of more."""

    __pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[misc]  # as pydantic reads it

    sku: str


class Basket(TypedDict):
    """With others within."""

    type: str
    rows: list[Row]
    strict: NotRequired[Strict]
    slot: NotRequired[Slot]
    order: NotRequired[Order]
    next: NotRequired[Basket]


order_placed = durable.EventType("shop/order.placed", Order)


def test_a_typed_event_is_made_of_fields_or_of_one_instance() -> None:
    one = order_placed(order_id="o1", cents=5)
    two = order_placed(Order(order_id="o1", cents=5))
    assert one == two
    assert one.data == Order(order_id="o1", cents=5)
    assert one.name == "shop/order.placed"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: order_placed(Order(order_id="o1"), id="o1"),
            "event 'shop/order.placed': id= beside its data would be lost: write event_type.event(data, id='o1')",
        ),
        (
            lambda: order_placed(Order(order_id="o1"), cents=5),
            "event 'shop/order.placed': cents= beside its data would be lost: give the one or the others",
        ),
        (
            lambda: durable.EventType("shop/untyped")({"a": 1}, ts=5),
            "event 'shop/untyped': ts= beside its data would be lost: write event_type.event(data, ts=5)",
        ),
        (
            lambda: order_placed(order_id="o1", id="k"),
            (
                "event 'shop/order.placed': id= is no field of Order, but one of the event's own: write "
                "event_type.event(data, id='k')"
            ),
        ),
        (
            lambda: durable.EventType("shop/line", Line)(sku="a", user={}),
            (
                "event 'shop/line': user= is no field of Line, but one of the event's own: write "
                "event_type.event(data, user={})"
            ),
        ),
        (
            lambda: durable.EventType("shop/row", Row)(sku="a", v="2"),
            "event 'shop/row': v= is no field of Row, but one of the event's own: write event_type.event(data, v='2')",
        ),
    ],
)
def test_no_field_of_the_envelope_is_lost_in_silence(make: Any, told: str) -> None:
    with pytest.raises(durable.UsageError) as caught:
        make()
    assert str(caught.value) == told


def test_fields_that_a_model_has_may_be_named_as_those_of_the_envelope() -> None:
    class Kept(BaseModel):
        """Has a field of this name."""

        id: str

    class Aliased(BaseModel):
        """Takes it under this name."""

        own: str = Field(alias="id")
        other: str = Field("", validation_alias=AliasPath("user", "name"))

    class Open(BaseModel, extra="allow"):
        """Takes all names."""

    class Moved(BaseModel):
        """Reads it before its fields are."""

        own: str

        @model_validator(mode="before")
        @classmethod
        def _move(cls, given: Any) -> Any:
            return {"own": given["id"]}

    assert durable.EventType("a", Kept)(id="k").data.id == "k"
    aliased = durable.EventType("a", Aliased)(id="k", user={"name": "ada"}).data
    assert (aliased.own, aliased.other) == ("k", "ada")
    assert durable.EventType("a", Open)(id="k").data.model_extra == {"id": "k"}
    assert durable.EventType("a", Moved)(id="k").data.own == "k"
    assert durable.EventType("a")(id="k").data == {"id": "k"}


def test_what_a_type_is_called_with_is_checked() -> None:
    made = order_placed({"order_id": "o1"})  # type: ignore[arg-type]
    assert made.data == Order(order_id="o1")
    for wrong in ({"order": "o1"}, Line(sku="a")):
        with pytest.raises(ValidationError):
            order_placed(wrong)  # type: ignore[arg-type]
    line = durable.EventType("shop/line", Line)
    assert line(sku="a").data == Line(sku="a")
    with pytest.raises(ValidationError):
        line(sku=5)
    with pytest.raises(ValidationError):
        durable.EventType("shop/row", Row)(sku=5)


@pytest.mark.parametrize("model", [Order(order_id="o1"), "Order", {"id": str}, [str]])
def test_a_model_is_a_type(model: Any) -> None:
    with pytest.raises(durable.ConfigError, match="and no type itself"):
        durable.EventType("shop/order.placed", model)


@pytest.mark.parametrize("model", [dict[str, int], Order | Line, Any, Row])
def test_every_type_may_be_a_model(model: Any) -> None:
    assert repr(durable.EventType("a", model)).startswith("EventType('a', ")


@pytest.mark.parametrize("ts", [1_763_700_000, 1_763_700_000.5])
def test_a_moment_in_seconds_is_refused(ts: Any) -> None:
    with pytest.raises(durable.EventRefused, match="looks like seconds: give a date"):
        durable.Event("a", ts=ts)
    with pytest.raises(durable.EventRefused, match=r"^event 'shop/order\.placed': ts"):
        order_placed.event(Order(order_id="o1"), ts=ts)
    assert durable.Event("a", ts=1000).ts == 1000  # as clocks of tests begin


def test_an_event_is_no_dict() -> None:
    event: Any = durable.Event("a")
    with pytest.raises(durable.UsageError, match="its fields are attributes"):
        event["data"]


@pytest.mark.parametrize("text", ["@daily", "@dayly", "0 9 * * *", "*/5 * * * 1-5"])
def test_a_cron_is_no_event(text: str) -> None:
    for given in (text, durable.On(text)):
        with pytest.raises(durable.ConfigError, match="is a moment, and no event"):
            read_triggers(Place("f", "on"), given)


@pytest.mark.parametrize("name", ["@shop/daily", "a b c d e", "0", "shop/5 * * * *"])
def test_odd_names_are_names(name: str) -> None:
    if "*" in name:
        with pytest.raises(durable.ConfigError, match="cannot stand here"):
            read_triggers(Place("f", "on"), name)
    else:
        assert read_triggers(Place("f", "on"), name) == {name: None}


def test_fields_that_do_not_fit_are_refused_where_the_event_is_made() -> None:
    with pytest.raises(ValidationError):
        order_placed(cents="many")


def test_the_envelope_is_set_beside_the_data() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    event = order_placed.event(Order(order_id="o1"), id="mine", ts=at, v="2")
    assert (event.id, event.ts, event.v) == ("mine", 1_767_323_045_000, "2")


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="time zone"):
        durable.Event("a", ts=datetime(2026, 1, 2))  # noqa: DTZ001  # that is the point


def test_an_event_is_frozen() -> None:
    event = durable.Event("a", {"x": 1})
    with pytest.raises(ValidationError):
        event.name = "b"  # type: ignore[misc]


def test_an_event_round_trips_through_its_json() -> None:
    event = durable.Event("a", {"x": 1}, id="mine")
    assert durable.Event.model_validate_json(event.model_dump_json()) == event


def test_an_event_made_of_known_parts_equals_one_that_was_checked() -> None:
    made: Any = make_event("a", {"x": 1}, id="mine")
    assert made == durable.Event("a", {"x": 1}, id="mine")
    assert is_event(made)


@pytest.mark.parametrize("name", ["", "a*", "*", "a/*/b", 5])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(durable.ConfigError, match="accepted"):
        durable.EventType(name)


@pytest.mark.parametrize("name", ["durable/x", "Inngest/function.failed"])
def test_a_name_of_the_engines_own_is_refused_as_a_send_is(name: str) -> None:
    text = f"event '{name}': names beginning with 'durable/' or 'inngest/' are the engine's own; choose another prefix"
    with pytest.raises(durable.ConfigError) as caught:
        durable.EventType(name)
    assert str(caught.value) == text


def read(given: Any) -> Any:
    return read_triggers(Place("function 'f'", "on"), given)


def test_triggers_are_names_types_and_lists_of_them() -> None:
    assert read(None) == {}
    assert read("a") == {"a": None}
    assert read([order_placed, durable.On("a/*")]) == {
        "shop/order.placed": order_placed,
        "a/*": None,
    }


@pytest.mark.parametrize(
    "given",
    [
        "a*",
        ["a", "a"],
        [],
        5,
        [f"e{n}" for n in range(11)],
        "x" * 257,
        durable.On("\ud800"),
        "durable/function.invoked",
        ["a", durable.On("durable/scheduled.timer")],
    ],
)
def test_triggers_that_cannot_be_are_refused_with_their_place(given: Any) -> None:
    with pytest.raises(durable.ConfigError, match="function 'f': on="):
        read(given)


def conditions(given: Any) -> dict[str, str]:
    return read_conditions(Place("function 'f'", "on"), given)


def test_a_trigger_may_have_a_condition() -> None:
    assert conditions(None) == {}
    assert conditions(durable.On("a")) == {}
    assert conditions(durable.On(order_placed, "event.data.cents > 5")) == {
        "shop/order.placed": "event.data.cents > 5"
    }
    assert conditions(["a", durable.On("b/*", if_="event.data.x")]) == {
        "b/*": "event.data.x"
    }


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (durable.On("a", if_=" "), "on.if_=' ' is empty"),
        (["b", durable.On("a", if_=Any)], "on[1].if_=typing.Any is of type"),
    ],
)
def test_a_condition_that_is_none_is_refused_with_its_place(
    given: Any, shown: str
) -> None:
    with pytest.raises(durable.ConfigError) as caught:
        conditions(given)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"function 'f': {shown}")
    assert (
        second == '  accepted: a CEL expression, as in "event.data.amount > 100" or '
        '"event.data.customer_id"; of two fields together "[event.data.a, event.data.b]"'
    )


def test_a_trigger_shows_what_was_written() -> None:
    assert repr(durable.On("a")) == "On('a')"
    assert repr(durable.On("a", "event.data.x")) == "On('a', if_='event.data.x')"


def test_two_conditions_on_one_event_are_to_be_joined() -> None:
    given = [durable.On("a", "event.data.x"), durable.On("a", "event.data.y")]
    with pytest.raises(durable.ConfigError) as caught:
        read(given)
    assert str(caught.value) == (
        "function 'f': on=[On('a', if_='event.data.x'), On('a', if_='event.data.y')] has the trigger 'a' twice\n"
        "  accepted: each event once; join conditions in one, as in On(event, if_='a || b')"
    )


def test_a_misplaced_star_is_pointed_at() -> None:
    with pytest.raises(durable.ConfigError) as caught:
        read("shop/*.placed")
    first, second, *_ = str(caught.value).splitlines()
    assert first[second.index("^")] == "*"


@pytest.mark.parametrize(
    "name",
    [
        "durable/function.failed",
        "durable/function.finished",
        "durable/function.cancelled",
        "durable/function.*",
        "durable/*",
    ],
)
def test_what_the_engine_sends_may_be_a_trigger(name: str) -> None:
    assert read(name) == {name: None}
    assert read(durable.On(name, if_="event.data.function_id == 'x'")) == {name: None}
    if not name.endswith("*"):
        kind = durable.EventType(name)
        assert read(kind) == {name: kind}


@pytest.mark.parametrize(
    "name",
    [
        "durable/function.fialed",
        "durable/x.*",
        "durable/scheduled.*",
        "inngest/function.failed",
    ],
)
def test_a_trigger_that_the_engine_never_sends_is_refused(name: str) -> None:
    text = f"on='{name}' names nothing that the engine sends\n  accepted: durable/function.failed, "
    with pytest.raises(durable.ConfigError) as caught:
        read(name)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "name", ["durable/function.invoked", "durable/scheduled.timer"]
)
def test_what_only_the_started_function_is_given_is_no_trigger(name: str) -> None:
    with pytest.raises(durable.ConfigError, match="nobody else is told of it"):
        read(name)
    kind = durable.EventType(name)
    assert read(kind) == {name: kind}, "it types what a caller hands in"


def test_a_name_has_256_bytes_at_most() -> None:
    assert durable.EventType("x" * 256).name == "x" * 256
    assert read("x" * 255 + "/*"[:1]) == {"x" * 255 + "/": None}
    for name in ("x" * 257, "\u00e9" * 129):
        with pytest.raises(durable.ConfigError, match="at most 256 bytes"):
            durable.EventType(name)


_MORE: Any = {"sku": "a", "order_id": "o1", "more": 1}


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        ({}, {}),
        ({"more": [1]}, {"more": [1]}),
        ({"rows": [_MORE]}, {"rows": [_MORE]}),
        ({"strict": _MORE}, {"strict": {"sku": "a"}}),
        ({"slot": _MORE}, {"slot": Slot("a")}),
        ({"order": _MORE}, {"order": Order(order_id="o1")}),
    ],
)
def test_what_a_typed_dict_does_not_declare_is_kept(part: Any, kept: Any) -> None:
    """As it is sent, and as it is read; a dataclass or a model within has what it declares."""
    within, expected = (
        {"type": "b", "rows": [], **one, "next": {"type": "b", "rows": [], **one}}
        for one in (part, kept)
    )
    filled = durable.EventType("shop/basket.filled", Basket)
    assert filled(**within).data == expected
    assert filled.event(within).data == expected  # type: ignore[arg-type]  # on purpose
    assert filled.read_stored(orjson.dumps(within), "it") == expected


@pytest.mark.parametrize(
    ("model", "data"), [(Line, Line("a")), (Order, Order(order_id="o1"))]
)
def test_what_another_type_does_not_declare_is_left_out(model: Any, data: Any) -> None:
    assert vars(durable.EventType("shop/a", model).read(_MORE)) == vars(data)
