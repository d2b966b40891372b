"""Reads wait while a store is shut, and a store that cannot be opened again says that it is closed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import durable
from durable._bridge import CoreError
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


async def test_who_reads_is_waited_for_and_who_comes_then_reads_the_next() -> None:
    first, second = made("first", "second")
    second.gate.set()
    door: Any = Door(first)
    loop = asyncio.get_running_loop()
    early = loop.run_in_executor(None, door.read)
    await asyncio.to_thread(first.begun.wait, 30)
    opened = asyncio.ensure_future(door.reopen(loop, lambda: second))
    while not door._is_shut:
        await asyncio.to_thread(bool)
    late = loop.run_in_executor(None, door.read)
    first.gate.set()
    await opened
    assert (await early, await late) == ("first", "second")
    assert first.is_closed
    assert door.word == "second"


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
