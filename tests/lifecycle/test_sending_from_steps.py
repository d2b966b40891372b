"""What is promised of events that a run sends: each is a step's, and starts its runs once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

child_asked = durable.EventType("test/child")


def counting(world: Any) -> list[Any]:
    """A function that is started by the children's events; the data of each of its runs."""
    seen: list[Any] = []

    async def child(ctx: durable.Context) -> None:
        await ctx.step.run("see", seen.append, ctx.event.data)

    world.function(child, on=child_asked)
    return seen


async def test_a_step_sends_events_once_and_gives_their_ids(world: Any) -> None:
    seen = counting(world)

    async def parent(ctx: durable.Context) -> list[list[str]]:
        one = await ctx.step.send_event("one", child_asked(n=1))
        several = await ctx.step.send_event(
            "several", (child_asked(n=n) for n in (2, 3))
        )
        await ctx.step.sleep("rest", "1m")
        return [one, several]

    world.function(parent, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1m")
    one, several = (await world.get(run_id)).result
    assert sorted(data["n"] for data in seen) == [1, 2, 3]
    assert [len(one), len(several)] == [1, 2]
    sent = [await engine.events.get(event_id) for event_id in (*one, *several)]
    assert [event.event.data for event in sent] == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_try_that_was_not_remembered_starts_nothing_twice(world: Any) -> None:
    seen = counting(world)
    tries: list[list[str]] = []

    async def parent(ctx: durable.Context) -> list[str]:
        step = ctx.step.send_event("tell", child_asked(n=1))
        function = step.function
        assert function is not None

        async def send_and_fail() -> list[str]:
            tries.append(await function())
            if len(tries) < 3:  # what follows the send is lost twice
                msg = "sent, and not remembered"
                raise ConnectionError(msg)
            return tries[-1]

        step.function = send_and_fail
        return await step

    flat = durable.Retries(4, durable.Backoff("1s", jitter=0))
    world.function(parent, on="test/start", retries=flat)
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("10s")
    assert len(tries) == 3
    assert tries[0] == tries[1] == tries[2] == (await world.get(run_id)).result
    assert seen == [{"n": 1}]


async def test_runs_and_steps_do_not_take_each_others_events_for_their_own(
    world: Any,
) -> None:
    seen = counting(world)

    async def parent(ctx: durable.Context) -> None:
        await asyncio.gather(
            *(ctx.step.send_event("tell", child_asked(n=1)) for _ in range(3))
        )

    world.function(parent, on="test/start")
    await world.open()
    await world.start()
    await world.start()
    assert len(seen) == 6


async def test_a_senders_own_id_is_kept(world: Any) -> None:
    seen = counting(world)

    async def parent(ctx: durable.Context) -> list[str]:
        event = child_asked.event({"n": 1}, id="mine")
        return await ctx.step.send_event("tell", event)

    world.function(parent, on="test/start")
    await world.open()
    first, second = await world.start(), await world.start()
    assert (await world.get(first)).result == (await world.get(second)).result
    assert len(seen) == 1


async def test_a_plain_handler_sends_too(world: Any) -> None:
    seen = counting(world)

    def parent(ctx: durable.SyncContext) -> int:
        events: Iterator[Any] = (child_asked(n=n) for n in range(4))
        return len(ctx.step.send_event("tell", events))

    world.function(parent, on="test/start")
    await world.open()
    run_id = await world.start()
    assert (await world.get(run_id)).result == 4
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("events", "name"),
    [
        (7, "EventRefused"),
        ({"name": "x"}, "EventRefused"),
        (durable.Event("durable/mine"), "EventRefused"),
        (durable.Event("x", {"lock": object()}), "SerializationError"),
        (durable.Event("x", {"text": "x" * 4_300_000}), "PayloadTooLarge"),
    ],
)
async def test_what_is_not_accepted_fails_the_step_at_once_and_sends_nothing(
    world: Any, events: Any, name: str
) -> None:
    seen = counting(world)

    async def parent(ctx: durable.Context) -> str:
        try:
            await ctx.step.send_event("tell", events)
        except durable.StepError as error:
            return error.name
        return "sent"

    world.function(parent, on="test/start")
    await world.open()
    run_id = await world.start()
    assert (await world.get(run_id)).result == name
    assert not seen
