"""The order at arrival, and what a deploy changes for throttles and rate limits."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def work(ctx: durable.Context) -> Any:
    await ctx.step.sleep("rest", "10s")
    return ctx.event.data["n"]


async def send(world: Any, *numbers: int, **envelope: Any) -> list[str]:
    events = [durable.Event("test/start", {"n": n}, **envelope) for n in numbers]
    return list(await world.send(*events))


async def ran(world: Any) -> list[Any]:
    await world.engine.advance("24h")
    runs = await world.engine.runs.list(limit=100, status="completed")
    return sorted(run.result for run in runs)


async def skips(world: Any) -> list[str | None]:
    listed = await world.engine.events.list(limit=100)
    return [event.skipped.get("work") for event in listed[::-1]]


async def test_an_event_that_does_not_match_uses_up_nothing(world: Any) -> None:
    on = durable.On("test/start", if_="event.data.n > 1")
    world.function(work, on=on, rate_limit=durable.RateLimit(1, "1h"))
    await world.open()
    await send(world, 1, 2, 3)
    assert await skips(world) == [None, None, "rate_limit"]
    assert await ran(world) == [2]


async def test_the_rate_limit_counts_events_before_their_ids_are_looked_at(
    world: Any,
) -> None:
    world.function(work, on="test/start", rate_limit=durable.RateLimit(2, "1h"))
    await world.open()
    await send(world, 1, id="same")
    await send(world, 1, id="same")
    await send(world, 2)
    assert await skips(world) == [None, None, "rate_limit"]
    assert await ran(world) == [1]


async def test_a_rate_limited_event_cancels_no_singleton(world: Any) -> None:
    world.function(
        work,
        on="test/start",
        rate_limit=durable.RateLimit(1, "1h"),
        singleton=durable.Singleton("cancel"),
    )
    await world.open()
    await send(world, 1, 2)
    assert await ran(world) == [1]


async def test_a_duplicate_of_a_paused_function_is_no_skip(world: Any) -> None:
    world.function(work, on="test/start")
    engine = await world.open()
    await send(world, 1, id="same")
    await engine.functions.pause("work")
    await send(world, 1, id="same")
    await send(world, 2)
    assert await skips(world) == [None, None, "paused"]
    await engine.functions.resume("work")
    assert await ran(world) == [1]


async def test_each_function_decides_for_itself(world: Any) -> None:
    world.function(work, on="test/start", rate_limit=durable.RateLimit(1, "1h"))
    world.function(work, on="test/start", id="other")
    await world.open()
    await send(world, 1, 2)
    assert await ran(world) == [1, 1, 2]


async def test_keys_are_evaluated_once_and_kept(world: Any) -> None:
    def limited(key: str) -> dict[str, Any]:
        return {
            "run_concurrency": durable.Concurrency(1, key=key),
            "throttle": durable.Throttle(9, "1h", key=key),
        }

    world.function(work, on="test/start", **limited("event.data.n"))
    await world.open()
    await send(world, 1, 1, 2)
    await world.close()
    # a new key: its values are known of new runs only, the old ones have none of it
    world.function(work, on="test/start", **limited("event.data.n % 2"))
    await world.open()
    await send(world, 3, 5)
    running = await world.engine.runs.list(status=["parked"])
    assert len(running) == 3
    assert await ran(world) == [1, 1, 2, 3, 5]


async def started(world: Any) -> int:
    runs = await world.engine.runs.list(limit=100)
    return sum(run.started_at is not None for run in runs)


async def test_a_deploy_s_throttle_applies_to_what_waits(world: Any) -> None:
    world.function(work, on="test/start", throttle=durable.Throttle(3, "24h"))
    await world.open()
    await send(world, *range(9))
    await world.close()
    # all of a day is used up; from now on one starts every 2 h 40 m, not every 8 h
    world.function(work, on="test/start", throttle=durable.Throttle(9, "24h"))
    engine = await world.open()
    await engine.advance("2h35m")
    assert await started(world) == 3
    await engine.advance("10m")
    assert await started(world) == 4
    await world.close()
    world.function(work, on="test/start")
    await world.open()
    await world.settle()
    assert await started(world) == 9


async def test_a_deploy_s_rate_limit_counts_from_what_was_taken(world: Any) -> None:
    world.function(work, on="test/start", rate_limit=durable.RateLimit(1, "1h"))
    await world.open()
    await send(world, 1, 2)
    await world.close()
    # all of an hour is used up; from now on one is taken every minute
    world.function(work, on="test/start", rate_limit=durable.RateLimit(60, "1h"))
    engine = await world.open()
    await send(world, 3)
    await engine.advance("65s")
    await send(world, 4, 5)
    taken = [None, "rate_limit", "rate_limit", None, "rate_limit"]
    assert await skips(world) == taken
