"""Batches: B1, keys, conditions, duplicates, bytes, restarts, deploys, what callers are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio


class Order(BaseModel):
    """What was ordered."""

    cents: int


def work(world: Any) -> Any:
    async def work(ctx: durable.Context) -> tuple[int, list[Any]]:
        began = await ctx.step.run("now", world.engine.now_ms)
        assert ctx.event == ctx.events[0]
        return began, [event.data.get("n") for event in ctx.events]

    return work


async def results(world: Any, since: int) -> list[tuple[int, list[Any]]]:
    """When each run began, in ms since then, and with what, the oldest first."""
    runs = await world.engine.runs.list(limit=500)
    ended = [run.result for run in runs[::-1] if run.status == "completed"]
    return [(began - since, numbers) for began, numbers in ended]


async def send(world: Any, *numbers: int, **data: Any) -> list[str]:
    events = [durable.Event("test/start", {"n": n, **data}) for n in numbers]
    return list(await world.send(*events))


async def test_b1_eight_events_are_five_and_three(world: Any) -> None:
    world.function(work(world), on="test/start", batch=durable.Batch(5, "5s"))
    engine = await world.open()
    since = engine.now_ms()
    ids = await send(world, *range(8))
    assert await results(world, since) == [(0, [0, 1, 2, 3, 4])]
    await engine.advance("5s")
    assert await results(world, since) == [(0, [0, 1, 2, 3, 4]), (5_000, [5, 6, 7])]
    of_each = [(await engine.events.runs(event_id))[0] for event_id in ids]
    assert [of_each.index(run) for run in of_each] == [0] * 5 + [5] * 3
    assert of_each[0].event_ids == tuple(ids[:5])
    assert of_each[7].event_ids == tuple(ids[5:])


async def test_b1_the_timeout_counts_from_the_first_event(world: Any) -> None:
    world.function(work(world), on="test/start", batch=durable.Batch(5, "5s"))
    engine = await world.open()
    since = engine.now_ms()
    for n in range(4):
        await send(world, n)
        await engine.advance("2s")
    await engine.advance("5s")
    assert await results(world, since) == [(5_000, [0, 1, 2]), (11_000, [3])]


async def test_b1_each_key_has_batches_of_its_own(world: Any) -> None:
    batch = durable.Batch(2, "5s", key="event.data.who")
    world.function(work(world), on="test/start", batch=batch)
    engine = await world.open()
    since = engine.now_ms()
    for n, who in enumerate("abbca"):
        await send(world, n, who=who)
    await send(world, 5)
    await send(world, 6)
    assert await results(world, since) == [(0, [0, 4]), (0, [1, 2]), (0, [5, 6])]
    await engine.advance("5s")
    assert (5_000, [3]) in await results(world, since)


async def test_b1_events_that_do_not_meet_its_condition_go_alone(world: Any) -> None:
    batch = durable.Batch(3, "5s", if_="event.data.n < 10")
    world.function(work(world), on="test/start", batch=batch)
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1, 10, 2, 11)
    await world.send(durable.Event("test/start", {"n": "text"}))
    assert await results(world, since) == [(0, [10]), (0, [11]), (0, ["text"])]
    await engine.advance("5s")
    assert (5_000, [1, 2]) in await results(world, since)


async def test_b1_the_trigger_s_condition_comes_before_the_batch(world: Any) -> None:
    on = durable.On("test/start", if_="event.data.n % 2 == 0")
    world.function(work(world), on=on, batch=durable.Batch(3, "5s"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, *range(6))
    assert await results(world, since) == [(0, [0, 2, 4])]
    await engine.advance("1h")
    assert len(await results(world, since)) == 1


async def test_b1_a_batch_is_full_at_ten_megabytes(world: Any) -> None:
    world.function(work(world), on="test/start", batch=durable.Batch(1000, "5s"))
    engine = await world.open()
    since = engine.now_ms()
    for n in range(5):
        await send(world, n, text="x" * 3_600_000)
    assert await results(world, since) == [(0, [0, 1, 2])]
    await engine.advance("5s")
    assert await results(world, since) == [(0, [0, 1, 2]), (5_000, [3, 4])]


async def test_b1_an_event_of_the_same_id_is_in_one_batch_once(world: Any) -> None:
    world.function(work(world), on="test/start", batch=durable.Batch(3, "5s"))
    engine = await world.open()
    since = engine.now_ms()
    twice = [durable.Event("test/start", {"n": n}, id="mine") for n in (1, 2)]
    first, second = await world.send(*twice)
    assert first == second
    await send(world, 3)
    await engine.advance("5s")
    await world.send(durable.Event("test/start", {"n": 4}, id="mine"))
    await engine.advance("5s")
    assert await results(world, since) == [(5_000, [1, 3])]


async def test_what_is_gathered_survives_a_restart(world: Any) -> None:
    world.function(work(world), on="test/start", batch=durable.Batch(4, "5s"))
    engine = await world.open()
    since = engine.now_ms()
    for n in range(4):
        await send(world, n)
        await world.restart()
    await world.settle()
    assert [n for _, n in await results(world, since)] == [[0, 1, 2, 3]]


async def test_a_deploy_s_smaller_size_lets_what_waits_go(world: Any) -> None:
    world.function(work(world), on="test/start", batch=durable.Batch(9, "1h"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1, 2, 3)
    await world.close()
    world.function(work(world), on="test/start", batch=durable.Batch(2, "1h"))
    await world.open()
    await world.settle()
    assert [n for _, n in await results(world, since)] == [[1, 2, 3]]


async def test_all_callers_of_a_batch_get_its_result(world: Any) -> None:
    function = world.function(work(world), batch=durable.Batch(3, "5s"))
    engine = await world.open()
    calls = [asyncio.ensure_future(engine.invoke(function, {"n": n})) for n in range(3)]
    results = await asyncio.gather(*calls)
    assert [numbers for _, numbers in results] == [[0, 1, 2]] * 3


async def test_typed_events_are_read_as_their_model(world: Any) -> None:
    order_placed = durable.EventType("shop/order.placed", Order)

    async def total(ctx: durable.Context[Order]) -> int:
        return sum(event.data.cents for event in ctx.events)

    world.function(total, on=order_placed, batch=durable.Batch(3, "5s"))
    engine = await world.open()
    await world.send(*[order_placed(cents=cents) for cents in (1, 20, 300)])
    (run,) = await engine.runs.list()
    assert run.result == 321


async def test_a_batch_sleeps_and_is_called_again_with_all_of_its_events(
    world: Any,
) -> None:
    async def slow(ctx: durable.Context) -> list[Any]:
        await ctx.step.sleep("rest", "1h")
        return [event.data["n"] for event in ctx.events]

    world.function(slow, on="test/start", batch=durable.Batch(3, "5s"))
    await world.open()
    await send(world, 1, 2, 3)
    await world.restart()
    await world.engine.advance("1h")
    (run,) = await world.engine.runs.list()
    assert run.result == [1, 2, 3]
