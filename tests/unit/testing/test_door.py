"""Reads wait while a store is shut, and a store that cannot be opened again says that it is closed."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from typing_extensions import override

import durable
from durable._bridge import CoreError
from durable._session import on_own_thread
from durable.testing._door import Door


pytestmark = pytest.mark.asyncio


class Shelf:
    """A core of which one call can be held up."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.begun, self.gate = threading.Event(), threading.Event()
        self.is_closed = False

    def read(self) -> str:
        self.begun.set()
        self.gate.wait(30)
        return "closed" if self.is_closed else self.word

    def close(self) -> None:
        self.is_closed = True


def made(*words: str) -> list[Any]:
    return [Shelf(word) for word in words]


class Counted(threading.Condition):
    """Knows how many threads wait for it."""

    waiting = 0

    @override
    def wait(self, timeout: float | None = None) -> bool:
        self.waiting += 1
        try:
            return super().wait(timeout)
        finally:
            self.waiting -= 1


def door_to(core: Any) -> Any:
    door = Door(core)
    door._changed = Counted()
    return door


async def until_so_many_wait(door: Any, count: int) -> None:
    while door._changed.waiting < count:
        await asyncio.wrap_future(on_own_thread(bool))


async def test_who_reads_is_waited_for_and_who_comes_then_reads_the_next() -> None:
    first, second = made("first", "second")
    second.gate.set()
    door = door_to(first)
    loop = asyncio.get_running_loop()
    early = loop.run_in_executor(None, door.read)
    await asyncio.to_thread(first.begun.wait, 30)
    opened = asyncio.ensure_future(door.reopen(loop, lambda: second))
    await until_so_many_wait(door, 1)
    late = loop.run_in_executor(None, door.read)
    await until_so_many_wait(door, 2)
    first.gate.set()
    await opened
    assert (await early, await late) == ("first", "second")
    assert first.is_closed
    assert door.word == "second"


async def test_those_who_wait_may_be_as_many_as_the_loop_has_threads() -> None:
    first, second = made("first", "second")
    second.gate.set()
    door = door_to(first)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    early = loop.run_in_executor(None, door.read)
    await asyncio.wrap_future(on_own_thread(first.begun.wait, 30))
    opened = asyncio.ensure_future(door.reopen(loop, lambda: second))
    await until_so_many_wait(door, 1)
    late = [loop.run_in_executor(None, door.read) for _ in range(5)]
    await until_so_many_wait(door, 2)
    first.gate.set()
    await asyncio.wait_for(opened, 30)
    assert await early == "first"
    assert await asyncio.gather(*late) == ["second"] * 5


async def test_a_store_that_is_not_let_go_of_at_once_is_asked_for_again() -> None:
    first, second = made("first", "second")
    door: Any = Door(first)
    refusals = [CoreError("locked", "somebody reads")] * 3

    def open_core() -> Any:
        if refusals:
            raise refusals.pop()
        return second

    await door.reopen(asyncio.get_running_loop(), open_core)
    assert door.word == "second"


async def test_a_store_that_cannot_be_opened_keeps_nobody_waiting() -> None:
    (first,) = made("first")
    first.gate.set()
    door: Any = Door(first)

    def open_core() -> Any:
        raise CoreError("corrupt", "it has rotted")

    loop = asyncio.get_running_loop()
    with pytest.raises(durable.DurableError, match="rotted"):
        await door.reopen(loop, open_core)
    assert await loop.run_in_executor(None, door.read) == "closed"
