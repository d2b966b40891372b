"""Where policies meet each other, deploys and pauses: what is neither lost nor stuck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def work(ctx: durable.Context) -> list[Any]:
    return [event.data.get("n") for event in ctx.events]


async def send(world: Any, *numbers: int, **envelope: Any) -> list[str]:
    events = [durable.Event("test/start", {"n": n}, **envelope) for n in numbers]
    return list(await world.send(*events))


async def completed(world: Any) -> list[Any]:
    runs = await world.engine.runs.list(limit=100, status="completed")
    return [run.result for run in runs[::-1]]


async def test_code_beside_a_step_that_executes_stops_when_its_function_is_paused(  # noqa: C901  # one story
    world: Any,
) -> None:
    begun: list[int] = []
    is_there, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        await goes_on.wait()
        return "slow"

    async def quick(n: int) -> int:
        begun.append(n)
        if n == 3:
            is_there.set()
        return n

    async def both(ctx: durable.Context) -> list[Any]:
        async def chain() -> int:
            for n in range(20):
                await ctx.step.run(f"quick {n}", quick, n)
            return 20

        return list(await asyncio.gather(ctx.step.run("slow", slow), chain()))

    world.function(both, on="test/start")
    engine = await world.open(clock="system")
    (event_id,) = await engine.send(durable.Event("test/start"))
    (run_id,) = (await engine.events.get(event_id)).run_ids
    await is_there.wait()
    await engine.functions.pause("both")
    seen = len(begun)
    for _ in range(200):
        await asyncio.sleep(0)  # noqa: TID251  # a pass of the loop
    assert len(begun) <= seen + 1
    goes_on.set()
    for _ in range(10_000):
        if (await engine.runs.get(run_id)).status == "queued":
            break
    run = await engine.runs.get(run_id)
    assert run.steps["slow"].result == "slow"
    await engine.functions.resume("both")
    run = await engine.runs.wait(run_id, timeout="30s")
    assert run.result == ["slow", 20]
    assert sorted(begun) == list(range(20)), "no step twice"


async def test_what_had_gathered_before_a_pause_waits_for_its_end(world: Any) -> None:
    world.function(work, on="test/start", batch=durable.Batch(5, "5s"))
    engine = await world.open()
    await send(world, 1, 2)
    await engine.functions.pause("work")
    await send(world, 3)
    await engine.advance("1m")
    assert await completed(world) == []
    await engine.functions.resume("work")
    await world.settle()
    assert await completed(world) == [[1, 2]]


async def test_what_is_dropped_by_a_pause_has_used_up_nothing(world: Any) -> None:
    world.function(work, on="test/start", idempotency="event.data.n")
    engine = await world.open()
    await engine.functions.pause("work")
    await send(world, 1, id="mine")
    await engine.functions.resume("work")
    await send(world, 1, id="mine")
    assert await completed(world) == [[1]]


async def test_a_function_that_is_gone_keeps_what_it_gathered(world: Any) -> None:
    async def other(_: durable.Context) -> None: ...

    world.function(work, on="test/start", debounce=durable.Debounce("5s"))
    await world.open()
    await send(world, 1)
    await world.close()
    del world.app.functions["work"]
    world.function(other, on="test/other")
    engine = await world.open()
    await engine.advance("1h")
    await world.close()
    world.function(work, on="test/start")
    await world.open()
    await world.settle()
    assert await completed(world) == [[1]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"idempotency": "event.data.a"}, {"idempotency": "event.data.b"}),
        (
            {"rate_limit": durable.RateLimit(1, "1h", key="event.data.a")},
            {"rate_limit": durable.RateLimit(1, "1h", key="event.data.b")},
        ),
    ],
)
async def test_another_key_has_values_of_its_own(
    world: Any, before: Any, after: Any
) -> None:
    world.function(work, on="test/start", **before)
    await world.open()
    await world.send(durable.Event("test/start", {"n": 1, "a": 5}))
    await world.close()
    world.function(work, on="test/start", **after)
    await world.open()
    await world.send(durable.Event("test/start", {"n": 2, "a": 6, "b": 5}))
    assert await completed(world) == [[1], [2]]


async def test_runs_that_are_older_than_a_key_share_one_bucket(world: Any) -> None:
    async def slow(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1m")

    world.function(slow, on="test/start", run_concurrency=durable.Concurrency(1))
    await world.open()
    await send(world, *range(5))
    await world.close()
    limit = durable.Concurrency(1, key="event.data.n")
    world.function(slow, on="test/start", run_concurrency=limit)
    engine = await world.open()
    await send(world, 10, 11)
    assert len(await engine.runs.list(status="parked")) == 1 + 2
    await engine.advance("1h")
    assert len(await engine.runs.list(status="completed")) == 7


async def test_two_shared_keys_are_told_apart(world: Any) -> None:
    async def slow(ctx: durable.Context) -> None:
        await ctx.step.run("wait", asyncio.Event().wait)

    a, b = (
        durable.Concurrency(n, key=f"event.data.{key}", scope="env")
        for n, key in enumerate("ab", 1)
    )
    world.function(slow, on="test/start", concurrency=[a, b])
    engine = await world.open(clock="system")
    await engine.send(durable.Event("test/start", {"a": "x", "b": "y"}))
    limits = await engine.functions.limits("slow")
    assert {(one.key, one.value, one.limit) for one in limits} == {
        ("event.data.a", "x", 1),
        ("event.data.b", "y", 2),
    }


async def test_a_text_that_looks_like_ours_is_a_value_like_others(world: Any) -> None:
    batch = durable.Batch(2, "1s", key="event.data.k")
    world.function(work, on="test/start", batch=batch)
    engine = await world.open()
    for n, data in enumerate(({"k": "\0missing"}, {}, {"k": "\0missing"}, {"k": None})):
        await world.send(durable.Event("test/start", {"n": n, **data}))
    await engine.advance("1s")
    assert sorted(await completed(world)) == [[0, 2], [1, 3]]


async def test_a_head_start_ends_at_twelve_hours(world: Any, gauge: Any) -> None:
    async def one(ctx: durable.Context) -> None:
        async with gauge.count(ctx.event.data["n"]):
            pass

    world.function(
        one,
        on="test/start",
        concurrency=1,
        priority=durable.Priority("event.data.p"),
    )
    engine = await world.open()
    await engine.functions.pause("one")
    await engine.functions.resume("one")
    hours = 3600
    events = [
        durable.Event("test/start", {"n": n, "p": p})
        for n, p in enumerate((0, 12 * hours, 99 * hours, -12 * hours, -99 * hours))
    ]
    await world.send(*events)
    # beyond twelve hours more is no more: these two go by their age
    assert gauge.order == [1, 2, 0, 3, 4]


async def test_older_runs_next_steps_go_before_younger_runs_starts(
    world: Any, gauge: Any
) -> None:
    async def two(ctx: durable.Context) -> None:
        name = ctx.event.data["n"]

        async def step(which: str) -> None:
            async with gauge.count(f"{name}{which}"):
                pass

        await asyncio.gather(ctx.step.run("a", step, "a"), ctx.step.run("b", step, "b"))

    world.function(two, on="test/start", concurrency=1)
    await world.open()
    await send(world, *range(3))
    assert gauge.order == ["0a", "0b", "1a", "1b", "2a", "2b"]
