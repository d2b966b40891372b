"""Keys: long values, one bucket for what lacks the field, and what stats count."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

LONG = "x" * 100_000


async def work(ctx: durable.Context) -> Any:
    await ctx.step.sleep("rest", "1m")
    return ctx.event.data["n"]


async def send(world: Any, *keys: Any) -> None:
    events = [durable.Event("test/start", {"n": n, "k": k}) for n, k in enumerate(keys)]
    await world.send(*events)


async def ended(world: Any) -> list[Any]:
    runs = await world.engine.runs.list(limit=100, status="completed")
    return sorted(run.result for run in runs)


KEY = "event.data.k"
POLICIES = [
    ({"concurrency": durable.Concurrency(1, key=KEY)}, [0, 1, 2]),
    ({"run_concurrency": durable.Concurrency(1, key=KEY)}, [0, 1, 2]),
    ({"throttle": durable.Throttle(1, "1m", key=KEY)}, [0, 1, 2]),
    ({"rate_limit": durable.RateLimit(1, "1h", key=KEY)}, [0, 1]),
    ({"idempotency": KEY}, [0, 1]),
    ({"debounce": durable.Debounce("1m", key=KEY)}, [1, 2]),
    ({"singleton": durable.Singleton("skip", key=KEY)}, [0, 1]),
    ({"singleton": durable.Singleton("cancel", key=KEY)}, [1, 2]),
]


@pytest.mark.parametrize(("policy", "expected"), POLICIES)
async def test_values_of_any_length_are_told_apart(
    world: Any, policy: Any, expected: list[int]
) -> None:
    world.function(work, on="test/start", **policy)
    await world.open()
    await send(world, LONG, LONG + "y", LONG)
    await world.restart()
    await world.engine.advance("1h")
    assert await ended(world) == expected


async def test_a_batch_keeps_long_values_apart(world: Any) -> None:
    async def count(ctx: durable.Context) -> list[int]:
        return [event.data["n"] for event in ctx.events]

    world.function(count, on="test/start", batch=durable.Batch(2, "1m", key=KEY))
    await world.open()
    await send(world, LONG, LONG + "y", LONG)
    assert await ended(world) == [[0, 2]]


async def test_stats_count_keys_without_a_value_and_priorities_without_a_number(
    world: Any,
) -> None:
    world.function(
        work,
        on="test/start",
        concurrency=[durable.Concurrency(9, key=KEY), durable.Concurrency(20)],
        throttle=durable.Throttle(99, "1s", key="event.data.other"),
        priority=durable.Priority("event.data.k"),
    )
    engine = await world.open()
    await send(world, None, "text", 5)
    counts = engine.stats()["functions"]["work"]
    assert (counts["missing_keys"], counts["priority_errors"]) == (1 + 3, 2)
    await world.restart()
    assert world.engine.stats()["functions"]["work"] == {**counts, "running": 0}
