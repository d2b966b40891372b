"""With `replay="always"` a handler is watched behind middleware too, plain or async; what hooks ask is their own business."""

# ruff: noqa: S311, TID251  # these are the calls that are tried

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Any

import pytest

import durable

from .conftest import Diary, use


pytestmark = pytest.mark.asyncio
asks = pytest.mark.parametrize(
    "ask", [time.time, random.random, lambda: str(uuid.uuid4())]
)


class Clocked(durable.Middleware):
    """Asks the world in each of its hooks, as may be."""

    def look(self, _: object) -> None:
        assert all((time.time(), uuid.uuid4(), random.random() + 1))

    transform_input = look
    before_memoization = look
    after_memoization = look
    before_execution = look
    after_execution = look
    transform_output = look


async def ended(world: Any, diary: Diary, handler: Any) -> Any:
    """The run of a handler behind middleware."""
    use(world, diary, Clocked())
    world.function(handler, on="test/start")
    await world.open()
    (event_id,) = await world.send(durable.Event("test/start"))
    return await world.run_of(event_id)


def told(world: Any, run: Any) -> None:
    """That it is told of what the handler asks, where that is looked for."""
    if world.replay == "needed":
        assert run.status == "completed"
    else:
        assert run.error.code == "DUR-0203"
        assert "function 'handler' calls " in run.error.message


@asks
async def test_an_async_handler_is_watched(world: Any, diary: Diary, ask: Any) -> None:
    def asking() -> Any:
        return ask()

    async def handler(ctx: durable.Context) -> Any:
        await ctx.step.run("charge", str, 1)
        return asking()

    told(world, await ended(world, diary, handler))


async def test_a_handler_that_sleeps_between_steps_is_told(
    world: Any, diary: Diary
) -> None:
    """It would sleep as long again in each call. A step may, as it may ask for anything."""

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("poll", asyncio.sleep, 0.001)
        await asyncio.sleep(0.001)
        await ctx.step.run("ship", str, 1)

    told(world, await ended(world, diary, handler))


@asks
async def test_a_plain_handler_is_watched(world: Any, diary: Diary, ask: Any) -> None:
    def asking() -> Any:
        return ask()

    def handler(ctx: durable.SyncContext) -> Any:
        ctx.step.run("charge", str, 1)
        return asking()

    told(world, await ended(world, diary, handler))


@asks
async def test_steps_and_hooks_may_ask(world: Any, diary: Diary, ask: Any) -> None:
    def asking() -> Any:
        return ask()

    async def handler(ctx: durable.Context) -> Any:
        return await ctx.step.run("ask", asking)

    run = await ended(world, diary, handler)
    assert run.status == "completed", run.error


@asks
async def test_steps_and_hooks_of_a_plain_handler_may_ask(
    world: Any, diary: Diary, ask: Any
) -> None:
    def asking() -> Any:
        return ask()

    def handler(ctx: durable.SyncContext) -> Any:
        return ctx.step.run("ask", asking)

    run = await ended(world, diary, handler)
    assert run.status == "completed", run.error
