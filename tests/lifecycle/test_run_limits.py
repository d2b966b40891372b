"""The limits of a run: exactly at each it goes on, one beyond it fails by name, and nothing else suffers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

OUTPUT_BYTES = 4 * 1024 * 1024
QUOTES = 2


@pytest.mark.parametrize("place", ["step", "result"])
async def test_an_output_of_four_megabytes_fits_and_a_byte_more_does_not(
    world: Any, place: str
) -> None:
    async def handler(ctx: durable.Context) -> Any:
        text = "x" * (ctx.event.data["bytes"] - QUOTES)
        if place == "step":
            return len(await ctx.step.run("big", str, text))
        return text

    world.function(handler, on="test/start")
    await world.open()
    fits = await world.get(await world.start(data={"bytes": OUTPUT_BYTES}))
    beyond = await world.get(await world.start(data={"bytes": OUTPUT_BYTES + 1}))
    assert fits.status == "completed"
    assert (beyond.status, beyond.error.name) == ("failed", "OutputTooLarge")
    assert str(OUTPUT_BYTES) in beyond.error.message


async def test_a_state_of_32_megabytes_fits_and_a_byte_more_does_not(
    world: Any,
) -> None:
    async def handler(ctx: durable.Context) -> int:
        for n in range(7):
            await ctx.step.run(f"s{n}", lambda: "x" * (OUTPUT_BYTES - QUOTES))
        rest = OUTPUT_BYTES - len("1") - QUOTES
        await ctx.step.run("rest", lambda: "x" * rest)
        await ctx.step.run("last", lambda: ctx.event.data["last"])
        return 1

    world.function(handler, on="test/start")
    world.replay = "needed"  # it says nothing more of 32 MB, and takes long
    await world.open()
    fits = await world.get(await world.start(data={"last": 1}))
    beyond = await world.get(await world.start(data={"last": 10}))
    assert fits.status == "completed"
    assert (beyond.status, beyond.error.name) == ("failed", "StateTooLarge")


async def test_a_thousand_steps_at_once_fit_and_one_more_is_not_caught(
    world: Any,
) -> None:
    async def handler(ctx: durable.Context) -> str:
        naps = (ctx.step.sleep("nap", "1h") for _ in range(ctx.event.data["steps"]))
        try:
            await asyncio.gather(*naps)
        except Exception as error:  # noqa: BLE001  # none comes
            return repr(error)
        return "slept"

    world.function(handler, on="test/start")
    engine = await world.open()
    most = await world.start(data={"steps": 1000})
    beyond = await world.start(data={"steps": 1001})
    other = await world.start(data={"steps": 1})
    await engine.advance("1h")
    assert (await world.get(most)).result == "slept"
    run = await world.get(beyond)
    assert (run.status, run.error.name) == ("failed", "StepLimitExceeded")
    assert (await world.get(other)).result == "slept"


async def test_sleeps_waits_and_invoked_runs_count_as_steps(world: Any) -> None:
    async def child(ctx: durable.Context) -> None: ...

    async def handler(ctx: durable.Context) -> str:
        for n in range(250):
            await ctx.step.run(f"run {n}", int)
        naps = (ctx.step.sleep(f"sleep {n}", "1m") for n in range(250))
        waits = (
            ctx.step.wait_for_event(f"wait {n}", "test/go", timeout="1m")
            for n in range(250)
        )
        calls = (ctx.step.invoke(f"call {n}", function) for n in range(250))
        await asyncio.gather(*naps, *waits, *calls)
        if ctx.event.data["has_more"]:
            await ctx.step.sleep("more", 0)
        return "done"

    function = world.function(child)
    world.function(handler, on="test/start")
    world.replay = "needed"  # a thousand replays of a thousand steps would take long
    engine = await world.open()
    most = await world.start(data={"has_more": False})
    beyond = await world.start(data={"has_more": True})
    await engine.advance("1m")
    assert (await world.get(most)).result == "done"
    assert (await world.get(beyond)).error.name == "StepLimitExceeded"


async def test_the_id_of_a_run_says_when_it_was_made_and_sorts_by_that(
    world: Any,
) -> None:
    async def handler(ctx: durable.Context) -> None: ...

    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    world.function(handler, on="test/start")
    engine = await world.open()
    ids, moments = [], []
    for n in range(3):
        (event_id,) = await world.send(durable.Event("test/start", ts=n))
        ids.append((await world.run_of(event_id)).id)
        moments.append(engine.now_ms())
        await engine.advance("1s")
    assert ids == sorted(ids)
    assert {len(run_id) for run_id in ids} == {26}
    read = [
        sum(letters.index(one) * 32 ** (9 - n) for n, one in enumerate(run_id[:10]))
        for run_id in ids
    ]
    assert read == moments
