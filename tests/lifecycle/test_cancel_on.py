"""What is promised of `cancel_on`: later events that match end a run, in one commit, wherever it stands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


def sleeping(world: Any, cancel_on: Any, **options: Any) -> None:
    """A function whose runs sleep for a day."""

    async def sleeper(ctx: durable.Context) -> str:
        await ctx.step.sleep("a day", "1d")
        return "done"

    world.function(sleeper, on="test/start", cancel_on=cancel_on, **options)


def stop(**data: Any) -> durable.Event[Any]:
    return durable.Event("test/stop", data)


async def status(world: Any, run_id: str) -> str:
    return (await world.get(run_id)).status


async def test_a_later_event_that_matches_cancels_a_run(world: Any) -> None:
    sleeping(world, durable.CancelOn("test/stop", match="data.id"))
    await world.open()
    await world.send(stop(id=1))  # before there is a run
    runs = [await world.start(data={"id": number}) for number in (1, 2)]
    await world.restart()
    await world.send(stop(id=3), stop(id=1))
    assert [await status(world, run) for run in runs] == ["cancelled", "parked"]
    run = await world.get(runs[0])
    assert run.error.name == "RunCancelled"
    assert "its cancel_on met the event 'test/stop'" in run.error.message
    await world.engine.advance("2d")
    assert await status(world, runs[1]) == "completed"


@pytest.mark.parametrize(
    ("condition", "misses", "hits"),
    [
        ("async.data.n > event.data.n", {"n": 5}, {"n": 6}),
        (
            "async.data.id == event.data.id && async.data.n == 1",
            {"id": "a"},
            {"id": "a", "n": 1},
        ),
        (None, None, {}),
    ],
)
async def test_what_an_event_must_meet(
    world: Any, condition: str | None, misses: Any, hits: dict[str, Any]
) -> None:
    sleeping(world, [durable.CancelOn("test/stop", if_=condition)])
    await world.open()
    run_id = await world.start(data={"n": 5, "id": "a"})
    if misses is not None:
        await world.send(stop(**misses))
    assert await status(world, run_id) == "parked"
    await world.send(stop(**hits))
    assert await status(world, run_id) == "cancelled"


async def test_a_run_whose_own_event_has_not_the_field_is_told_once(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What is missing equals null: no event that has the field would ever cancel it."""
    cancel_on = [
        durable.CancelOn("test/stop", match="data.order.id"),
        durable.CancelOn("test/halt", match="data.id"),
    ]
    sleeping(world, cancel_on)
    await world.open()
    whole = await world.start(data={"id": 1, "order": {"id": 2}})
    assert caplog.text == ""
    runs = [await world.start(data={"id": 1, "order": 2}) for _ in range(2)]
    await world.restart()
    await world.send(stop(order={"id": 2}))
    assert [await status(world, run) for run in (whole, *runs)] == [
        "cancelled",
        "parked",
        "parked",
    ]
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    for word in ("'sleeper'", runs[0], "'test/stop'", "no data.order.id", "if_="):
        assert word in told


async def test_a_run_is_not_cancelled_by_the_event_that_started_it(world: Any) -> None:
    """As users restart a run: the event that starts the next cancels the one before."""
    sleeping(world, durable.CancelOn("test/start", match="data.id"))
    await world.open()
    first = await world.start(data={"id": 1})
    second = await world.start(data={"id": 1})
    assert [await status(world, run) for run in (first, second)] == [
        "cancelled",
        "parked",
    ]


async def test_it_holds_for_so_long_and_no_longer(world: Any) -> None:
    sleeping(world, durable.CancelOn("test/stop", timeout="1h"))
    engine = await world.open()
    first = await world.start()
    await engine.advance("59m")
    second = await world.start()
    await engine.advance("1m")
    await world.send(stop())
    assert [await status(world, run) for run in (first, second)] == [
        "parked",
        "cancelled",
    ]


