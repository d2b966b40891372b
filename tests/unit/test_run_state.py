"""How a run's code stands, as it is told to who would close the engine or put the run aside."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_a_run_is_busy_while_its_code_executes_and_not_while_it_waits(
    live: Any,
) -> None:
    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("slow", gate.wait)
        await ctx.step.sleep("rest", "1h")

    run_id = await live.start(handler)
    run = live.worker.runs[run_id]
    assert run.is_busy()
    assert not run.is_executing_steps(), "it has the run's own slot"
    gate.set()
    await live.settle()
    assert not run.is_busy()
    assert run.epoch is None


async def test_steps_with_slots_of_their_own_are_told_apart(live: Any) -> None:
    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> None:
        await asyncio.gather(*(ctx.step.run(f"s{n}", gate.wait) for n in range(2)))

    run_id = await live.start(handler)
    run = live.worker.runs[run_id]
    assert run.is_executing_steps()
    assert run.is_busy()
    gate.set()
    await live.settle()
    assert live.result(run_id) is None
