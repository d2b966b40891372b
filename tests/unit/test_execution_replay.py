"""What a run's code may rely on when it is called again: in another process, or after a change of code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


def messages(caplog: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_the_logger_speaks_again_beyond_a_step_that_is_gone(
    bench: Any, caplog: Any
) -> None:
    is_new = False

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("one", lambda: 1)
        if not is_new:
            await ctx.step.run("gone", lambda: 1)
        ctx.logger.warning("again" if is_new else "before")
        await ctx.step.sleep("rest", "1h")
        ctx.logger.warning("tail")

    await bench.start(handler)
    is_new = True
    await bench.restart()
    await bench.advance(3_600_000)
    assert messages(caplog) == ["before", "tail"]


async def test_the_logger_speaks_again_from_the_first_new_step(
    live: Any, caplog: Any
) -> None:
    """Where what was recorded last is gone, nothing else says that all was gone through."""
    is_new = False

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest" if is_new else "gone", "1h")
        ctx.logger.warning("tail")

    await live.start(handler)
    await live.restart()
    is_new = True
    await live.advance(3_600_000)
    await live.advance(3_600_000)
    assert messages(caplog) == ["tail"]


async def test_the_logger_repeats_nothing_of_parallel_code(
    bench: Any, caplog: Any
) -> None:
    async def handler(ctx: durable.Context) -> None:
        async def chain(name: str, length: str) -> None:
            ctx.logger.warning("%s begins", name)
            await ctx.step.sleep(f"rest {name}", length)
            ctx.logger.warning("%s goes on", name)
            await ctx.step.run(f"last {name}", lambda: name)

        await asyncio.gather(chain("slow", "2h"), chain("quick", "1h"))
        ctx.logger.warning("both")
        await ctx.step.sleep("rest", "1h")

    await bench.start(handler)
    for _ in range(4):
        await bench.restart()
        await bench.advance(3_600_000)
    assert messages(caplog) == [
        "slow begins",
        "quick begins",
        "quick goes on",
        "slow goes on",
        "both",
    ]
