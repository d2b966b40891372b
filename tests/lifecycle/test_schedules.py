"""What is promised of schedules made at run time: made once by their ids, changed, triggered, and kept over restarts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

import durable


pytestmark = pytest.mark.asyncio

DAWN = {"clock": "virtual:1767225600000"}  # 2026-01-01T00:00Z


class Customer(pydantic.BaseModel):
    """What a schedule's runs are about."""

    customer: str


def reporting(world: Any, **settings: Any) -> list[dict[str, Any]]:
    """A function that notes what its runs are given."""
    given: list[dict[str, Any]] = []

    async def report(ctx: durable.Context) -> Any:
        await ctx.step.sleep("rest", "1s")
        given.append(dict(ctx.event.data))
        return ctx.event.data.get("customer")

    world.function(report, retries=0, **settings)
    return given


def moments(given: list[dict[str, Any]]) -> list[str]:
    return [one["scheduledAt"] for one in given]


async def test_a_schedule_starts_runs_with_its_data(world: Any) -> None:
    given = reporting(world)
    engine = await world.open(**DAWN)
    made = await engine.schedules.create(
        "daily/acme",
        world.app.functions["report"],
        cron="0 7 * * *",
        tz="Europe/Paris",
        data=Customer(customer="acme"),
    )
    assert made == durable.Schedule(
        id="daily/acme",
        function="report",
        cron="0 7 * * *",
        tz="Europe/Paris",
        every=None,
        data={"customer": "acme"},
        jitter=None,
        catch_up="last",
        is_paused=False,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
        last_at=None,
        next_at=datetime(2026, 1, 1, 6, tzinfo=UTC),
        fires_at=datetime(2026, 1, 1, 6, tzinfo=UTC),
    )
    await engine.advance("1d")
    assert given == [
        {
            "cron": "0 7 * * *",
            "scheduledAt": "2026-01-01T06:00:00Z",
            "fireAt": "2026-01-01T06:00:00Z",
            "schedule": "daily/acme",
            "customer": "acme",
        }
    ]
    kept = await engine.schedules.get("daily/acme")
    assert kept.last_at == datetime(2026, 1, 1, 6, tzinfo=UTC)


async def test_making_it_again_changes_nothing_and_otherwise_replaces(
    world: Any,
) -> None:
    given = reporting(world)
    engine = await world.open(**DAWN)
    make = engine.schedules.create
    await make("s", "report", every="1h", data={"n": 1})
    await engine.advance("50m")
    await make("s", "report", every="1h", data={"n": 1})
    await engine.advance("11m")
    assert moments(given) == ["2026-01-01T01:00:00Z"]
    assert given[0]["everyMs"] == 3_600_000
    replaced = await make("s", "report", every=timedelta(minutes=10), data={"n": 2})
    assert (replaced.every, replaced.cron) == (timedelta(minutes=10), None)
    await engine.advance("21m")
    assert moments(given)[1:] == ["2026-01-01T01:11:00Z", "2026-01-01T01:21:00Z"]
    assert len(await engine.schedules.list()) == 1


async def test_a_restart_in_the_middle_keeps_them_and_makes_up_the_last(
    world: Any,
) -> None:
    given = reporting(world)
    engine = await world.open(**DAWN)
    await engine.schedules.create("s", "report", every="1h", catch_up="last")
    await engine.schedules.create("t", "report", every="1h", catch_up="none")
    await engine.advance("90m")
    assert len(given) == 2
    await world.close()
    await world.open(clock="virtual:1767240000000")  # 04:00
    await world.engine.advance("1s")
    assert [(one["schedule"], one["scheduledAt"]) for one in given[2:]] == [
        ("s", "2026-01-01T04:00:00Z"),
        ("t", "2026-01-01T04:00:00Z"),
    ]


