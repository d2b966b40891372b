"""Whether code waits for steps alone is seen through what asyncio waits with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def step(ctx: durable.Context, name: str = "a") -> None:
    await ctx.step.sleep(name, "1h")


async def by_gather(ctx: durable.Context) -> None:
    await asyncio.gather(step(ctx), step(ctx))


async def by_group(ctx: durable.Context) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(step(ctx))
        group.create_task(ctx.step.sleep("b", "1h"))


async def by_wait(ctx: durable.Context) -> None:
    await asyncio.wait([asyncio.ensure_future(step(ctx))])


async def by_wait_for(ctx: durable.Context) -> None:
    await asyncio.wait_for(step(ctx), 1000)


async def by_task(ctx: durable.Context) -> None:
    await asyncio.ensure_future(step(ctx))


async def by_as_completed(ctx: durable.Context) -> None:
    for one in asyncio.as_completed([step(ctx), step(ctx)]):
        await one


async def by_nesting(ctx: durable.Context) -> None:
    await asyncio.gather(by_gather(ctx), by_group(ctx), by_task(ctx))


async def pages(ctx: durable.Context) -> AsyncIterator[int]:
    await by_group(ctx)
    yield 1


async def by_async_generator(ctx: durable.Context) -> None:
    async for _ in pages(ctx):
        pass


async def by_anext(ctx: durable.Context) -> None:
    await anext(pages(ctx), None)


async def by_generator_in_a_task(ctx: durable.Context) -> None:
    await asyncio.ensure_future(by_async_generator(ctx))


class Awaited:
    """What is awaited by way of another object."""

    def __init__(self, ctx: durable.Context) -> None:
        self.ctx = ctx

    def __await__(self) -> Generator[Any, Any, None]:
        return by_group(self.ctx).__await__()


async def by_object(ctx: durable.Context) -> None:
    await Awaited(ctx)


async def by_semaphore(ctx: durable.Context) -> None:
    semaphore = asyncio.Semaphore(1)

    async def one() -> None:
        async with semaphore:
            await step(ctx)

    await asyncio.gather(one(), one())


async def by_queue(ctx: durable.Context) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def feed() -> None:
        await step(ctx)
        queue.put_nowait(1)

    task = asyncio.ensure_future(feed())
    await queue.get()
    await task


@pytest.mark.parametrize(
    "handler",
    [
        by_gather,
        by_group,
        by_wait,
        by_wait_for,
        by_task,
        by_as_completed,
        by_nesting,
        by_async_generator,
        by_anext,
        by_generator_in_a_task,
        by_object,
        by_semaphore,
        by_queue,
    ],
)
async def test_code_that_waits_for_steps_parks_and_wakes(
    bench: Any, handler: Any
) -> None:
    run = await bench.start(handler)
    assert bench.core.runs[run].stretch == "parked"
    for _ in range(2):
        await bench.advance(3_600_000)
    assert bench.core.runs[run].stretch == "ended"
    assert bench.core.runs[run].outcome[0] == "completed"


async def test_anyio_groups_are_seen_through_too(bench: Any) -> None:
    anyio = pytest.importorskip("anyio")

    async def handler(ctx: durable.Context) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(step, ctx, "a")
            group.start_soon(step, ctx, "b")

    run = await bench.start(handler)
    assert bench.core.runs[run].stretch == "parked"
    await bench.advance(3_600_000)
    assert bench.core.runs[run].outcome[0] == "completed"


async def test_a_task_of_another_kind_keeps_the_slot(live: Any) -> None:
    gate = asyncio.Event()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def foreign() -> None:
        await future

    async def handler(ctx: durable.Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(step(ctx))
            group.create_task(foreign())

    run = await live.start(handler)
    assert live.core.runs[run].stretch == "executing"
    future.set_result(None)
    gate.set()
    await live.settle()
    assert live.core.runs[run].stretch == "parked"
