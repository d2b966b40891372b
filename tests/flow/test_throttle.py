"""Throttle: H1, bursts, keys, what is not throttled, restarts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


def work(world: Any) -> Any:
    async def work(ctx: durable.Context) -> tuple[str, int, int]:
        began = await ctx.step.run("began", world.engine.now_ms)
        await ctx.step.run("more", lambda: None)
        await ctx.step.sleep("rest", "1s")
        ended = await ctx.step.run("ended", world.engine.now_ms)
        return ctx.event.data.get("who", "-"), began, ended

    return work


async def starts(world: Any, who: str = "-") -> list[int]:
    """When the runs for somebody began, in ms since the first."""
    runs = await world.engine.runs.list(limit=500)
    assert {run.status for run in runs} == {"completed"}
    moments = sorted(
        began for name, began, _ in (run.result for run in runs) if name == who
    )
    return [moment - moments[0] for moment in moments]


async def send(world: Any, *names: str) -> None:
    await world.send(*[durable.Event("test/start", {"who": who}) for who in names])


@pytest.mark.parametrize(
    ("limit", "period", "burst", "expected"),
    [
        (1, "5s", 0, [0, 5000, 10000, 15000, 20000, 25000]),
        (2, "5s", 0, [0, 0, 2500, 5000, 7500, 10000]),
        (2, "6s", 1, [0, 0, 0, 3000, 6000, 9000]),
    ],
)
async def test_h1_starts_are_spread_as_the_rate_says(
    world: Any, limit: int, period: str, burst: int, expected: list[int]
) -> None:
    throttle = durable.Throttle(limit, period, burst=burst)
    world.function(work(world), on="test/start", throttle=throttle)
    await world.open()
    await send(world, *"------")
    await world.engine.advance("1h")
    assert await starts(world) == expected


async def test_h1_each_key_has_a_rate_of_its_own(world: Any) -> None:
    throttle = durable.Throttle(1, "5s", key="event.data.who")
    world.function(work(world), on="test/start", throttle=throttle)
    await world.open()
    await send(world, *"xxyyx")
    await world.engine.advance("1h")
    assert await starts(world, "x") == [0, 5000, 10000]
    assert await starts(world, "y") == [0, 5000]


async def test_h1_steps_are_not_throttled(world: Any) -> None:
    throttle = durable.Throttle(1, "1h")
    world.function(work(world), on="test/start", throttle=throttle)
    await world.open()
    await send(world, "x")
    await world.engine.advance("2s")
    (run,) = await world.engine.runs.list()
    _, began, ended = run.result
    assert ended - began == 1000


async def test_a_throttle_holds_over_a_restart(world: Any) -> None:
    throttle = durable.Throttle(1, "10m")
    world.function(work(world), on="test/start", throttle=throttle)
    await world.open()
    await send(world, *"---")
    await world.restart()
    await world.engine.advance("15m")
    await world.restart()
    await world.engine.advance("1h")
    moments = await starts(world)
    assert all(later - moment >= 600_000 for moment, later in pairwise(moments))
    assert moments[-1] < 1_500_000


async def test_older_starts_go_first_whatever_their_queue(world: Any) -> None:
    """One throttle over runs of different concurrency keys: first in, first out."""
    world.function(
        work(world),
        on="test/start",
        throttle=durable.Throttle(1, "1m"),
        concurrency=durable.Concurrency(1, key="event.data.who"),
    )
    await world.open()
    for who in "abcabc":
        await send(world, who)
        await world.engine.advance("1ms")
    await world.engine.advance("1h")
    runs = await world.engine.runs.list(limit=50)
    order = [run.result[0] for run in sorted(runs, key=lambda run: run.result[1])]
    assert "".join(order) == "abcabc"
