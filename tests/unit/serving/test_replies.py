"""What a call came to, in the protocol's words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

import durable
from durable._bridge import NEVER
from durable._flow import Backoff
from durable._serving.names import Slugs, hash_of
from durable._serving.replies import headers_of, reply_of, reply_of_settled


SLUGS = Slugs("shop", {"ship"})


def reply(*ops: Any) -> Any:
    return reply_of(ops, SLUGS, attempt=0, backoff=None)


def said(op: Any) -> Any:
    answered = reply(op)
    assert answered.status == 206
    (fields,) = orjson.loads(answered.body)
    assert fields["id"] == hash_of("s")
    assert fields["displayName"] == fields["userland"]["id"] == "s"
    assert fields["opts"].pop("parallelMode") == "race"
    return {
        name: fields[name]
        for name in ("op", "name", "opts", "data", "error")
        if name in fields
    }


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ((0, "s", b"[1]"), {"op": "StepRun", "name": "s", "opts": {}, "data": [1]}),
        (
            (1, "s", b'{"name":"E"}', None),
            {"op": "StepError", "name": "s", "opts": {}, "error": {"name": "E"}},
        ),
        ((2, "s"), {"op": "StepPlanned", "name": "s", "opts": {}}),
        (
            (3, "s", 1500),
            {"op": "Sleep", "name": "1500ms", "opts": {"duration": "1500ms"}},
        ),
        (
            (4, "s", 1_700_000_000_025),
            {
                "op": "Sleep",
                "name": "2023-11-14T22:13:20.025Z",
                "opts": {"duration": "2023-11-14T22:13:20.025Z"},
            },
        ),
        (
            (7, "s", "go", 10, True),
            {
                "op": "WaitForSignal",
                "name": "go",
                "opts": {"signal": "go", "timeout": "10ms", "conflict": "replace"},
            },
        ),
        (
            (8, "s", "durable/function.failed", "event.x == async.x", 10, False, None),
            {
                "op": "WaitForEvent",
                "name": "inngest/function.failed",
                "opts": {
                    "event": "inngest/function.failed",
                    "timeout": "10ms",
                    "if": "event.x == async.x",
                },
            },
        ),
        (
            (9, "s", "ship", b'{"n":1}', 10),
            {
                "op": "InvokeFunction",
                "name": "s",
                "opts": {
                    "function_id": "shop-ship",
                    "payload": {"data": {"n": 1}},
                    "timeout": "10ms",
                },
            },
        ),
    ],
)
def test_each_op_has_its_counterpart(op: Any, expected: Any) -> None:
    assert said(op) == expected


def test_a_look_back_that_the_protocol_does_not_have_is_refused() -> None:
    with pytest.raises(durable.UsageError, match=r"asyncio\.gather"):
        reply((8, "s", "a/b", None, 10, True, None))


def test_the_end_of_a_run_is_all_that_is_said() -> None:
    done = reply((2, "s"), (5, b'{"x":1}'))
    assert (done.status, done.body) == (200, b'{"x":1}')
    failed = reply((6, b'{"name":"E"}', NEVER, False))
    assert (failed.status, failed.body) == (500, b'{"name":"E"}')
    assert failed.headers == {"X-Inngest-No-Retry": "true"}


def test_a_step_says_when_it_is_tried_again() -> None:
    assert reply((2, "a"), (1, "s", b"{}", 1200)).headers == {"Retry-After": "2"}
    assert reply((1, "s", b"{}", NEVER)).headers == {"X-Inngest-No-Retry": "true"}
    assert reply((1, "s", b"{}", None)).headers == {}


def test_a_functions_own_backoff_is_told_try_by_try() -> None:
    backoff = Backoff(["2s", "10s"], jitter=0)
    delays = [headers_of(None, attempt, backoff) for attempt in range(3)]
    assert [one["Retry-After"] for one in delays] == ["2", "10", "10"]
    jittered = headers_of(None, 0, Backoff("2s", jitter="3s"))
    assert 2 <= int(jittered["Retry-After"]) <= 5


def test_a_step_that_is_remembered_is_told_again() -> None:
    ran = orjson.loads(reply_of_settled(("h", "data", False, b"[1]")).body)
    assert ran[0] | {"opts": {}} == {
        "id": "h",
        "op": "StepRun",
        "opts": {},
        "data": [1],
    }
    failed = orjson.loads(reply_of_settled(("h", "error", True, b"{}")).body)
    assert failed[0]["op"] == "StepFailed"