async def test_pause_resume_trigger_and_delete(world: Any) -> None:
    given = reporting(world)
    engine = await world.open(**DAWN)
    schedules = engine.schedules
    await schedules.create("s", "report", every="1h")
    await schedules.pause("s")
    assert (await schedules.get("s")).next_at is None
    await world.close()
    engine = await world.open(clock="virtual:1767236400000")  # 03:00
    schedules = engine.schedules
    await engine.advance("1h")
    assert given == []
    run_id = await schedules.trigger("s")
    await engine.advance("1s")
    run = await engine.runs.get(run_id)
    assert (run.status, run.function) == ("completed", "report")
    assert moments(given) == ["2026-01-01T04:00:00Z"]
    await schedules.resume("s")
    await schedules.resume("s")
    await engine.advance("1h")
    assert moments(given)[1:] == ["2026-01-01T05:00:00Z"]
    await schedules.delete("s")
    await engine.advance("1d")
    assert len(given) == 2
    assert await schedules.list() == []


async def test_an_unknown_schedule_is_told_what_to_do(world: Any) -> None:
    reporting(world)
    engine = await world.open(**DAWN)
    schedules = engine.schedules
    for ask in (
        schedules.get,
        schedules.pause,
        schedules.resume,
        schedules.delete,
        schedules.trigger,
    ):
        with pytest.raises(durable.NotFoundError, match=r"'nobody'.*schedules.list"):
            await ask("nobody")
    with pytest.raises(durable.NotFoundError, match="'nothing'"):
        await schedules.create("s", "nothing", every="1h")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "has no time"),
        ({"cron": "@daily", "every": "1h"}, "has two times"),
        ({"cron": "0 0 30 2 *"}, "never comes"),
        ({"cron": "@daily", "tz": "Europe/Pari"}, "did you mean 'Europe/Paris'"),
        ({"every": "1h", "tz": "Europe/Paris"}, "no meaning with `every`"),
        ({"every": "0.5s"}, "too short"),
        ({"every": "1h", "jitter": "6m"}, "too long"),
        ({"every": "1h", "catch_up": "first"}, "is not known"),
        ({"every": "1h", "data": {"fireAt": 1}}, "choose another name"),
        ({"every": "1h", "data": {"k": "x" * 70_000}}, "the limit is 65536"),
    ],
)
async def test_wrong_settings_are_told(
    world: Any, settings: dict[str, Any], words: str
) -> None:
    reporting(world)
    engine = await world.open(**DAWN)
    with pytest.raises(durable.ConfigError, match=words) as raised:
        await engine.schedules.create("s", "report", **settings)
    assert "schedule 's'" in str(raised.value)
    assert await engine.schedules.list() == []


async def test_flow_control_holds_for_them_by_their_data(world: Any) -> None:
    singleton = durable.Singleton("skip", key="event.data.customer")
    given = reporting(world, singleton=singleton)
    engine = await world.open(**DAWN)
    for name, customer in (("a", "acme"), ("b", "acme"), ("c", "bolt")):
        data = {"customer": customer}
        await engine.schedules.create(name, "report", cron="@hourly", data=data)
    await engine.advance("1h 1s")
    assert sorted(one["schedule"] for one in given) == ["a", "c"]
    await engine.schedules.trigger("b")
    with pytest.raises(durable.InvokeError, match="singleton"):
        await engine.schedules.trigger("a")


async def test_many_schedules_are_listed_by_pages_and_all_tick(world: Any) -> None:
    given = reporting(world)
    engine = await world.open(**DAWN)
    names = [f"customer/{number:03}" for number in range(120)]
    await asyncio.gather(
        *(engine.schedules.create(name, "report", cron="@hourly") for name in names)
    )
    found: list[str | None] = []
    cursor: str | None = None
    while True:
        page = await engine.schedules.list(function="report", limit=50, cursor=cursor)
        found += [one.id for one in page]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == names
    assert await engine.schedules.list(function="other") == []
    await engine.advance("1h 1s")
    assert sorted(one["schedule"] for one in given) == names
