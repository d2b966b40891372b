"""What a step that waits asks the engine for, and what it makes of the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

import durable
from durable._bridge import (
    INVOKE,
    SLEEP,
    SLEEP_UNTIL,
    WAIT_FOR_EVENT,
    WAIT_FOR_SIGNAL,
)
from durable._noticed import Noticed
from durable._step import caller
from durable._waits import event_for, invocation, signal_for, sleep_for, sleep_until


class Paid(BaseModel):
    """A payment."""

    cents: int
    id: dict[str, int] = {}  # a pydantic field


class Going(BaseModel):
    """What starts a run."""

    total: int


paid = durable.EventType("paid", Paid)
RUN: Any = SimpleNamespace(
    id="R",
    own_data=lambda: {"id": {"x": 1}},
    function=SimpleNamespace(
        sealed_by=(),
        type_of=lambda name: durable.EventType(name, Going) if name == "go" else None,
    ),
    worker=SimpleNamespace(noticed=Noticed()),
    event_tuples=[("E", "go", b"{}", 0, 0, None, None, None)],
)


def made(wait: Any, memo: bytes = b"null") -> Any:
    call = wait(RUN, "w", caller(0))
    call.take_memo(call.kind, is_error=False, data=memo)
    return call


def listening(**options: Any) -> Any:
    return event_for(
        "w", paid, "1h", **{"match": None, "if_": None, "since": None, **options}
    )


@pytest.mark.parametrize(
    ("wait", "op"),
    [
        (sleep_for("w", "1s"), (SLEEP, "w", 1000)),
        (sleep_until("w", 5), (SLEEP_UNTIL, "w", 5)),
        (sleep_until("w", datetime.fromtimestamp(1, UTC)), (SLEEP_UNTIL, "w", 1000)),
        (
            signal_for("w", "go", "1s", on_conflict="replace"),
            (WAIT_FOR_SIGNAL, "w", "go", 1000, True),
        ),
        (listening(), (WAIT_FOR_EVENT, "w", "paid", None, 3_600_000, False, None)),
        (
            listening(match="data.id.x", if_="true", since="run"),
            (
                WAIT_FOR_EVENT,
                "w",
                "paid",
                "event.data.id.x == async.data.id.x && (true)",
                3_600_000,
                True,
                None,
            ),
        ),
        (invocation("w", "f", None, timeout="1s"), (INVOKE, "w", "f", b"{}", 1000)),
    ],
)
def test_what_is_asked(wait: Any, op: Any) -> None:
    assert made(wait).plan() == op


def test_an_event_is_read_as_its_type() -> None:
    memo = b'{"id":"E","name":"paid","data":{"cents":3},"ts":7,"v":"2","user":{"n":1}}'
    expected = paid.event(Paid(cents=3), id="E", ts=7, v="2", user={"n": 1})
    assert made(listening(), memo).result() == expected
    assert made(listening()).result() is None


def test_an_event_that_does_not_fit_says_where() -> None:
    with pytest.raises(
        durable.SerializationError, match=r"step 'w'.*data.cents"
    ) as caught:
        made(listening(), b'{"id":"E","name":"paid","data":{},"ts":7}').result()
    assert caught.value.path == "data.cents"


@pytest.mark.parametrize("match", ["data.y", "data.id.y", "data.id.x.z"])
def test_a_match_on_a_field_that_is_not_there_says_so(match: str) -> None:
    with pytest.raises(durable.UsageError, match=f"has no {match}"):
        made(event_for("w", "paid", "1h", match=match, if_=None, since=None))


def test_a_result_of_a_function_known_by_its_id_is_plain() -> None:
    assert made(invocation("w", "f", None, timeout="1s"), b'{"n":1}').result() == {
        "n": 1
    }


def test_how_a_run_ended_is_read_out_of_its_memo() -> None:
    call = invocation("w", "f", None, timeout="1s")(RUN, "w", caller(0))
    cause = b'{"name":"Oops","message":"no","stack":""}'
    call.take_memo(
        call.kind,
        is_error=True,
        data=b'{"name":"InvokeError","message":"run R failed","reason":"failed","run_id":"R","cause":'
        + cause
        + b"}",
    )
    error: Any = call.error()
    assert str(error) == "step 'w': run R failed: Oops: no"
    assert (error.reason, error.run_id, error.name) == ("failed", "R", "Oops")


@pytest.mark.parametrize("memo", [b'{"k":5}', b"7"])
def test_what_is_no_event_is_told_to_whoever_gave_it(memo: bytes) -> None:
    with pytest.raises(
        durable.SerializationError, match="waits for an event, and was given"
    ):
        made(listening(), memo).result()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"if_": "async.data.cent > 1"}, "if_: .* no async.data.cent: did you mean"),
        ({"if_": "true || has(async.data.cent)"}, "if_: .* no async.data.cent"),
        ({"match": "data.cent"}, "match: .* no async.data.cent"),
        ({"if_": "event.data.totl == 1"}, "if_: .* no event.data.totl: did you mean"),
        (
            {"if_": "event.data.cents == async.data.cents"},
            "if_: .* no event.data.cents",
        ),
    ],
)
def test_a_condition_of_a_field_that_a_model_has_not_is_refused(
    options: dict[str, str], says: str
) -> None:
    with pytest.raises(durable.ConfigError, match=f"^step 'w': {says}"):
        listening(**options)(RUN, "w", caller(0))


def test_fields_of_untyped_events_may_be_any() -> None:
    condition = "async.data.cent > event.data.total && event.name == 'go'"
    wait = event_for("w", "paid", "1h", match="data.id", if_=condition, since=None)
    assert wait(RUN, "w", caller(0)).plan()[0] == WAIT_FOR_EVENT
    other = SimpleNamespace(**RUN.__dict__)
    other.event_tuples = [("E", "another", b"{}", 0, 0, None, None, None)]
    event_for("w", "paid", "1h", match=None, if_="event.data.x == 1", since=None)(
        other, "w", caller(0)
    )


def test_what_is_no_cel_is_the_engine_s_to_say() -> None:
    assert listening(if_="async.data.( ==")(RUN, "w", caller(0)).plan()
