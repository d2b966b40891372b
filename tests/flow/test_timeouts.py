"""Timeouts: O1 to O3, in the middle of a step, restarts, what callers are told."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def slow(ctx: durable.Context) -> Any:
    await ctx.step.sleep("rest", "10s")
    return ctx.event.data.get("n")


async def send(world: Any, count: int) -> None:
    events = [durable.Event("test/start", {"n": n}) for n in range(count)]
    await world.send(*events)


async def counts(world: Any) -> Counter[str]:
    return Counter(run.status for run in await world.engine.runs.list(limit=500))


async def reasons(world: Any) -> set[str]:
    runs = await world.engine.runs.list(limit=500, status="cancelled")
    return {run.error.message for run in runs}


async def test_o1_a_start_timeout_cancels_what_waits_for_a_slot(world: Any) -> None:
    world.function(
        slow,
        on="test/start",
        run_concurrency=durable.Concurrency(1),
        timeouts=durable.Timeouts(start="5s"),
    )
    engine = await world.open()
    await send(world, 3)
    await engine.advance(4.999)
    assert await counts(world) == {"parked": 1, "queued": 2}
    await engine.advance(0.001)
    assert await counts(world) == {"parked": 1, "cancelled": 2}
    await engine.advance("1h")
    assert await counts(world) == {"completed": 1, "cancelled": 2}
    assert await reasons(world) == {"it did not start within its start timeout"}


async def test_o1_seven_of_ten_behind_a_throttle_are_cancelled(world: Any) -> None:
    world.function(
        slow,
        on="test/start",
        throttle=durable.Throttle(1, "2s"),
        timeouts=durable.Timeouts(start="5s"),
    )
    engine = await world.open()
    await send(world, 10)
    await engine.advance("6s")
    assert (await counts(world))["cancelled"] == 7
    await engine.advance("1h")
    assert await counts(world) == {"completed": 3, "cancelled": 7}


async def test_o1_a_run_of_the_future_is_late_from_its_own_moment_on(
    world: Any,
) -> None:
    world.function(slow, on="test/start", timeouts=durable.Timeouts(start="5s"))
    engine = await world.open()
    await world.send(durable.Event("test/start", {"n": 1}, ts=engine.now_ms() + 60_000))
    await engine.advance("2m")
    assert await counts(world) == {"completed": 1}


async def test_o2_a_finish_timeout_ends_it_between_its_steps(world: Any) -> None:
    done: list[str] = []

    async def three(ctx: durable.Context) -> None:
        for name in "abc":
            await ctx.step.run(name, done.append, name)
            await ctx.step.sleep(f"after {name}", "2s")

    world.function(three, on="test/start", timeouts=durable.Timeouts(finish="3s"))
    engine = await world.open()
    await send(world, 1)
    await engine.advance("1h")
    assert done == ["a", "b"]
    assert await counts(world) == {"cancelled": 1}
    assert await reasons(world) == {"it did not end within its finish timeout"}


async def test_o2_a_finish_timeout_ends_it_in_the_middle_of_a_step(world: Any) -> None:
    cancelled: list[int] = []

    async def forever(n: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # noqa: TID251  # it may clean up
            cancelled.append(n)
            raise

    async def stuck(ctx: durable.Context) -> None:
        await ctx.step.run("wait", forever, ctx.event.data["n"])

    world.function(stuck, on="test/start", timeouts=durable.Timeouts(finish=0.05))
    world.settings["clock"] = "system"
    engine = await world.open()
    ids = await engine.send(*[durable.Event("test/start", {"n": n}) for n in range(10)])
    for event_id in ids:
        (run,) = (await engine.events.get(event_id)).run_ids
        assert (await engine.runs.wait(run, timeout="30s")).status == "cancelled"
    assert sorted(cancelled) == list(range(10))


async def test_o2_what_comes_in_time_is_not_cancelled(world: Any) -> None:
    world.function(slow, on="test/start", timeouts=durable.Timeouts("5s", "11s"))
    engine = await world.open()
    await send(world, 3)
    await engine.advance("1h")
    assert await counts(world) == {"completed": 3}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (None, {"parked": 1, "queued": 2}),
        (durable.Timeouts(start="1h"), {"parked": 1, "queued": 2}),
        (durable.Timeouts(start="3s"), {"parked": 1, "cancelled": 2}),
        (durable.Timeouts(finish="4s"), {"cancelled": 3}),
    ],
)
async def test_o3_a_deploy_s_timeouts_apply_to_what_waits_and_runs(
    world: Any, later: Any, expected: dict[str, int]
) -> None:
    async def hour(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    one = durable.Concurrency(1)
    world.function(
        hour,
        on="test/start",
        run_concurrency=one,
        timeouts=durable.Timeouts(start="10s"),
    )
    await world.open()
    await send(world, 3)
    await world.close()
    world.function(hour, on="test/start", run_concurrency=one, timeouts=later)
    engine = await world.open()
    await engine.advance("12s")
    assert await counts(world) == expected


async def test_o3_removed_while_queued_it_never_comes(world: Any) -> None:
    one = durable.Concurrency(1)
    timeouts = durable.Timeouts(start="10s")
    world.function(slow, on="test/start", run_concurrency=one, timeouts=timeouts)
    await world.open()
    await send(world, 3)
    await world.close()
    world.function(slow, on="test/start", run_concurrency=one)
    engine = await world.open()
    await engine.advance("1h")
    assert await counts(world) == {"completed": 3}


async def test_they_count_on_over_a_restart(world: Any) -> None:
    world.function(slow, on="test/start", timeouts=durable.Timeouts(finish="8s"))
    await world.open()
    await send(world, 2)
    await world.engine.advance("5s")
    await world.send(durable.Event("test/nobody"))  # time is kept with what is written
    await world.restart()
    await world.engine.advance("2s")
    assert await counts(world) == {"parked": 2}
    await world.engine.advance("2s")
    assert await counts(world) == {"cancelled": 2}


async def test_the_caller_of_a_run_that_was_too_late_is_told(world: Any) -> None:
    function = world.function(slow, timeouts=durable.Timeouts(finish="8s"))
    engine = await world.open()
    call = asyncio.ensure_future(engine.invoke(function, {"n": 1}))
    await world.settle()
    await engine.advance("8s")
    with pytest.raises(durable.RunCancelled, match="within its finish timeout"):
        await call


async def test_what_cleans_up_is_waited_for_when_the_engine_closes(world: Any) -> None:
    seen: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # noqa: TID251  # a clean-up that takes its time
            seen.append(name)

    async def stuck(ctx: durable.Context) -> None:
        if ctx.event.data["n"] == 0:
            await ctx.step.run("alone", forever, "alone")
        else:
            steps = [ctx.step.run(name, forever, name) for name in ("one", "two")]
            await asyncio.gather(*steps)

    world.function(stuck, on="test/start", timeouts=durable.Timeouts(finish=0.1))
    engine = await world.open(clock="system", grace=5)
    ids = await engine.send(*[durable.Event("test/start", {"n": n}) for n in range(2)])
    for event_id in ids:
        (run,) = (await engine.events.get(event_id)).run_ids
        await engine.runs.wait(run, timeout="30s")
    await world.close()
    assert sorted(seen) == ["alone", "one", "two"]
