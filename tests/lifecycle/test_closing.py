"""Leaving an engine waits for what executes, and for nothing else."""

import asyncio
import threading
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_plain_handlers_that_wait_for_a_thread_do_not_hold_up_the_end(
    world: Any,
) -> None:
    begun, gate = threading.Event(), threading.Event()
    kept: list[int] = []

    def work() -> None:
        begun.set()
        gate.wait()
        kept.append(1)

    def handler(ctx: durable.SyncContext) -> None:
        ctx.step.run("work", work)
        ctx.step.run("more", kept.append, 2)

    world.function(handler, on="test/start")
    engine = await world.open(grace="1h", threads=2)
    await engine.send([durable.Event("test/start") for _ in range(20)])
    await asyncio.to_thread(begun.wait)
    asyncio.get_running_loop().call_soon(gate.set)
    async with asyncio.timeout(10):
        await world.close()
    assert set(kept) == {1}
    await world.open()
    await world.settle()
    assert kept.count(2) == 20
