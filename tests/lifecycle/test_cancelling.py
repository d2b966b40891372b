"""`runs.cancel`: whatever a run does or waits for, it ends there, and gives back what it held."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def sleeper(ctx: durable.Context) -> str:
    await ctx.step.sleep("rest", "1h")
    return "rested"


async def settled(world: Any, run_id: str) -> durable.Run:
    await world.settle()
    return await world.get(run_id)


async def test_a_run_that_sleeps_is_called_off_for_good(world: Any) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    assert await engine.runs.cancel(run_id)
    run = await settled(world, run_id)
    assert (run.status, run.error.message) == ("cancelled", "it was called off")
    await engine.advance("2h")
    await world.restart()
    run = await settled(world, run_id)
    assert (run.status, run.result) == ("cancelled", None)
    assert world.engine.stats()["functions"]["sleeper"]["cancelled"] == 1


async def test_one_that_has_ended_stays_as_it_is(world: Any) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    assert not await engine.runs.cancel(run_id)
    assert (await settled(world, run_id)).result == "rested"
    again = await world.start()
    assert await engine.runs.cancel(again)
    assert not await engine.runs.cancel(again)


@pytest.mark.parametrize("run_id", ["01HF00000000000000000000AA", "nobody"])
async def test_one_that_does_not_exist_is_told(world: Any, run_id: str) -> None:
    engine = await world.open()
    with pytest.raises(durable.NotFoundError, match=f"there is no run {run_id}"):
        await engine.runs.cancel(run_id)


POLICIES: list[dict[str, Any]] = [
    {"run_concurrency": durable.Concurrency(1)},
    {"throttle": durable.Throttle(1, "1h")},
    {"debounce": durable.Debounce("1h", key="event.data.n")},
    {"batch": durable.Batch(5, "1h", key="event.data.n")},
    {"singleton": durable.Singleton("skip", key="event.data.n")},
    {"timeouts": durable.Timeouts("5h", "5h")},
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda one: next(iter(one)))
async def test_what_it_held_and_waited_for_goes_with_it(
    world: Any, policy: dict[str, Any]
) -> None:
    world.function(sleeper, on="test/start", **policy)
    engine = await world.open()
    runs = [await world.start(data={"n": n}) for n in range(3)]
    for run_id in runs:
        assert await engine.runs.cancel(run_id)
    limits = await engine.functions.limits("sleeper")
    assert all(not one.taken and one.waiting == 0 for one in limits)
    last = await world.start(data={"n": 0})
    await engine.advance("5h")
    assert (await settled(world, last)).result == "rested"
    statuses = {(await settled(world, run_id)).status for run_id in runs}
    assert statuses == {"cancelled"}


async def test_steps_that_execute_see_it_as_any_task_does(world: Any) -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    async def step(name: str) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(name)
            raise

    async def stuck(ctx: durable.Context) -> None:
        if ctx.event.data["n"] == 0:
            await ctx.step.run("alone", step, "alone")
        else:
            steps = [ctx.step.run(name, step, name) for name in ("one", "two")]
            await asyncio.gather(*steps)

    function = world.function(stuck)
    engine = await world.open(clock="system", grace=5)
    for n in range(2):
        begun.clear()
        call = asyncio.ensure_future(engine.invoke(function, {"n": n}))
        await begun.wait()
        (run, *_) = await engine.runs.list()
        assert await engine.runs.cancel(run.id)
        with pytest.raises(
            durable.RunCancelled, match="was cancelled: it was called off"
        ):
            await call
    await world.close()
    assert seen[0] == "alone"
    assert set(seen[1:]) <= {"one", "two"}


async def test_a_plain_handler_runs_out_and_its_result_counts_for_nothing(
    world: Any,
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def plain(ctx: durable.SyncContext) -> str:
        def step() -> None:
            begun.set()
            goes_on.wait(10)
            ended.append("ran out")

        ctx.step.run("wait", step)
        ended.append("went on")
        return "done"

    world.function(plain, on="test/start")
    engine = await world.open(clock="system")
    (event_id,) = await engine.send(durable.Event("test/start"))
    (run_id,) = (await engine.events.get(event_id)).run_ids
    await asyncio.to_thread(begun.wait, 10)
    assert await engine.runs.cancel(run_id)
    goes_on.set()
    run = await engine.runs.wait(run_id, timeout="30s")
    assert (run.status, run.steps) == ("cancelled", {})
    await world.close()
    assert ended in ([], ["ran out"])


async def test_what_waits_for_another_try_is_called_off_and_has_not_failed(
    world: Any,
) -> None:
    calls: list[str] = []

    def fail(where: str) -> None:
        calls.append(where)
        raise ValueError(where)

    async def handler(ctx: durable.Context) -> None:
        if ctx.event.data["where"] == "step":
            await ctx.step.run("fails", fail, "step")
        fail("code")

    world.function(handler, on="test/start")
    engine = await world.open()
    runs = [await world.start(data={"where": where}) for where in ("step", "code")]
    for run_id in runs:
        assert await engine.runs.cancel(run_id)
    await engine.advance("1d")
    ended = [await world.get(run_id) for run_id in runs]
    assert [run.status for run in ended] == ["cancelled"] * 2
    assert calls == ["step", "code"]
    assert engine.stats()["functions"]["handler"]["failed"] == 0


async def test_x3_runs_of_a_paused_function_are_called_off_and_leave_nothing(
    world: Any,
) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    asleep, due = await world.start(), await world.start()
    await engine.functions.pause("sleeper")
    assert await engine.runs.cancel(asleep)
    await engine.advance("2h")
    assert (await settled(world, due)).status == "queued"
    assert await engine.runs.cancel(due)
    await engine.functions.resume("sleeper")
    await engine.advance("2h")
    statuses = [(await settled(world, run)).status for run in (asleep, due)]
    assert statuses == ["cancelled"] * 2
    counts = engine.stats()["functions"]["sleeper"]
    assert (counts["queued"], sum(counts["parked"].values())) == (0, 0)
