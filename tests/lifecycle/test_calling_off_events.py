"""`events.cancel`: what an event has not started yet is called off, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def sleeper(ctx: durable.Context) -> str:
    await ctx.step.sleep("rest", "1h")
    return "rested"


async def many(ctx: durable.Context) -> list[int]:
    return [event.data["n"] for event in ctx.events]


def numbered(n: int, **of: Any) -> durable.Event[Any]:
    return durable.Event("test/start", {"n": n}, **of)


async def statuses(world: Any) -> list[str]:
    await world.settle()
    runs = await world.engine.runs.list()
    return sorted(run.status for run in runs)


async def test_an_event_of_the_future_never_comes(world: Any) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    in_an_hour = engine.now_ms() + 3_600_000
    (event_id,) = await world.send(numbered(1, ts=in_an_hour))
    assert await engine.events.cancel(event_id) == 1
    run = await world.run_of(event_id)
    assert (run.status, run.started_at) == ("cancelled", None)
    assert run.error.message == "its event was called off"
    await engine.advance("3h")
    await world.restart()
    assert await statuses(world) == ["cancelled"]
    assert await world.engine.events.cancel(event_id) == 0


async def test_a_queued_run_goes_and_one_that_has_started_stays(world: Any) -> None:
    world.function(sleeper, on="test/start", run_concurrency=durable.Concurrency(1))
    engine = await world.open()
    first, second = await world.send(numbered(1), numbered(2))
    assert await engine.events.cancel(second) == 1
    assert await engine.events.cancel(first) == 0
    await engine.advance("1h")
    assert await statuses(world) == ["cancelled", "completed"]


async def test_each_function_of_it_is_looked_at(world: Any) -> None:
    """Also the runs that repeat others."""
    world.function(sleeper, on="test/start")
    world.function(many, on="test/start", debounce=durable.Debounce("1h"))
    engine = await world.open()
    (event_id,) = await world.send(numbered(1))
    runs = {run.function: run for run in await engine.events.runs(event_id)}
    again = await engine.runs.rerun(runs["many"].id)
    await world.settle()
    assert (await world.get(again)).status == "completed"
    assert await engine.events.cancel(event_id) == 1
    await engine.advance("2h")
    assert (await world.get(runs["many"].id)).status == "cancelled"
    assert (await world.get(runs["sleeper"].id)).status == "completed"


async def test_a_batch_goes_on_without_it(world: Any) -> None:
    world.function(many, on="test/start", batch=durable.Batch(3, "1h"))
    engine = await world.open()
    ids = await world.send(numbered(1), numbered(2))
    assert await engine.events.cancel(ids[0]) == 1
    assert await engine.events.cancel(ids[0]) == 0
    await world.restart()
    await world.send(numbered(3))
    assert await statuses(world) == ["parked"], "it has room for one more"
    await world.send(numbered(4))
    (run,) = await world.engine.runs.list()
    assert run.result == [2, 3, 4]
    assert ids[0] not in run.event_ids


async def test_a_batch_of_nothing_else_is_cancelled(world: Any) -> None:
    world.function(many, on="test/start", batch=durable.Batch(3, "1h"))
    engine = await world.open()
    ids = await world.send(numbered(1), numbered(2))
    assert [await engine.events.cancel(one) for one in ids] == [1, 1]
    assert await statuses(world) == ["cancelled"]
    await world.send(numbered(3))
    await engine.advance("1h")
    assert await statuses(world) == ["cancelled", "completed"]


async def test_of_a_debounce_the_last_event_is_the_runs(world: Any) -> None:
    world.function(many, on="test/start", debounce=durable.Debounce("1m"))
    engine = await world.open()
    early, late = await world.send(numbered(1), numbered(2))
    assert await engine.events.cancel(early) == 0
    assert await statuses(world) == ["parked"]
    assert await engine.events.cancel(late) == 1
    await engine.advance("2m")
    assert await statuses(world) == ["cancelled"]


async def test_it_stays_known_and_so_does_its_id(world: Any) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    in_an_hour = engine.now_ms() + 3_600_000
    (event_id,) = await world.send(numbered(1, ts=in_an_hour, id="mine"))
    await engine.events.cancel(event_id)
    assert await world.send(numbered(1, id="mine")) == [event_id]
    assert (await engine.events.get(event_id)).event.data == {"n": 1}
    assert await statuses(world) == ["cancelled"]


@pytest.mark.parametrize("event_id", ["01HF00000000000000000000AA", "nobody"])
async def test_one_that_does_not_exist_is_told(world: Any, event_id: str) -> None:
    engine = await world.open()
    with pytest.raises(durable.NotFoundError, match=f"there is no event {event_id}"):
        await engine.events.cancel(event_id)
