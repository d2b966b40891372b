"""The tasks that a coroutine makes are known, and those that they make."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import anyio
import anyio.to_thread
import pytest

import durable
from durable._following import Followed
from durable._step import CURRENT_RUN, CURRENT_STEP


pytestmark = pytest.mark.asyncio


async def leaf() -> str:
    return "leaf"


async def family() -> list[str]:
    """A child, a grandchild, and one by way of anyio."""

    async def child() -> str:
        return await asyncio.create_task(leaf(), name="grandchild")

    async with anyio.create_task_group() as group:
        group.start_soon(leaf, name="by anyio")
    return await asyncio.gather(asyncio.create_task(child(), name="child"), leaf())


async def test_each_task_is_known_once() -> None:
    known: list[asyncio.Task[Any]] = []
    given = await asyncio.create_task(Followed(family(), known.append))
    assert given == ["leaf", "leaf"]
    names = [one.get_name() for one in known]
    assert [one for one in names if not one.startswith("Task-")] == [
        "by anyio",
        "child",
        "grandchild",
    ]
    assert len(known) == len(set(known)) == 4  # gather makes one itself


async def test_others_make_their_tasks_as_ever() -> None:
    loop = asyncio.get_running_loop()
    made: list[str] = []

    def factory(loop: Any, coroutine: Any, **settings: Any) -> Any:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **settings)

    known: list[asyncio.Task[Any]] = []
    loop.set_task_factory(factory)
    try:
        follower = asyncio.create_task(Followed(family(), known.append))
        other = asyncio.create_task(leaf())
        await asyncio.gather(follower, other)
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(None)
    assert other not in known
    assert made[:2] == ["family", "leaf"]
    assert len(made) == len(known) + 2, "the program's own factory makes them all"


async def test_what_a_step_starts_is_not_the_handler_s() -> None:
    known: list[asyncio.Task[Any]] = []

    async def step() -> None:
        token = CURRENT_STEP.set(object())  # type: ignore[arg-type]  # any
        await asyncio.create_task(leaf())
        CURRENT_STEP.reset(token)

    await asyncio.create_task(Followed(step(), known.append))
    assert known == []


async def test_it_is_cancelled_thrown_into_closed_and_looked_at_as_what_it_follows() -> (
    None
):
    known: list[asyncio.Task[Any]] = []
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(Followed(wait(), known.append))
    await begun.wait()
    assert inspect.getcoroutinestate(task.get_coro()) == "CORO_SUSPENDED"  # type: ignore[arg-type]  # stands for one
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closed = leaf()
    Followed(closed, known.append).close()
    assert inspect.getcoroutinestate(closed) == "CORO_CLOSED"
    assert await Followed(leaf(), known.append) == "leaf"


async def test_a_handler_that_waits_unseen_for_a_thread_executes(live: Any) -> None:
    """Its tasks meet through an event: which of them is busy, one knows only if one knows them all."""
    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> None:
        run = CURRENT_RUN.get()
        assert run is not None
        met = anyio.Event()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def busy() -> None:
            gate.set()
            await future

        async def meet() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(ctx.step.sleep, "a", "1h")
                background = asyncio.create_task(busy())
                handles.append(future)
                await met.wait()
                await background

        await asyncio.create_task(Followed(meet(), run.know_task))

    handles: list[asyncio.Future[None]] = []
    run = await live.start(handler)
    await gate.wait()
    assert live.core.runs[run].stretch == "executing"
    handles[0].set_result(None)
    await live.settle()
    assert live.core.runs[run].stretch == "parked"
