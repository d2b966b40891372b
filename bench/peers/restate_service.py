"""The functions of the benchmark as a Restate service, served by granian."""

import time
from datetime import timedelta

import restate


service = restate.Service("bench")


def touch() -> int:
    """The cheapest step there is."""
    return 1


@service.handler()
async def one(ctx: restate.Context, _data: dict[str, float]) -> int:
    """W1: one step."""
    return await ctx.run_typed("a", touch)


@service.handler()
async def five(ctx: restate.Context, _data: dict[str, float]) -> int:
    """W2: five steps in a row."""
    total = 0
    for name in ("a", "b", "c", "d", "e"):
        total += await ctx.run_typed(name, touch)
    return total


@service.handler()
async def sleeping(ctx: restate.Context, data: dict[str, float]) -> float:
    """W4: how many milliseconds late a sleep ends."""
    left = max(0.0, data["due_ms"] / 1e3 - time.time())
    await ctx.sleep(timedelta(seconds=left))
    return time.time() * 1e3 - data["due_ms"]


@service.handler()
async def latency(_ctx: restate.Context, _data: dict[str, float]) -> float:
    """W5: the clock at the first line."""
    return time.monotonic()


app = restate.app([service])
