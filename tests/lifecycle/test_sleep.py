"""What is promised of sleeping runs: conformance cases W1 and W2, restarts, eviction."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

FLAT = durable.Backoff("1m", jitter=0)


async def test_w1_a_sleep_is_never_short_and_attempts_start_again_after_it(
    world: Any,
) -> None:
    attempts: list[int] = []
    woke_at: list[int] = []

    async def handler(ctx: durable.Context) -> str:
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            msg = "before the sleep"
            raise ValueError(msg)
        await ctx.step.sleep("rest", "10s")
        woke_at.append(world.engine.now_ms())
        attempts.append(ctx.attempt)
        return "awake"

    world.function(handler, on="test/start", retries=durable.Retries(4, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1m")
    asleep_at = engine.now_ms()
    await engine.advance("9.999s")
    assert (await world.get(run_id)).status == "parked"
    await engine.advance("1ms")
    assert (await world.get(run_id)).result == "awake"
    assert woke_at == [asleep_at + 10_000]
    assert attempts[:2] == [0, 1]
    assert attempts[-1] == 0


async def test_w2_a_run_that_wakes_goes_before_one_that_has_not_started(
    world: Any,
) -> None:
    order: list[str] = []

    async def handler(ctx: durable.Context) -> None:
        name = ctx.event.data["name"]
        await ctx.step.run("start", order.append, f"{name} starts")
        if name == "old":
            await ctx.step.sleep("rest", "1s")
        await ctx.step.run("end", order.append, f"{name} ends")

    world.function(handler, on="test/start", concurrency=1)
    engine = await world.open()
    await world.send(durable.Event("test/start", {"name": "old"}))
    due = engine.now_ms() + 1000
    await engine.send(durable.Event("test/start", {"name": "new"}, ts=due))
    await engine.advance("2s")
    assert order == ["old starts", "old ends", "new starts", "new ends"]


async def test_a_sleep_outlives_the_process(world: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        return "awake"

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.restart()
    await world.engine.advance("1h")
    assert (await world.get(run_id)).result == "awake"


async def test_sleep_until_a_moment_and_a_moment_that_has_passed(world: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        moment = datetime.fromtimestamp(ctx.event.data["at"] / 1000, UTC)
        await ctx.step.sleep_until("later", moment)
        await ctx.step.sleep_until("before", moment - timedelta(days=1))
        return "awake"

    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start(data={"at": engine.now_ms() + 5000})
    await engine.advance("4.999s")
    assert (await world.get(run_id)).status == "parked"
    await engine.advance("1ms")
    assert (await world.get(run_id)).result == "awake"


@pytest.mark.parametrize("length", ["5 minutes", -1, "367d"])
async def test_a_sleep_that_cannot_be_fails_the_run_at_once(
    world: Any, length: Any
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", length)

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "UsageError")
    assert "accepted" in run.error.message
    assert "'rest'" in run.error.message


async def test_runs_beyond_hot_runs_are_put_aside_and_called_again(world: Any) -> None:
    calls: list[str] = []

    async def handler(ctx: durable.Context) -> str:
        calls.append(ctx.run_id)
        before = await ctx.step.run("before", lambda: "a")
        await ctx.step.sleep("rest", "1h")
        return before + await ctx.step.run("after", lambda: "b")

    world.function(handler, on="test/start")
    engine = await world.open(hot_runs=3)
    await world.send(*(durable.Event("test/start") for _ in range(10)))
    assert len(engine.session.worker.runs) <= (10 if world.replay == "always" else 3)
    await engine.advance("1h")
    runs = await engine.runs.list()
    assert [run.result for run in runs] == ["ab"] * 10
    assert world.replay == "always" or len(calls) == 17


async def test_sleeping_runs_hold_no_slot(world: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    world.function(handler, on="test/start", concurrency=1)
    engine = await world.open(max_in_flight=1)
    await world.send(*(durable.Event("test/start") for _ in range(5)))
    assert [run.status for run in await engine.runs.list()] == ["parked"] * 5


async def test_plain_handlers_sleep_without_their_threads(world: Any) -> None:
    def handler(ctx: durable.SyncContext) -> str:
        one = ctx.step.run("one", lambda: "a")
        ctx.step.sleep("rest", "1h")
        return one + ctx.step.run("two", lambda: "b")

    world.function(handler, on="test/start")
    engine = await world.open(threads=2)
    await world.send(*(durable.Event("test/start") for _ in range(10)))
    assert {run.status for run in await engine.runs.list()} == {"parked"}
    await world.restart()
    await world.engine.advance("1h")
    assert [run.result for run in await world.engine.runs.list()] == ["ab"] * 10


async def test_a_time_out_of_the_handlers_own_ends_although_its_run_is_parked(
    world: Any,
) -> None:
    """What the engine knows nothing of wakes the code too: it need not wait for the sleep."""
    world.replay = (
        "needed"  # a wait that the engine does not know ends with the live code
    )
    gone = asyncio.Event()

    async def handler(ctx: durable.Context) -> str:
        sleep = asyncio.create_task(ctx.step.sleep("long", "30d"))
        other = asyncio.create_task(gone.wait())
        await asyncio.wait({sleep, other}, return_when=asyncio.FIRST_COMPLETED)
        return await ctx.step.run("after", str, "went on")

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.settle()
    gone.set()
    await asyncio.wait_for(world.engine.runs.wait(run_id), 10)
    assert (await world.get(run_id)).result == "went on"
