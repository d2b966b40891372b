"""A store on disk is away for a moment when a test crashes: what is asked meanwhile is answered when it is back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import durable
from durable._bridge import CoreError
from durable._session import on_own_thread
from durable.testing import TestEngine

from .conftest import Shop


pytestmark = pytest.mark.asyncio

START = durable.Event("shop/start")
DEADLINE_S = 20
#: More than the pool of a loop has threads.
MANY = 100


class Away:
    """A crash, held up where the store is closed and not yet open again."""

    def __init__(self, t: TestEngine) -> None:
        self._gate, self._is_closed = threading.Event(), threading.Event()
        self._is_lost = False
        open_core = t._open_core

        def held_up() -> Any:
            self._is_closed.set()
            self._gate.wait(DEADLINE_S)
            if self._is_lost:
                kind, text = "corrupt", "it has rotted"
                raise CoreError(kind, text)
            return open_core()

        t._open_core = held_up  # type: ignore[method-assign]
        self._crash = asyncio.ensure_future(t.crash())

    async def begin(self) -> None:
        await asyncio.wrap_future(on_own_thread(self._is_closed.wait, DEADLINE_S))

    def lose(self) -> None:
        """It cannot be opened again."""
        self._is_lost = True

    async def end(self) -> None:
        self._gate.set()
        await asyncio.wait_for(self._crash, DEADLINE_S)


async def turns() -> None:
    """Let all here go on to where it waits."""
    for _ in range(10):
        await asyncio.wrap_future(on_own_thread(bool))


async def next_of(t: TestEngine) -> Any:
    async for message in t.subscribe("news"):
        return message.data
    return None


def order_of(shop: Shop) -> Any:
    async def order(ctx: durable.Context) -> str:
        await ctx.step.sleep("nap", "1h")
        return await ctx.step.run("ship", shop.do, "ship")

    return shop.function(order, on="shop/start")


async def send(t: TestEngine, function: Any) -> str:
    del function
    (event_id,) = await durable.Engine.send(t, START)
    await t.run_until_idle()
    (run,) = await t.events.runs(event_id)
    return str(run.result)


async def execute(t: TestEngine, function: Any) -> str:
    run = await t.execute(function, START)
    return str(run.result)


async def invoke(t: TestEngine, function: Any) -> str:
    return str(await t.invoke(function))


async def advance(t: TestEngine, function: Any) -> str:
    del function
    began = t.now
    await t.advance("1h")
    return str((t.now - began).total_seconds())


async def join(t: TestEngine, function: Any) -> str:
    del function
    await t.join()
    return "joined"


async def publish(t: TestEngine, function: Any) -> str:
    del function
    await t.publish("news", "told", "published")
    return str(await next_of(t))


async def read_often(t: TestEngine, function: Any) -> str:
    del function
    listed = await asyncio.gather(*(t.runs.list() for _ in range(MANY)))
    return str(len(listed))


ASKED: list[tuple[Callable[[TestEngine, Any], Awaitable[str]], str]] = [
    (send, "ship done"),
    (execute, "ship done"),
    (invoke, "ship done"),
    (advance, "3600.0"),
    (join, "joined"),
    (publish, "published"),
    (read_often, str(MANY)),
]
NAMES = [ask.__name__ for ask, _ in ASKED]


@pytest.mark.parametrize(("ask", "answer"), ASKED, ids=NAMES)
async def test_what_is_asked_while_the_store_is_away_is_answered(
    shop: Shop,
    quick_folder: Path,
    ask: Callable[[TestEngine, Any], Awaitable[str]],
    answer: str,
) -> None:
    function = order_of(shop)
    async with TestEngine(shop.app, store=quick_folder / "store") as t:
        away = Away(t)
        await away.begin()
        asked = asyncio.ensure_future(ask(t, function))
        await turns()
        assert not asked.done()
        await away.end()
        assert await asyncio.wait_for(asked, DEADLINE_S) == answer
        assert t._steered._tickets == {}


async def test_a_run_and_a_channel_are_waited_for_from_while_the_store_is_away(
    shop: Shop, quick_folder: Path
) -> None:
    function = order_of(shop)
    async with TestEngine(shop.app, store=quick_folder / "store") as t:
        (event_id,) = await t.send(START)
        (run,) = await t.events.runs(event_id)
        early = asyncio.ensure_future(next_of(t))
        await turns()
        away = Away(t)
        await away.begin()
        waiting = asyncio.ensure_future(t.runs.wait(run.id))
        late = asyncio.ensure_future(next_of(t))
        unknown = asyncio.ensure_future(t.runs.wait("0" * 25 + "1"))
        await turns()
        await away.end()
        with pytest.raises(durable.NotFoundError):
            await asyncio.wait_for(unknown, DEADLINE_S)
        assert not waiting.done()
        await t.publish("news", "told", 7)
        heard = asyncio.gather(early, late)
        assert await asyncio.wait_for(heard, DEADLINE_S) == [7, 7]
        await t.advance("1h")
        ended = await asyncio.wait_for(waiting, DEADLINE_S)
        assert (ended.function, ended.result) == (function.id, "ship done")


async def test_who_sends_and_publishes_without_end_is_answered_and_holds_no_crash_up(
    shop: Shop, quick_folder: Path
) -> None:
    done: list[str] = []
    is_over = False

    async def send_on(t: TestEngine) -> None:
        while not is_over:
            done.extend(await durable.Engine.send(t, durable.Event("shop/noise")))

    async def publish_on(t: TestEngine) -> None:
        while not is_over:
            done.append(await t.publish("news", "told", 1))

    async with TestEngine(shop.app, store=quick_folder / "store") as t:
        for _ in range(5):
            is_over = False
            busy = [asyncio.ensure_future(send_on(t)) for _ in range(3)]
            busy += [asyncio.ensure_future(publish_on(t)) for _ in range(3)]
            await turns()
            crash = asyncio.ensure_future(t.crash())
            await turns()
            assert t._crashing is not None
            await asyncio.wait_for(t._crashing, DEADLINE_S)
            is_over = True
            await asyncio.wait_for(asyncio.gather(crash, *busy), DEADLINE_S)
        assert len(done) == len(set(done)) > 0


async def test_who_asks_of_a_store_that_does_not_come_back_is_told(
    shop: Shop, quick_folder: Path
) -> None:
    function = order_of(shop)
    t = TestEngine(shop.app, store=quick_folder / "store")
    await t.__aenter__()
    away = Away(t)
    await away.begin()
    asked = [
        asyncio.ensure_future(one(t, function)) for one in (send, execute, publish)
    ]
    await turns()
    away.lose()
    with pytest.raises(durable.StoreError, match="rotted"):
        await away.end()
    for one in asked:
        with pytest.raises(durable.DurableError):
            await asyncio.wait_for(one, DEADLINE_S)
    with pytest.raises(durable.DurableError):
        await t.__aexit__(None, None, None)


async def test_an_execution_goes_on_through_a_crash_that_one_of_its_steps_asks_for(
    shop: Shop, quick_folder: Path
) -> None:
    crashes: list[str] = []

    async def order(ctx: durable.Context) -> list[str]:
        async def pack(box: str) -> str:
            if box == "b" and ctx.run_id not in crashes:
                crashes.append(ctx.run_id)
                await t.crash()
            return box

        return await asyncio.gather(*(ctx.step.run(box, pack, box) for box in "abc"))

    function = shop.function(order, on="shop/start", retries=1)
    for n in range(10):
        async with TestEngine(shop.app, store=quick_folder / f"store{n}", seed=n) as t:
            executing = t.execute(function, START)
            run = await asyncio.wait_for(executing, DEADLINE_S)
            assert run.result == ["a", "b", "c"]
    assert len(crashes) == 10
