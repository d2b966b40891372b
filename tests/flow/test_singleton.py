"""Singletons: N1 to N4, both modes, keys, duplicates, restarts, with debounce."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def slow(ctx: durable.Context) -> Any:
    await ctx.step.sleep("rest", "10s")
    return ctx.event.data.get("n")


async def send(world: Any, *data: dict[str, Any]) -> list[str]:
    events = [durable.Event("test/start", one) for one in data]
    return list(await world.send(*events))


async def statuses(world: Any) -> list[tuple[str, Any]]:
    """What came of each run, the oldest first."""
    runs = await world.engine.runs.list(limit=500)
    return [(run.status, run.result) for run in runs[::-1]]


async def skipped(world: Any) -> list[dict[str, str]]:
    listed = await world.engine.events.list(limit=500)
    return [dict(event.skipped) for event in listed[::-1]]


async def test_n1_of_fifty_events_one_starts_a_run(world: Any) -> None:
    world.function(slow, on="test/start", singleton=durable.Singleton("skip"))
    engine = await world.open()
    await send(world, *[{"n": n} for n in range(50)])
    await engine.advance("10s")
    assert await statuses(world) == [("completed", 0)]
    assert await skipped(world) == [{}, *[{"slow": "singleton"}] * 49]
    assert engine.stats()["functions"]["slow"]["skipped"] == 49
    await send(world, {"n": 50})
    await engine.advance("10s")
    assert await statuses(world) == [("completed", 0), ("completed", 50)]


async def test_n1_each_key_has_one_run(world: Any) -> None:
    singleton = durable.Singleton("skip", key="event.data.who")
    world.function(slow, on="test/start", singleton=singleton)
    engine = await world.open()
    await send(world, *[{"n": n, "who": who} for n, who in enumerate("abab")])
    await engine.advance("10s")
    assert await statuses(world) == [("completed", 0), ("completed", 1)]


@pytest.mark.parametrize("data", [{"who": False}, {}, {"who": None}])
async def test_n2_a_key_that_is_false_or_missing_makes_no_singleton(
    world: Any, data: dict[str, Any]
) -> None:
    singleton = durable.Singleton("skip", key="event.data.who")
    world.function(slow, on="test/start", singleton=singleton)
    engine = await world.open()
    await send(world, {"n": 1, **data}, {"n": 2, **data})
    await engine.advance("10s")
    assert await statuses(world) == [("completed", 1), ("completed", 2)]
    assert engine.stats()["functions"]["slow"]["missing_keys"] == 2


async def test_n3_the_last_event_s_run_cancels_those_before(world: Any) -> None:
    world.function(slow, on="test/start", singleton=durable.Singleton("cancel"))
    engine = await world.open()
    await send(world, {"n": 0})
    await engine.advance("5s")
    await send(world, *[{"n": n} for n in range(1, 6)])
    await engine.advance("10s")
    assert await statuses(world) == [("cancelled", None)] * 5 + [("completed", 5)]
    run = (await engine.runs.list())[-1]
    assert run.error.name == "RunCancelled"
    assert run.error.message == "a later event of its singleton came"


async def test_n3_different_keys_never_cancel_each_other(world: Any) -> None:
    singleton = durable.Singleton("cancel", key="event.data.who")
    world.function(slow, on="test/start", singleton=singleton)
    engine = await world.open()
    await send(world, *[{"n": n, "who": n} for n in range(5)])
    await engine.advance("10s")
    assert await statuses(world) == [("completed", n) for n in range(5)]


async def test_n3_a_run_is_cancelled_in_the_middle_of_a_step(world: Any) -> None:
    seen: list[str] = []

    async def step(n: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"{n} cancelled")
            raise

    async def stuck(ctx: durable.Context) -> str:
        if ctx.event.data["n"] == 0:
            await ctx.step.run("wait", step, 0)
        return "done"

    world.function(stuck, on="test/start", singleton=durable.Singleton("cancel"))
    engine = await world.open()
    await engine.send(durable.Event("test/start", {"n": 0}))
    for _ in range(20):
        await asyncio.sleep(0)  # noqa: TID251  # a pass of the loop
    (event_id,) = await engine.send(durable.Event("test/start", {"n": 1}))
    (run,) = (await engine.events.get(event_id)).run_ids
    assert (await engine.runs.wait(run)).result == "done"
    assert seen == ["0 cancelled"]
    assert await statuses(world) == [("cancelled", None), ("completed", "done")]


async def test_n4_the_name_is_free_when_its_run_has_ended_and_not_before(
    world: Any,
) -> None:
    async def fails(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1s")
        raise ValueError

    world.function(
        fails,
        on="test/start",
        singleton=durable.Singleton("skip"),
        retries=durable.Retries(1, durable.Backoff("5s", jitter=0)),
    )
    engine = await world.open()
    for _ in range(8):
        await send(world, {})
        await engine.advance("1s")
    assert [bool(one) for one in await skipped(world)] == [
        False,
        *[True] * 5,
        False,
        True,
    ]


async def test_n4_an_event_of_the_future_holds_it_from_its_receipt(world: Any) -> None:
    world.function(slow, on="test/start", singleton=durable.Singleton("skip"))
    engine = await world.open()
    await world.send(durable.Event("test/start", {"n": 1}, ts=engine.now_ms() + 60_000))
    await send(world, {"n": 2})
    await engine.advance("1h")
    assert await statuses(world) == [("completed", 1)]


async def test_a_duplicate_cancels_nothing(world: Any) -> None:
    world.function(slow, on="test/start", singleton=durable.Singleton("cancel"))
    engine = await world.open()
    for _ in range(3):
        await world.send(durable.Event("test/start", {"n": 1}, id="mine"))
    await engine.advance("10s")
    assert await statuses(world) == [("completed", 1)]


@pytest.mark.parametrize("mode", ["skip", "cancel"])
async def test_it_holds_over_a_restart(world: Any, mode: Any) -> None:
    world.function(slow, on="test/start", singleton=durable.Singleton(mode))
    await world.open()
    await send(world, {"n": 1})
    await world.restart()
    await send(world, {"n": 2})
    await world.engine.advance("20s")
    kept = [("completed", 1)]
    replaced = [("cancelled", None), ("completed", 2)]
    assert await statuses(world) == (kept if mode == "skip" else replaced)


async def test_whoever_invokes_it_meanwhile_is_told(world: Any) -> None:
    function = world.function(slow, singleton=durable.Singleton("skip"))
    engine = await world.open()
    first = asyncio.ensure_future(engine.invoke(function, {"n": 1}))
    await world.settle()
    with pytest.raises(durable.InvokeError, match="it is a singleton and has a run"):
        await engine.invoke(function, {"n": 2})
    await engine.advance("10s")
    assert await first == 1


async def test_whoever_invoked_a_run_that_is_cancelled_is_told(world: Any) -> None:
    function = world.function(slow, singleton=durable.Singleton("cancel"))
    engine = await world.open()
    calls = [asyncio.ensure_future(engine.invoke(function, {"n": n})) for n in (1, 2)]
    await world.settle()
    with pytest.raises(durable.RunCancelled, match="a later event of its singleton"):
        await calls[0]
    await engine.advance("10s")
    assert await calls[1] == 2


async def test_a_debounced_run_is_a_singleton_from_its_start_on(world: Any) -> None:
    world.function(
        slow,
        on="test/start",
        singleton=durable.Singleton("skip"),
        debounce=durable.Debounce("2s"),
    )
    engine = await world.open()
    await send(world, {"n": 1})
    await engine.advance("3s")
    await send(world, {"n": 2})
    await engine.advance("30s")
    assert await statuses(world) == [("completed", 1), ("cancelled", None)]
    newest = (await engine.runs.list())[0]
    assert newest.error.message == "it was not started: it is a singleton and has a run"
