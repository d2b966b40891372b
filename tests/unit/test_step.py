"""A step call is awaited once, knows its line, and is a coroutine to asyncio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

import durable


@pytest.mark.asyncio
async def test_asyncio_takes_a_call_for_a_coroutine(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> list[bool]:
        call = ctx.step.run("a", int)
        kinds = [
            asyncio.iscoroutine(call),
            inspect.isawaitable(call),
            isinstance(call, Coroutine),
        ]
        await call
        return kinds

    assert bench.result(await bench.start(handler)) == [True] * 3


@pytest.mark.asyncio
async def test_a_call_awaited_twice_is_an_error(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        call = ctx.step.run("a", int)
        await call
        await call

    assert "awaited twice" in bench.error(await bench.start(handler))["message"]


@pytest.mark.asyncio
async def test_a_task_called_off_before_its_step_began_leaves_nothing(
    bench: Any,
) -> None:
    async def handler(ctx: durable.Context) -> str:
        task = asyncio.ensure_future(ctx.step.run("never", int))
        task.cancel()
        await asyncio.wait([task])
        return await ctx.step.run("after", lambda: "ok")

    run = await bench.start(handler)
    assert bench.result(run) == "ok"
    assert [memo[0] for memo in bench.core.runs[run].memos] == ["after"]


@pytest.mark.asyncio
async def test_a_call_closed_by_hand_counts_as_seen_to(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        ctx.step.run("never", int).close()
        return "ok"

    assert bench.result(await bench.start(handler)) == "ok"


@pytest.mark.asyncio
async def test_every_step_forgotten_is_named(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        ctx.step.run("one", int)
        ctx.step.sleep("two", 1)

    message = bench.error(await bench.start(handler))["message"]
    assert "'one'" in message
    assert "'two'" in message
    assert "test_step.py" in message