async def test_a_queued_run_and_one_of_the_future_are_cancelled_before_they_start(
    world: Any,
) -> None:
    started: list[str] = []
    has_started = asyncio.Event()

    async def worker(ctx: durable.Context) -> None:
        started.append(ctx.run_id)
        has_started.set()
        await ctx.step.run("block", asyncio.Event().wait)

    world.function(
        worker,
        on="test/start",
        concurrency=1,
        cancel_on=durable.CancelOn("test/stop", match="data.id"),
    )
    engine = await world.open()
    later = engine.now_ms() + 3_600_000
    events = [
        durable.Event("test/start", {"id": 1}),
        durable.Event("test/start", {"id": 2}),
        durable.Event("test/start", {"id": 3}, ts=later),
    ]
    ids = await engine.send(*events)
    await has_started.wait()
    runs = [(await world.run_of(event)).id for event in ids]
    await engine.send(stop(id=2), stop(id=3))
    assert [await status(world, run) for run in runs] == [
        "running",
        "cancelled",
        "cancelled",
    ]
    assert started == runs[:1]
    await engine.send(stop(id=1))
    assert await status(world, runs[0]) == "cancelled"


async def test_a_step_in_flight_is_cancelled_as_a_task_is(world: Any) -> None:
    seen: list[str] = []
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        seen.append("begun")
        has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            has_ended.set()
            raise

    async def worker(ctx: durable.Context) -> None:
        await ctx.step.run("block", block)

    world.function(worker, on="test/start", cancel_on=durable.CancelOn("test/stop"))
    engine = await world.open()
    await engine.send(durable.Event("test/start"))
    await has_begun.wait()
    await world.send(stop())
    await has_ended.wait()
    assert seen == ["begun", "cancelled"]


async def test_of_a_debounced_run_the_kept_event_counts_from_its_start_on(
    world: Any,
) -> None:
    sleeping(
        world,
        durable.CancelOn("test/stop", match="data.id"),
        debounce=durable.Debounce("1h"),
    )
    engine = await world.open()
    run_id = await world.start(data={"id": 1})
    await world.send(durable.Event("test/start", {"id": 2}))
    await world.send(stop(id=2))  # it has not been made yet
    await engine.advance("1h")
    await world.send(stop(id=1))
    assert await status(world, run_id) == "parked"
    await world.restart()
    await world.send(stop(id=2))
    assert await status(world, run_id) == "cancelled"


async def test_a_deploy_leaves_runs_with_what_they_were_made_with(world: Any) -> None:
    sleeping(world, durable.CancelOn("test/stop"))
    await world.open()
    run_id = await world.start()
    await world.close()
    sleeping(world, None)
    await world.open()
    kept = await world.start()
    await world.send(stop())
    assert [await status(world, run) for run in (run_id, kept)] == [
        "cancelled",
        "parked",
    ]


async def test_one_of_several_is_enough(world: Any) -> None:
    several = [durable.CancelOn(f"test/stop{number}") for number in range(5)]
    sleeping(world, several)
    await world.open()
    runs = [await world.start() for _ in range(2)]
    await world.send(durable.Event("test/stop4", {}))
    assert [await status(world, run) for run in runs] == ["cancelled"] * 2


async def test_events_of_one_send_cancel_only_what_came_before_them(world: Any) -> None:
    sleeping(world, durable.CancelOn("test/stop", match="data.id"))
    await world.open()
    ids = await world.send(
        stop(id=1),
        durable.Event("test/start", {"id": 1}),
        durable.Event("test/start", {"id": 2}),
        stop(id=2),
    )
    runs = [(await world.run_of(event_id)).id for event_id in ids[1:3]]
    assert [await status(world, run) for run in runs] == ["parked", "cancelled"]


@pytest.mark.parametrize(
    "condition",
    [
        "event.data.id == 2 && async.data.id == 1",
        "async.data.id > 'x'",
        "async.data.id",
        "async.data.id / 0 == 1",
        "async.data.missing == event.data.id",
    ],
)
async def test_x2_what_is_false_of_its_own_event_or_fails_never_cancels(
    world: Any, condition: str
) -> None:
    sleeping(world, durable.CancelOn("test/stop", if_=condition))
    engine = await world.open()
    run_id = await world.start(data={"id": 1})
    await world.send(stop(id=1), stop())
    await engine.advance("1d")
    assert await status(world, run_id) == "completed"
