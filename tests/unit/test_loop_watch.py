"""When a loop counts as blocked, and by whom."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import durable
from durable import _loop_watch
from durable._loop_watch import LoopWatch, Place, executed_s, where_is


class Loop:
    """Does what it is asked when it turns."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], object]] = []
        self.is_closed = False

    def call_soon_threadsafe(self, call: Callable[[], object]) -> None:
        if self.is_closed:
            text = "Event loop is closed"
            raise RuntimeError(text)
        self.asked.append(call)

    def turn(self) -> None:
        while self.asked:
            self.asked.pop()()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Place | None]:
    """Where the code is, look by look."""
    found: list[Place | None] = []
    monkeypatch.setattr(_loop_watch, "where_is", lambda _: found.pop(0))
    return found


def watch(loop: Any, *, is_busy: bool = True) -> LoopWatch:
    return LoopWatch(loop, 0.5, lambda: is_busy)


def place(line: str = "shop.py:1") -> Place:
    return Place("f", "R", "step 's'", line, "pay", "time.sleep(9)")


def test_a_loop_that_turns_is_not_blocked(
    loop: Loop, places: list[Place | None], caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(loop)
    for _ in range(20):
        assert watched.look(0.4)
        loop.turn()
    assert (places, caplog.text) == ([], "")


def test_one_that_has_not_turned_for_so_long_is_told_of_once_for_each_line(
    loop: Loop, places: list[Place | None], caplog: pytest.LogCaptureFixture
) -> None:
    places += [None, place(), place(), place("shop.py:2")]
    watched = watch(loop)
    for _ in range(5):
        watched.look(0.125)
    assert not caplog.records  # what executes is not ours
    for _ in range(3):
        watched.look(0.125)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "kept the event loop for 0.6 s" in told[0]
    assert "shop.py:2" in told[1]
    assert not places


@pytest.mark.parametrize(("ago", "count"), [(9.0, 1), (0.1, 0)])
def test_what_kept_the_thread_that_looks_is_told_of_where_no_turn_came(
    loop: Any,
    places: list[Place | None],
    caplog: pytest.LogCaptureFixture,
    ago: float,
    count: int,
) -> None:
    places.append(place())
    turned_at = time.monotonic() - ago
    watched = LoopWatch(loop, 0.5, lambda: True, turned_at=lambda: turned_at)
    watched.look(3.0)
    assert len(caplog.records) == count
    assert ("for 3.0 s so far" in caplog.text) == bool(count)


def test_it_sleeps_while_nothing_executes(loop: Loop) -> None:
    assert not watch(loop, is_busy=False).look(9.0)
    assert not loop.asked


def test_a_closed_loop_is_left(loop: Loop) -> None:
    loop.is_closed = True
    watched = watch(loop)
    watched.look(0.1)
    assert watched._closing.is_set()


@pytest.mark.parametrize(
    ("passed", "computed", "counted"),
    [
        (0.125, 0.0, 0.125),  # the code sleeps
        (0.125, 0.125, 0.125),  # it computes
        (3600.0, 0.01, 0.125),  # the process was suspended for an hour
        (9.0, 0.2, 0.2),  # others had the processor
        (3.0, 3.0, 3.0),  # a function in C kept everybody
        (3.0, 6.0, 3.0),  # on two processors
    ],
)
def test_only_what_the_process_has_executed_counts(
    passed: float, computed: float, counted: float
) -> None:
    assert executed_s(0.125, passed, computed) == counted


def test_without_a_limit_there_is_no_thread(loop: Loop) -> None:
    any_loop: Any = loop
    watched = LoopWatch(any_loop, None, lambda: True)
    watched.wake()
    assert watched._thread is None
    watched.close()


def test_the_thread_ends_with_the_engine(loop: Loop) -> None:
    busy = threading.Event()
    any_loop: Any = loop
    watched = LoopWatch(any_loop, 0.01, busy.is_set)
    watched.wake()
    thread = watched._thread
    assert thread is not None
    busy.set()
    watched.wake()
    watched.close()
    thread.join(60)
    assert not thread.is_alive()


def test_code_that_is_not_ours_has_no_place() -> None:
    assert where_is(sys._getframe()) is None
    assert where_is(None) is None


@pytest.mark.parametrize("length", ["1ms", "2h", "soon"])
def test_the_setting_is_checked(length: str) -> None:
    with pytest.raises(durable.ConfigError, match="blocked_after"):
        durable.Engine(store="memory:", blocked_after=length)


@pytest.mark.asyncio
async def test_an_engine_without_work_has_no_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    before = {one.name for one in threading.enumerate()}
    async with durable.Engine(store="memory:"):
        await asyncio.sleep(0)  # noqa: TID251  # one pass
        now = {one.name for one in threading.enumerate()}
    assert "durable_loop_watch" not in now - before
    assert caplog.text == ""
