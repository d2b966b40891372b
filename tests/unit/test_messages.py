"""How a channel's messages and a run's records become one story, and where a reader of it goes on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies

import durable
from durable._messages import (
    Batch,
    Position,
    check_names,
    encode,
    is_run_id,
    newest_position,
    read_batch,
    read_position,
)


def step(name: str, at: int, status: str = "completed") -> tuple[Any, ...]:
    is_ended = status in {"completed", "failed"}
    json = b'{"name": "E", "message": "m"}' if status == "failed" else b"1"
    ended = at if is_ended else None
    return (name, "run", status, json if is_ended else None, 1, 0, ended, None)


def run(*steps: Any, status: str = "running", result: bytes | None = None) -> Any:
    ended = 99 if status in {"completed", "failed", "cancelled"} else None
    error = b'{"name": "E"}' if status == "failed" else None
    return ("R", "f", [], status, 0, 0, ended, result, error, None, [*steps])


def batch_of(
    position: Position, messages: list[tuple[int, int]], row: Any, missed: int = 0
) -> Batch:
    """`messages`: number and moment."""
    page = ([(number, "t", b"%d" % number, at) for number, at in messages], missed, 9)
    return read_batch("c", position, page=page, run=row, most=3)


def told(batch: Batch) -> list[tuple[str, str]]:
    return [(message.id, message.topic) for message in batch.messages]


@given(strategies.integers(0, 2**63 - 1), strategies.integers(0, 1001))
def test_an_id_is_a_position(number: int, records: int) -> None:
    position = Position(number, records)
    assert read_position(position.id) == position


@pytest.mark.parametrize(
    "after", ["", "1", "1-", "-1", "a-b", "1-2-3", "1-2\n", " 1-2", "٣-٤"]
)
def test_what_is_no_id_is_refused(after: str) -> None:
    with pytest.raises(durable.ConfigError, match="accepted is the id of a message"):
        read_position(after)


def test_messages_and_records_come_in_the_order_of_their_moments() -> None:
    row = run(step("a", 10), step("b", 30), step("c", 0, "queued"))
    batch = batch_of(Position(), [(4, 20), (5, 40)], row)
    assert told(batch) == [
        ("0-1", "$step"),
        ("4-1", "t"),
        ("4-2", "$step"),
        ("5-2", "t"),
    ]
    assert batch.position == Position(5, 2)
    assert batch.is_whole
    assert not batch.is_over


def test_who_goes_on_is_told_the_rest() -> None:
    row = run(step("a", 10), step("b", 30), status="completed", result=b'"r"')
    batch = batch_of(Position(4, 1), [(5, 40)], row)
    assert told(batch) == [("4-2", "$step"), ("5-2", "t"), ("5-3", "$run")]
    assert batch.messages[-1].data == {"status": "completed", "result": "r"}
    assert batch.is_over
    again = batch_of(batch.position, [], row)
    assert (again.messages, again.is_over) == ((), True)


def test_the_end_of_a_run_comes_behind_all_that_was_published() -> None:
    row = run(status="failed")
    first = batch_of(Position(), [(1, 1), (2, 2), (3, 3)], row)
    assert (len(first.messages), first.is_whole, first.is_over) == (3, False, False)
    last = batch_of(first.position, [(4, 4)], row)
    assert told(last) == [("4-0", "t"), ("4-1", "$run")]
    error = {"name": "E", "message": ""}
    assert last.messages[-1].data == {"status": "failed", "error": error}


def test_a_failed_step_says_why() -> None:
    (message,) = batch_of(Position(), [], run(step("a", 1, "failed"))).messages
    assert message.data["error"] == {"name": "E", "message": "m"}
    assert "result" not in message.data


@pytest.mark.parametrize(
    ("messages", "ids"), [([(8, 1)], ["7-2", "8-2"]), ([], ["7-2"])]
)
def test_what_is_gone_is_told_and_not_told_again(
    messages: list[tuple[int, int]], ids: list[str]
) -> None:
    batch = batch_of(Position(3, 2), messages, None, missed=4)
    assert [message.id for message in batch.messages] == ids
    assert batch.messages[0].topic == "$missed"
    assert batch.messages[0].data == {"count": 4}


@pytest.mark.parametrize(
    ("row", "following", "position"),
    [
        (None, 0, Position(0, 0)),
        (None, 8, Position(7, 0)),
        (run(step("a", 1), step("b", 0, "queued")), 8, Position(7, 1)),
        (run(step("a", 1), status="completed"), 0, Position(0, 2)),
    ],
)
def test_behind_all_there_is(row: Any, following: int, position: Position) -> None:
    assert newest_position(row, following) == position


@pytest.mark.parametrize("name", ["a", "ä" * 64, "a b", "order/o1"])
def test_names_that_are_accepted(name: str) -> None:
    check_names(name, [name])
    assert encode(name, name, {"a": [1]}) == b'{"a":[1]}'


def test_what_has_no_json_is_refused_with_its_channel_and_place() -> None:
    says = (
        r"^channel 'orders': data\.lock is a builtins\.object, which has no JSON form"
    )
    with pytest.raises(durable.SerializationError, match=says):
        encode("orders", "placed", {"lock": object()})


@pytest.mark.parametrize(
    ("channel", "topic"),
    [("", "a"), ("a", ""), ("ä" * 129, "a"), ("a", "ä" * 65), ("a", "$missed")],
)
def test_names_that_are_refused(channel: str, topic: str) -> None:
    with pytest.raises(durable.ConfigError):
        encode(channel, topic, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("01M7YAC4XWTAT333YTXY4ZP000", True),
        ("01M7YAC4XWTAT333YTXY4ZP00", False),
        ("01M7YAC4XWTAT333YTXY4ZP00U", False),
        ("order/01M7YAC4XWTAT333YTXY4ZP000", False),
    ],
)
def test_a_runs_id_has_a_form(name: str, *, expected: bool) -> None:
    assert is_run_id(name) is expected
