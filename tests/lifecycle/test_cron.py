"""What is promised of crons: one run for each function, expression and tick, whatever restarts; DST as users expect."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


def ms(text: str) -> int:
    """`2026-03-29T00:00Z` in ms since the epoch."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def at(text: str) -> dict[str, str]:
    """A clock that begins then."""
    return {"clock": f"virtual:{ms(text)}"}


def noting(world: Any, on: Any, **settings: Any) -> list[dict[str, Any]]:
    """A function that notes each of its ticks, and sleeps a second in between."""
    ticks: list[dict[str, Any]] = []

    async def tick(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1s")
        event = ctx.event
        ticks.append({"name": event.name, "id": event.id, "ts": event.ts, **event.data})
        return str(event.id)

    world.function(tick, on=on, retries=0, **settings)
    return ticks


def ids(ticks: list[dict[str, Any]]) -> list[str]:
    return [tick["id"] for tick in ticks]


async def test_a_tick_is_one_run_with_its_event(world: Any) -> None:
    ticks = noting(world, durable.Cron("0 9 * * 1-5", tz="Europe/Paris"))
    engine = await world.open(**at("2026-03-27T00:00Z"))  # a Friday
    await engine.advance("4d")
    assert ids(ticks) == ["2026-03-27T08:00:00Z", "2026-03-30T07:00:00Z"]
    assert ticks[0] == {
        "name": "durable/scheduled.timer",
        "id": "2026-03-27T08:00:00Z",
        "ts": ms("2026-03-27T08:00Z"),
        "cron": "0 9 * * 1-5",
        "scheduledAt": "2026-03-27T08:00:00Z",
        "fireAt": "2026-03-27T08:00:00Z",
    }
    runs = await engine.runs.list(function="tick")
    assert [run.status for run in runs] == ["completed", "completed"]
    event = await engine.events.get(runs[0].event_ids[0])
    assert event.event.name == "durable/scheduled.timer"


async def test_a_local_time_that_is_skipped_is_due_once_behind_the_gap(
    world: Any,
) -> None:
    ticks = noting(world, durable.Cron("30 2 * * *", tz="Europe/Paris"))
    engine = await world.open(**at("2026-03-28T00:00Z"))
    await engine.advance("3d")
    assert ids(ticks) == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


async def test_a_local_time_that_comes_twice_is_due_once(world: Any) -> None:
    ticks = noting(world, durable.Cron("30 2 * * *", tz="Europe/Paris"))
    engine = await world.open(**at("2026-10-24T00:00Z"))
    await engine.advance("25h")  # into the repeated hour
    await world.restart()
    await world.engine.advance("2d")
    assert ids(ticks) == [
        "2026-10-24T00:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z",
    ]


@pytest.mark.parametrize(
    ("catch_up", "made_up"),
    [
        ("last", ["2026-01-01T05:00:00Z"]),
        ("all", [f"2026-01-01T0{hour}:00:00Z" for hour in (2, 3, 4, 5)]),
        ("none", []),
    ],
)
async def test_ticks_missed_while_the_engine_was_down(
    world: Any, catch_up: Any, made_up: list[str]
) -> None:
    ticks = noting(world, durable.Cron("@hourly", catch_up=catch_up))
    engine = await world.open(**at("2026-01-01T00:30Z"))
    await engine.advance("1h")
    assert ids(ticks) == ["2026-01-01T01:00:00Z"]
    await world.close()
    engine = await world.open(**at("2026-01-01T05:20Z"))
    await engine.advance("1s")
    assert ids(ticks)[1:] == made_up
    assert all(tick["ts"] == ms(tick["scheduledAt"]) for tick in ticks)
    await world.restart()
    await world.engine.advance("1h")
    assert ids(ticks)[1:] == [*made_up, "2026-01-01T06:00:00Z"]


async def test_restarts_neither_lose_nor_repeat_a_tick(world: Any) -> None:
    ticks = noting(world, durable.Cron("*/10 * * * *", catch_up="all"))
    await world.open(**at("2026-01-01T00:00Z"))
    for minutes in (7, 3, 10, 25, 1, 14):
        await world.engine.advance(f"{minutes}m")
        now = world.engine.now_ms()
        await world.close()
        await world.open(clock=f"virtual:{now}")
    await world.engine.advance("1s")
    expected = [f"2026-01-01T00:{minute}0:00Z" for minute in (1, 2, 3, 4, 5)]
    assert sorted(ids(ticks)) == [*expected, "2026-01-01T01:00:00Z"]


async def test_several_crons_and_events_start_one_function(world: Any) -> None:
    on = [
        "shop/order.placed",
        durable.Cron("0 * * * *"),
        durable.Cron("@hourly", tz="Asia/Tokyo"),
    ]
    ticks = noting(world, on)
    engine = await world.open(**at("2026-01-01T00:30Z"))
    await engine.send(durable.Event("shop/order.placed"))
    await engine.advance("1h")
    assert ids(ticks)[1:] == ["2026-01-01T01:00:00Z"] * 2
    assert {tick["cron"] for tick in ticks[1:]} == {"0 * * * *", "@hourly"}
    (info,) = await engine.functions.list()
    assert info.triggers == ("shop/order.placed",)
    crons = {(one.cron, one.tz, one.next_at) for one in info.crons}
    following = datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert crons == {
        ("0 * * * *", "UTC", following),
        ("@hourly", "Asia/Tokyo", following),
    }


async def test_jitter_is_within_its_bounds_and_the_same_after_a_restart(
    world: Any,
) -> None:
    ticks = noting(world, durable.Cron("@hourly", jitter="5m"))
    engine = await world.open(**at("2026-01-01T00:30Z"))
    (info,) = await engine.functions.list()
    fires = info.crons[0].fires_at
    await world.close()
    engine = await world.open(seed=99)
    (info,) = await engine.functions.list()
    assert info.crons[0].fires_at == fires
    await engine.advance("24h")
    assert len(ticks) == 24
    assert round(fires.timestamp() * 1000) == ticks[0]["ts"]
    delays = [tick["ts"] - ms(tick["scheduledAt"]) for tick in ticks]
    assert all(1_000 <= delay < 300_000 for delay in delays)
    assert len(set(delays)) > 20
    assert all(ms(tick["fireAt"]) == tick["ts"] for tick in ticks)


async def test_ticks_of_a_paused_function_are_listed_as_skipped(world: Any) -> None:
    ticks = noting(world, durable.Cron("@hourly"))
    engine = await world.open(**at("2026-01-01T00:30Z"))
    await engine.functions.pause("tick")
    await engine.advance("2h")
    await engine.functions.resume("tick")
    await engine.advance("1h")
    assert ids(ticks) == ["2026-01-01T03:00:00Z"]
    events = await engine.events.list(name="durable/scheduled.timer")
    skipped = [dict(event.skipped) for event in events]
    assert skipped == [{}, {"tick": "paused"}, {"tick": "paused"}]


async def test_a_limited_tick_does_not_stop_the_schedule(world: Any) -> None:
    ticks = noting(
        world, durable.Cron("@hourly"), rate_limit=durable.RateLimit(1, "3h")
    )
    engine = await world.open(**at("2026-01-01T00:30Z"))
    await engine.advance("6h")
    assert ids(ticks) == ["2026-01-01T01:00:00Z", "2026-01-01T04:00:00Z"]


async def test_a_deploy_changes_and_removes_a_cron(world: Any) -> None:
    ticks = noting(world, durable.Cron("@hourly"))
    await world.open(**at("2026-01-01T00:30Z"))
    await world.close()
    ticks = noting(world, durable.Cron("15 * * * *"))
    engine = await world.open()
    await engine.advance("1h")
    assert ids(ticks) == ["2026-01-01T01:15:00Z"]
    await world.close()
    ticks = noting(world, "shop/order.placed")
    engine = await world.open(**at("2026-01-01T01:30Z"))
    await engine.advance("1d")
    assert ids(ticks) == []
    assert (await engine.functions.list())[0].crons == ()


async def test_join_does_not_wait_for_ticks_to_come(world: Any) -> None:
    noting(world, durable.Cron("@hourly"))
    engine = await world.open(**at("2026-01-01T00:30Z"))
    await engine.join(timeout="10s")


async def test_c2_a_deploy_adds_a_cron_beside_one_that_goes_on(world: Any) -> None:
    noting(world, durable.Cron("@hourly"))
    await world.open(**at("2026-01-01T00:30Z"))
    await world.close()
    ticks = noting(world, [durable.Cron("@hourly"), durable.Cron("15 * * * *")])
    engine = await world.open()
    await engine.advance("2h")
    assert ids(ticks) == [
        "2026-01-01T01:00:00Z",
        "2026-01-01T01:15:00Z",
        "2026-01-01T02:00:00Z",
        "2026-01-01T02:15:00Z",
    ]
