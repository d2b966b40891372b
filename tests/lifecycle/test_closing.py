"""Leaving an engine waits for what executes, and for nothing else."""

import asyncio
import os
import signal
import sys
import textwrap
import threading
from pathlib import Path
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


async def test_a_child_that_outlives_its_killed_parent_does_not_keep_the_store(
    tmp_path: Path,
) -> None:
    store = str(tmp_path / "store")
    parent = textwrap.dedent("""
        import asyncio, os, signal, sys, durable

        async def main():
            async with durable.Engine(store=sys.argv[1]):
                if child := os.fork():
                    print(child, flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
                os.close(1)  # ours is read to its end
                signal.pause()

        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, store, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    await process.wait()
    try:
        async with durable.Engine(store=store) as engine:
            assert engine.is_open()
    finally:
        os.kill(child, signal.SIGKILL)


async def test_parallel_steps_that_the_end_of_the_process_cancels_are_kept(
    world: Any,
) -> None:
    """As `asyncio.run` ends: all tasks are cancelled at once, and the engine closes only then, in its own time."""
    begun, gate = asyncio.Event(), asyncio.Event()

    async def work(number: int) -> int:
        begun.set()
        await gate.wait()
        return number

    async def handler(ctx: durable.Context) -> list[int]:
        steps = (ctx.step.run(f"work {n}", work, n) for n in range(3))
        return await asyncio.gather(*steps)

    async def serve() -> None:
        await world.open()
        try:
            await world.engine.send(durable.Event("test/start"))
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)  # noqa: TID251  # passes of the loop
            await world.close()

    world.function(handler, on="test/start")
    serving = asyncio.create_task(serve())
    await begun.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    gate.set()
    await world.open()
    await world.settle()
    (run,) = await world.engine.runs.list()
    assert (run.status, run.result) == ("completed", [0, 1, 2])
