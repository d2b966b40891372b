"""Pausing a function: what stops, what is skipped, what a restart keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_a_paused_function_starts_nothing_and_says_so(world: Any) -> None:
    async def work(ctx: durable.Context) -> int:
        return int(ctx.event.data["n"])

    function = world.function(work, on="test/start")
    engine = await world.open()
    await engine.functions.pause(function)
    (info,) = await engine.functions.list()
    assert info.is_paused
    (event_id,) = await world.send(durable.Event("test/start", {"n": 1}))
    assert (await engine.events.get(event_id)).skipped == {"work": "paused"}
    assert await engine.runs.list() == []
    with pytest.raises(
        durable.InvokeError, match="'work' was not started: it is paused"
    ):
        await engine.invoke(function, {"n": 1})
    await engine.functions.resume("work")
    assert await engine.invoke(function, {"n": 2}) == 2
    assert not (await engine.functions.list())[0].is_paused


async def test_a_run_stops_at_its_next_step_and_goes_on_as_if_nothing_had_been(
    world: Any,
) -> None:
    calls: list[str] = []
    begun = asyncio.Event()
    gates = {"a": asyncio.Event(), "b": asyncio.Event(), "c": asyncio.Event()}

    async def step(name: str) -> str:
        calls.append(name)
        begun.set()
        await gates[name].wait()
        return name

    async def work(ctx: durable.Context) -> str:
        done = ""
        for name in "abc":
            done += await ctx.step.run(name, step, name)
            done += str(ctx.attempt)
        return done

    world.settings["clock"] = "system"
    world.function(work, on="test/start")
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start"))
    (run_id,) = (await engine.events.get(event_id)).run_ids
    await begun.wait()
    await engine.functions.pause("work")
    gates["a"].set()
    gates["b"].set()
    for _ in range(10_000):
        run = await engine.runs.get(run_id)
        if run.status == "queued":
            break
    assert (calls, run.steps["a"].result) == (["a"], "a")
    await engine.functions.resume("work")
    gates["c"].set()
    run = await engine.runs.wait(run_id, timeout="30s")
    assert (run.result, calls) == ("a0b0c0", ["a", "b", "c"])
    assert {step.attempts for step in run.steps.values()} == {1}


async def test_sleeps_go_on_and_what_follows_waits(world: Any) -> None:
    async def work(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1m")
        return "done"

    world.function(work, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.functions.pause("work")
    await engine.advance("1h")
    assert (await world.get(run_id)).status == "queued"
    await engine.functions.resume("work")
    await world.settle()
    assert (await world.get(run_id)).result == "done"


async def test_it_is_kept_over_a_restart_and_a_deploy(world: Any) -> None:
    async def work(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1m")
        return "done"

    world.function(work, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.functions.pause("work")
    await world.close()
    world.function(work, on="test/start", retries=1)
    engine = await world.open()
    await engine.advance("1h")
    assert (await world.get(run_id)).status == "queued"
    await engine.functions.resume("work")
    await world.settle()
    assert (await world.get(run_id)).result == "done"


async def test_nobody_waits_for_what_is_paused(world: Any) -> None:
    async def work(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1m")

    world.function(work, on="test/start")
    engine = await world.open()
    await world.start()
    await engine.functions.pause("work")
    await engine.advance("2m")
    await engine.join(timeout=30)
    await engine.functions.resume("work")
    await engine.join(timeout=30)
    (run,) = await engine.runs.list()
    assert run.status == "completed"


async def test_other_functions_do_not_notice(world: Any) -> None:
    async def one(_: durable.Context) -> str:
        return "one"

    async def other(_: durable.Context) -> str:
        return "other"

    world.function(one, on="test/start")
    world.function(other, on="test/start")
    engine = await world.open()
    await engine.functions.pause("one")
    (event_id,) = await world.send(durable.Event("test/start"))
    (run,) = await engine.events.runs(event_id)
    assert run.result == "other"


async def test_a_paused_singleton_cancels_nothing(world: Any) -> None:
    async def work(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1m")
        return "done"

    world.function(work, on="test/start", singleton=durable.Singleton("cancel"))
    engine = await world.open()
    run_id = await world.start()
    await engine.functions.pause("work")
    await world.send(durable.Event("test/start"))
    await engine.functions.resume("work")
    await engine.advance("1h")
    assert (await world.get(run_id)).result == "done"


async def test_a_function_that_is_not_there_cannot_be_paused(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.NotFoundError, match="there is no function 'nobody'"):
        await engine.functions.pause("nobody")
