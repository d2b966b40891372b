"""What a server says when it calls."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from durable._serving.calls import (
    DATA,
    ERROR,
    EVENT,
    NULL,
    Called,
    CallRefused,
    check_addressee,
    completed,
    read_body,
    read_call,
)
from durable._serving.names import Slugs, hash_of, id_of_slug

from .serving_calls import RUN, body


def read(json: bytes, step: str = "step") -> Called:
    return read_call(read_body(json), step, 5)


def test_a_call_says_which_run_and_which_try() -> None:
    called = read(body(attempt=2, disable_immediate_execution=True))
    assert (called.run_id, called.attempt, called.max_attempts) == (RUN, 2, 3)
    assert called.step is None
    assert called.plans_only
    assert called.events == (("e1", "shop/placed", b'{"n":1}', 7, 7, None, None, None),)


def test_the_engines_events_have_their_own_names_and_nothing_of_the_servers() -> None:
    data = {"run_id": "r", "_inngest": {"status": "Failed"}}
    sent = {"name": "inngest/function.failed", "data": data, "user": {"who": 1}}
    ((_, name, json, *_, user),) = read(body(event=sent)).events
    assert (name, json, user) == (
        "durable/function.failed",
        b'{"run_id":"r"}',
        b'{"who":1}',
    )


def test_memos_come_in_the_order_of_recording_each_once() -> None:
    memos: dict[str, Any] = {
        "a": {"data": [1]},
        "b": None,
        "c": {"error": {"name": "E"}},
        "d": {"name": "x/y", "data": {}},
    }
    order = [hash_of(name) for name in "badaa"]
    called = read(body(memos, stack={"stack": order}), hash_of("a"))
    assert called.memos == [
        (hash_of("b"), NULL, False, b"null"),
        (hash_of("a"), DATA, False, b"[1]"),
        (hash_of("d"), EVENT, False, b'{"name":"x/y","data":{}}'),
        (hash_of("c"), ERROR, True, b'{"name":"E"}'),
    ]
    assert called.settled() == called.memos[1]
    assert read(body(memos), hash_of("z")).settled() is None


def test_what_is_large_is_asked_for() -> None:
    partial = read_body(b'{"ctx":{"run_id":"r","use_api":true},"use_api":true}')
    assert partial.is_partial
    whole = completed(partial, b'[{"name":"a/b","data":{"n":1}}]', b'{"h":{"data":2}}')
    called = read_call(whole, "step", 5)
    assert called.events[0][1:3] == ("a/b", b'{"n":1}')
    assert called.memos == [("h", DATA, False, b"2")]
    assert called.max_attempts == 5
    with pytest.raises(CallRefused, match="no run's state"):
        completed(partial, b"{}", b"{}")


@pytest.mark.parametrize(
    ("json", "why"),
    [
        (b"{", "no call of a function"),
        (b"[]", "no call of a function"),
        (b'{"ctx":{}}', "run_id: Field required"),
        (b'{"ctx":{"run_id":"r"}}', "without an event"),
        (
            b'{"ctx":{"run_id":"r"},"event":{"name":"a"},"steps":{"h":{"input":[1]}}}',
            "rerun it from an earlier step",
        ),
    ],
)
def test_what_is_no_call_is_refused_in_words(json: bytes, why: str) -> None:
    with pytest.raises(CallRefused, match=why):
        read(json)


@pytest.mark.parametrize(
    ("about", "slug", "step", "is_meant"),
    [
        (
            {"fn_id": id_of_slug("shop-pay"), "step_id": "step"},
            "shop-pay",
            "step",
            True,
        ),
        (
            {"fn_id": id_of_slug("shop-pay"), "step_id": "step"},
            "shop-ship",
            "step",
            False,
        ),
        ({"fn_id": id_of_slug("shop-pay"), "step_id": "step"}, "shop-pay", "h", False),
        ({"fn_id": id_of_slug("shop-pay")}, "shop-pay", "h", True),
        ({"fn_id": "of another server", "step_id": "x"}, "shop-pay", "step", True),
        ({}, "shop-pay", "step", True),
    ],
)
def test_a_call_is_for_whom_its_body_was_made(
    about: dict[str, str], slug: str, step: str, *, is_meant: bool
) -> None:
    called = read_body(body({}, **about))
    expected = contextlib.nullcontext() if is_meant else pytest.raises(CallRefused)
    with expected:
        check_addressee(called, Slugs("shop", {"pay", "ship"}), slug=slug, step=step)
