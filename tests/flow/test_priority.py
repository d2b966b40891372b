"""Priority: P1, P2; within a function and key older runs' work goes first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def backlog(
    world: Any, gauge: Any, priority: str | None, *data: dict[str, Any]
) -> list[Any]:
    """In what order runs start that have gathered while another was executing."""

    async def work(ctx: durable.Context) -> None:
        async def step() -> None:
            async with gauge.count(ctx.event.data.get("who")):
                pass

        await ctx.step.run("one", step)

    given = None if priority is None else durable.Priority(priority)
    world.function(work, on="test/start", concurrency=1, priority=given)
    await world.open()
    await world.send(*[durable.Event("test/start", one) for one in data])
    return gauge.order


async def test_p1_high_goes_before_none_and_none_before_low(
    world: Any, gauge: Any
) -> None:
    seconds = "event.data.who == 'high' ? 100 : event.data.who == 'low' ? -100 : 0"
    data = [{"who": who} for who in ("none", "low", "high", "none", "high")]
    order = await backlog(world, gauge, seconds, *data)
    assert order == ["high", "high", "none", "none", "low"]


async def test_p1_what_executes_is_not_pushed_aside(world: Any, gauge: Any) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def work(ctx: durable.Context) -> None:
        async with gauge.count(ctx.event.data["who"]):
            begun.set()
            await goes_on.wait()

    seconds = "event.data.who == 'high' ? 100 : event.data.who == 'low' ? -100 : 0"
    priority = durable.Priority(seconds)
    world.function(work, on="test/start", concurrency=1, priority=priority)
    engine = await world.open()
    await engine.send(durable.Event("test/start", {"who": "none"}))
    await begun.wait()
    await engine.send(
        *[durable.Event("test/start", {"who": w}) for w in ("low", "high")]
    )
    goes_on.set()
    await world.settle()
    assert gauge.order == ["none", "high", "low"]


async def test_p2_what_is_no_number_counts_as_nothing(world: Any, gauge: Any) -> None:
    data = [
        {"who": 1, "p": "7"},
        {"who": 2},
        {"who": 3, "p": 5.9},
        {"who": 4, "p": 1e30},
        {"who": 5, "p": -1},
    ]
    assert await backlog(world, gauge, "event.data.p", *data) == [4, 3, 1, 2, 5]


async def test_without_priority_older_runs_go_first(world: Any, gauge: Any) -> None:
    data = [{"who": n} for n in range(20)]
    assert await backlog(world, gauge, None, *data) == list(range(20))


async def test_who_goes_last_does_not_wait_where_nobody_else_does(
    world: Any, gauge: Any
) -> None:
    data = [{"who": "last"}]
    assert await backlog(world, gauge, "-43200", *data) == ["last"]
