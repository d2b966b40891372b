"""Debounce: D1 to D3, keys, restarts, deploys, what callers are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

#: What the real clock may show of a restart, in ms: the virtual one begins there anew.
A_RESTART = 2_500


def work(world: Any) -> Any:
    async def work(ctx: durable.Context) -> tuple[int, Any]:
        return await ctx.step.run("now", world.engine.now_ms), ctx.event.data.get("n")

    return work


async def results(world: Any, since: int) -> list[tuple[int, Any]]:
    """When each run began, in ms since then, and with what, the oldest first."""
    runs = await world.engine.runs.list(limit=500)
    assert {run.status for run in runs} <= {"completed", "parked"}
    ended = sorted(run.result for run in runs if run.is_ended)
    return [(began - since, n) for began, n in ended]


async def send(world: Any, n: int, **envelope: Any) -> str:
    who = envelope.pop("who", "-")
    event = durable.Event("test/start", {"n": n, "who": who}, **envelope)
    (event_id,) = await world.send(event)
    return str(event_id)


async def test_d1_a_burst_starts_one_run_with_its_last_event(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    since = engine.now_ms()
    ids = []
    for n in range(4):
        ids.append(await send(world, n))
        await engine.advance("2s")
    assert await results(world, since) == []
    await engine.advance("10s")
    assert await results(world, since) == [(11_000, 3)]
    of_each = [await engine.events.runs(event_id) for event_id in ids]
    assert len({run.id for runs in of_each for run in runs}) == 1
    assert all(len(runs) == 1 for runs in of_each)
    assert of_each[0][0].event_ids == (ids[3],)
    await send(world, 9)
    await engine.advance("5s")
    assert await results(world, since) == [(11_000, 3), (23_000, 9)]


async def test_d1_each_key_is_a_burst_of_its_own(world: Any) -> None:
    debounce = durable.Debounce("5s", key="event.data.who")
    world.function(work(world), on="test/start", debounce=debounce)
    engine = await world.open()
    since = engine.now_ms()
    await world.send(
        *[
            durable.Event("test/start", {"n": n, "who": who})
            for n, who in enumerate(["a", "b", "a", None, "b", None])
        ],
        durable.Event("test/start", {"n": 6}),
    )
    await engine.advance("5s")
    assert await results(world, since) == [(5_000, 2), (5_000, 4), (5_000, 6)]


async def test_d2_an_event_that_happened_before_does_not_replace_a_later_one(
    world: Any,
) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1, ts=since - 1_000)
    await engine.advance("1s")
    await send(world, 2, ts=since - 5_000)
    await engine.advance("10s")
    # it puts the run off all the same: `period` after the last arrival
    assert await results(world, since) == [(6_000, 1)]


async def test_d2_of_two_at_the_same_moment_the_later_arrival_counts(
    world: Any,
) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1, ts=since)
    await send(world, 2, ts=since)
    await engine.advance("10s")
    assert await results(world, since) == [(5_000, 2)]


async def test_d3_a_timeout_ends_a_stream_that_never_rests(world: Any) -> None:
    debounce = durable.Debounce("5s", timeout="12s")
    world.function(work(world), on="test/start", debounce=debounce)
    engine = await world.open()
    since = engine.now_ms()
    for n in range(10):
        await send(world, n)
        await engine.advance("2s")
    await engine.advance("10s")
    assert await results(world, since) == [(12_000, 5), (23_000, 9)]


async def test_d3_the_timeout_counts_on_over_a_restart(world: Any) -> None:
    debounce = durable.Debounce("5s", timeout="12s")
    world.function(work(world), on="test/start", debounce=debounce)
    engine = await world.open()
    since = engine.now_ms()
    for n in range(6):
        await send(world, n)
        await world.restart()
        await world.engine.advance("2s")
    await world.engine.advance("30s")
    ((began, _),) = await results(world, since)
    assert began == pytest.approx(12_000, abs=A_RESTART)


async def test_without_a_timeout_it_is_put_off_for_ever(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("1h"))
    engine = await world.open()
    since = engine.now_ms()
    for n in range(100):
        await send(world, n)
        await engine.advance("59m")
    assert await results(world, since) == []
    await engine.advance("1h")
    assert [n for _, n in await results(world, since)] == [99]


async def test_a_deploy_s_shorter_period_applies_to_what_waits(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("1h"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1)
    await world.close()
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    await engine.advance("5s")
    assert await results(world, since) == [(5_000, 1)]


async def test_a_deploy_without_debounce_lets_what_waits_go(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("1h"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1)
    await world.close()
    world.function(work(world), on="test/start")
    await world.open()
    await world.settle()
    ((began, n),) = await results(world, since)
    assert (began, n) == (pytest.approx(0, abs=A_RESTART), 1)


async def test_an_event_in_the_future_starts_its_run_then(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1, ts=since + 60_000)
    await engine.advance("1h")
    assert await results(world, since) == [(60_000, 1)]


async def test_the_same_event_again_puts_nothing_off(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    since = engine.now_ms()
    first = await send(world, 1, id="mine")
    await engine.advance("4s")
    assert await send(world, 2, id="mine") == first
    await engine.advance("1s")
    assert await results(world, since) == [(5_000, 1)]
    await send(world, 3, id="mine")
    await engine.advance("1h")
    assert await results(world, since) == [(5_000, 1)]


async def test_a_caller_whose_call_was_debounced_away_is_told(world: Any) -> None:
    function = world.function(work(world), debounce=durable.Debounce("5s"))
    engine = await world.open()
    calls = [asyncio.ensure_future(engine.invoke(function, {"n": n})) for n in range(3)]
    await world.settle()
    await engine.advance("5s")
    *away, (_, kept) = await asyncio.gather(*calls, return_exceptions=True)
    assert kept == 2
    for error in away:
        assert isinstance(error, durable.InvokeError)
        assert "`debounce` keeps the last" in str(error)


async def test_rate_limited_events_never_reach_it(world: Any) -> None:
    world.function(
        work(world),
        on="test/start",
        debounce=durable.Debounce("5s"),
        rate_limit=durable.RateLimit(2, "1h"),
    )
    engine = await world.open()
    since = engine.now_ms()
    for n in range(5):
        await send(world, n)
    await engine.advance("5s")
    assert await results(world, since) == [(5_000, 1)]


async def test_stats_count_what_gathers(world: Any) -> None:
    world.function(work(world), on="test/start", debounce=durable.Debounce("5s"))
    engine = await world.open()
    await send(world, 1)
    assert engine.stats()["functions"]["work"]["parked"]["events"] == 1
    await engine.advance("5s")
    assert engine.stats()["functions"]["work"]["parked"]["events"] == 0


async def test_d3_a_timeout_shorter_than_the_period_ends_it(world: Any) -> None:
    debounce = durable.Debounce("1h", timeout="5s")
    world.function(work(world), on="test/start", debounce=debounce)
    engine = await world.open()
    since = engine.now_ms()
    await send(world, 1)
    await engine.advance("2h")
    assert await results(world, since) == [(5_000, 1)]
