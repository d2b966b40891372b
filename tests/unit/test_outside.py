"""Which calls are seen, of whom, and what becomes of them."""

# ruff: noqa: PLW0108, S311, TID251  # these calls are what is tried, and the lambdas are whose lines count

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from random import choice
from types import SimpleNamespace
from typing import Any

import pytest

import durable
from durable._layers import drive, tell, tell_quietly
from durable._outside import Outlook, WatchedCoroutine, is_of_user, watched
from durable._step import CURRENT_STEP


class Later(dt.datetime):
    """A datetime of somebody's own."""


def function(handler: Any = None, *, is_async: bool = True) -> Any:
    return SimpleNamespace(id="f", handler=handler, is_async=is_async)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (time.time, "time.time"),
        (time.time_ns, "time.time_ns"),
        (lambda: dt.datetime.now(dt.UTC), "datetime.now"),
        (lambda: dt.datetime.today(), "datetime.today"),  # noqa: DTZ002
        (lambda: dt.date.today(), "date.today"),  # noqa: DTZ011
        (random.random, "random.random"),
        (lambda: choice([1, 2]), "random.choice"),
        (lambda: random.shuffle([1, 2]), "random.shuffle"),
        (lambda: random.SystemRandom().randint(1, 2), "random.randint"),
        (lambda: random.getrandbits(3), "random.getrandbits"),
        (lambda: os.urandom(2), "os.urandom"),
        (uuid.uuid4, "uuid.uuid4"),
        (uuid.uuid1, "uuid.uuid1"),
        (lambda: secrets.token_hex(2), "secrets.token_hex"),
        (lambda: secrets.choice([1]), "random.choice"),
    ],
)
def test_what_differs_each_time_is_seen(code: Callable[[], Any], name: str) -> None:
    with pytest.raises(durable.NonDeterminismError) as caught:
        Outlook(function()).call(lambda: code())
    text = str(caught.value)
    assert f"function 'f' calls {name}() between steps ({__file__}:" in text
    assert "await ctx.step.run(" in text
    assert sys.getprofile() is None


@pytest.mark.parametrize(
    "code",
    [
        lambda: random.Random(3).random(),
        lambda: random.Random(3).choice([1, 2]),
        lambda: logging.LogRecord("n", 10, "p", 1, "m", None, None),
        time.monotonic,
        time.perf_counter,
        lambda: dt.datetime.fromtimestamp(0, dt.UTC),
        lambda: uuid.UUID(int=3),
    ],
)
def test_what_is_the_same_or_a_library_s_own_is_not(code: Callable[[], Any]) -> None:
    outlook = Outlook(function())
    outlook.call(lambda: code())
    outlook.check()


def test_inside_a_step_nothing_is_looked_for() -> None:
    call: Any = object()
    token = CURRENT_STEP.set(call)
    try:
        Outlook(function()).call(lambda: random.random())
    finally:
        CURRENT_STEP.reset(token)


@pytest.mark.parametrize(
    ("seconds", "is_seen"), [(5, True), (0.5, True), (0, False), (-1, False)]
)
def test_a_sleep_that_is_no_step_is_seen_and_a_turn_for_others_is_not(
    seconds: float,
    is_seen: bool,  # noqa: FBT001  # a case
) -> None:
    async def handler() -> None:
        await asyncio.sleep(seconds)

    async def play() -> None:
        await WatchedCoroutine(function(handler), handler())

    if not is_seen:
        asyncio.run(play())
        return
    with pytest.raises(durable.NonDeterminismError) as caught:
        WatchedCoroutine(function(handler), handler()).send(None)
    text = str(caught.value)
    assert f"calls asyncio.sleep() between steps ({__file__}:" in text
    assert text.endswith(f": await ctx.step.sleep('rest', {seconds})")


def test_what_is_caught_is_told_nevertheless() -> None:
    def handler(_: Any) -> int:
        try:
            return len(str(time.time()))
        except durable.DurableError:
            return 0

    with pytest.raises(durable.NonDeterminismError, match=r": ctx\.step\.run\('now'"):
        watched(function(handler, is_async=False), handler)(None)


def test_what_is_called_as_a_hook_is_not_the_handlers() -> None:
    """Whoever it calls in turn; what the handler calls behind it is."""

    def now(_: Any) -> None:
        time.time()

    outlook = Outlook(function())
    outlook.call(lambda: tell_quietly(lambda about: now(about), None))
    outlook.call(lambda: drive(tell([now], None)))
    outlook.check()
    with pytest.raises(durable.NonDeterminismError):
        outlook.call(lambda: [drive(tell([now], None)), now(None)])


def test_another_profiler_is_left_alone() -> None:
    def other(*_: Any) -> None: ...

    sys.setprofile(other)
    try:
        Outlook(function()).call(lambda: time.time())
        assert sys.getprofile() is other
    finally:
        sys.setprofile(None)


def test_a_coroutine_is_closed_when_something_was_found() -> None:
    steps: list[str] = []

    class Once:
        def __await__(self) -> Any:
            yield "parked"

    async def handler() -> None:
        try:
            random.random()
        except durable.DurableError:
            steps.append("caught")
        try:
            await Once()
        finally:
            steps.append("closed")

    watched = WatchedCoroutine(function(), handler())
    with pytest.raises(durable.NonDeterminismError):
        watched.send(None)
    assert steps == ["caught", "closed"]


def test_a_coroutine_gives_what_it_gives() -> None:
    class Twice:
        def __await__(self) -> Any:
            got = yield 1
            try:
                yield got
            except ValueError:
                return "thrown"

    async def handler() -> Any:
        return await Twice()

    watched = WatchedCoroutine(function(), handler())
    assert watched.send(None) == 1
    assert watched.cr_await is not None
    assert watched.cr_frame is not None
    assert watched.send(2) == 2
    with pytest.raises(StopIteration) as stopped:
        watched.throw(ValueError())
    assert stopped.value.value == "thrown"
    watched.close()


def test_whose_code_it_is() -> None:
    library = os.path.dirname(pytest.__file__)  # noqa: PTH120
    assert is_of_user("/home/ada/shop.py", "shop", "shop")
    assert not is_of_user(f"{library}/x.py", "pytest.x", "shop")
    assert is_of_user(f"{library}/x.py", "pytest.x", "pytest")
    assert not is_of_user(durable.__file__, "durable", "durable")
    assert not is_of_user("<string>", "x", "x")
