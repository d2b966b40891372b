"""What the native module says of runs, steps and events becomes frozen values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

import durable
from durable._views import Page, read_function, read_received, read_run


ERROR = orjson.dumps(
    {"name": "ValueError", "message": "no", "stack": "s", "code": "DUR-1"}
)


def row(status: str, result: bytes | None, error: bytes | None, *steps: Any) -> Any:
    fields = ("R", "f", ["E"], status, 1000, 2000, None, result, error, None)
    return (*fields, list(steps), "Q")


def read(given: Any) -> durable.Run:
    return read_run(given, lambda _, json: orjson.loads(json))


def test_a_completed_run() -> None:
    run = read(
        row("completed", b"[1]", None, ("a", "run", "completed", b"2", 1, 5, 6, None))
    )
    assert (run.status, run.result, run.error, run.is_ended) == (
        "completed",
        [1],
        None,
        True,
    )
    assert run.created_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (run.event_ids, run.rerun_of) == (("E",), "Q")
    assert (run.steps["a"].result, run.steps["a"].attempts) == (2, 1)


def test_a_failed_run_and_a_failed_step() -> None:
    run = read(row("failed", None, ERROR, ("a", "run", "failed", ERROR, 3, 5, 6, None)))
    assert run.error == durable.ErrorInfo("ValueError", "no", "s", "DUR-1")
    assert str(run.error) == "ValueError: no"
    assert (run.steps["a"].error, run.steps["a"].result) == (run.error, None)


def test_a_run_that_lives() -> None:
    run = read(
        row("parked", None, None, ("a", "sleep", "sleeping", None, 0, 5, None, 9))
    )
    assert not run.is_ended
    assert run.steps["a"].due_at == datetime.fromtimestamp(0.009, UTC)
    assert run.steps["a"].ended_at is None


def test_an_event_keeps_the_senders_id_apart_from_the_engines() -> None:
    event = ("E", "a", b'{"x":1}', 5, 7, "mine", None, b'{"u":1}')
    received = read_received((event, ["R"], None, [("f", "rate_limit")]))
    assert (received.id, received.event.id, received.run_ids) == ("E", "mine", ("R",))
    assert received.skipped == {"f": "rate_limit"}
    assert (received.event.data, received.event.user, received.event.ts) == (
        {"x": 1},
        {"u": 1},
        5,
    )


def test_a_function() -> None:
    limits = b'[{"limit":9,"key":"event.data.a"},{"limit":3,"key":null}]'
    policies = b'{"concurrency":' + limits + b"}"
    info = read_function(("f", "app", ["a"], 4, policies, True, False, []))
    assert (info.id, info.triggers, info.is_archived) == ("f", ("a",), True)
    assert info.concurrency == 3


def test_a_page_is_a_list_that_knows_the_next() -> None:
    page = Page([1, 2], "next")
    assert page == [1, 2]
    assert page.cursor == "next"
