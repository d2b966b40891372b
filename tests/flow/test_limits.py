"""What users see: `functions.limits`, `runs.get(id).waiting_on`, and the commands that print them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

KEY = "event.data.k"


async def work(ctx: durable.Context) -> None:
    await ctx.step.sleep("rest", "1h")


async def send(world: Any, *keys: Any) -> list[str]:
    events = [durable.Event("test/start", {"k": k}) for k in keys]
    return [
        (await world.engine.events.get(event_id)).run_ids[0]
        for event_id in await world.send(*events)
    ]


def at(world: Any, seconds: float) -> datetime:
    now = datetime.fromtimestamp(world.engine.now_ms() / 1000, UTC)
    return now + timedelta(seconds=seconds)


async def test_a_throttle_shows_what_waits_and_when_each_can_go(world: Any) -> None:
    throttle = durable.Throttle(1, "10s", burst=1, key=KEY)
    world.function(work, on="test/start", throttle=throttle)
    engine = await world.open()
    runs = await send(world, "a", "a", "a", "a", "b", None)
    assert await engine.functions.limits("work") == [
        durable.Limit(
            policy="throttle", key=KEY, value="a", limit=1, waiting=2, left=0,
            next_at=at(world, 10),
        ),
        durable.Limit(policy="throttle", key=KEY, value=None, limit=1, left=1),
        durable.Limit(policy="throttle", key=KEY, value="b", limit=1, left=1),
    ]  # fmt: skip
    waits = [(await world.get(run)).waiting_on for run in runs]
    assert (
        waits[0]
        == waits[4]
        == (durable.WaitingOn(on="sleep", step="rest", at=at(world, 3600)),)
    )
    for ahead, wait in enumerate(waits[2:4]):
        assert wait == (
            durable.WaitingOn(
                on="throttle", key=KEY, value="a", limit=1, ahead=ahead,
                at=at(world, 10 * (ahead + 1)),
            ),
        )  # fmt: skip
    started = {}
    for _ in range(3):
        for run in runs[2:4]:
            got = await world.get(run)
            if got.started_at is not None:
                started.setdefault(run, got.started_at)
        await engine.advance("10s")
    assert [started[run] for run in runs[2:4]] == [wait[0].at for wait in waits[2:4]]


async def test_slots_show_who_has_them_and_who_waits(world: Any) -> None:
    limits = {
        "run_concurrency": durable.Concurrency(1, key=KEY),
        "concurrency": [durable.Concurrency(5, key=KEY, scope="env"), 7],
    }
    limits["concurrency"] = [
        durable.Concurrency(5, key=KEY, scope="env"),
        durable.Concurrency(7),
    ]
    world.function(work, on="test/start", **limits)
    engine = await world.open()
    runs = await send(world, "a", "a", "a", None)
    found = {
        (one.policy, one.scope, one.value): one
        for one in await engine.functions.limits("work")
    }
    taken = found["run_concurrency", "fn", "a"]
    assert (taken.taken, taken.limit, taken.waiting, taken.key) == (1, 1, 2, KEY)
    missing = found["run_concurrency", "fn", None]
    assert (missing.taken, missing.limit, missing.waiting) == (1, 1, 0)
    own = found["concurrency", "fn", None]
    assert (own.key, own.taken, own.limit, own.waiting) == (None, 0, 7, 2)
    shared = found["concurrency", "env", "a"]
    assert (shared.taken, shared.limit, shared.waiting) == (0, 5, 2)
    (wait,) = (await world.get(runs[2])).waiting_on
    assert wait == durable.WaitingOn(
        on="run_concurrency", key=KEY, value="a", scope="fn", limit=1, taken=1, ahead=1
    )


async def test_what_gathers_shows_until_when(world: Any) -> None:
    batch = durable.Batch(5, "1m", key=KEY)
    world.function(work, on="test/start", batch=batch, id="batched")
    debounce = durable.Debounce("10s", timeout="12s")
    world.function(work, on="test/start", debounce=debounce, id="debounced")
    engine = await world.open()
    first = await world.send(durable.Event("test/start", {"k": "a"}))
    await engine.advance("5s")
    await world.send(durable.Event("test/start", {"k": "a"}))
    runs = [run.id for run in await engine.events.runs(first[0])]
    (batched,) = await engine.functions.limits("batched")
    assert batched == durable.Limit(
        policy="batch", key=KEY, value="a", limit=5, waiting=2, run_id=runs[0],
        next_at=at(world, 55),
    )  # fmt: skip
    (debounced,) = await engine.functions.limits("debounced")
    assert debounced == durable.Limit(
        policy="debounce", waiting=1, run_id=runs[1], next_at=at(world, 7)
    )
    waits = [(await world.get(run)).waiting_on for run in runs]
    assert waits == [
        (durable.WaitingOn(on="batch", key=KEY, value="a", at=at(world, 55)),),
        (durable.WaitingOn(on="debounce", at=at(world, 7)),),
    ]


async def test_what_was_admitted_shows_what_is_left(world: Any) -> None:
    world.function(work, on="test/start", idempotency=KEY, id="once")
    limit = durable.RateLimit(3, "30s", key=KEY)
    world.function(work, on="test/start", rate_limit=limit, id="limited")
    world.function(work, on="test/start", singleton=durable.Singleton("skip", key=KEY))
    engine = await world.open()
    (event_id,) = await world.send(durable.Event("test/start", {"k": "a"}))
    last = (await engine.events.runs(event_id))[-1].id
    assert await engine.functions.limits("limited") == [
        durable.Limit(policy="rate_limit", key=KEY, value="a", limit=3, left=2)
    ]
    assert await engine.functions.limits("once") == [
        durable.Limit(
            policy="idempotency", key=KEY, value="a", limit=1, left=0,
            next_at=at(world, 86_400),
        )
    ]  # fmt: skip
    assert await engine.functions.limits("work") == [
        durable.Limit(
            policy="singleton", key=KEY, value="a", limit=1, taken=1, run_id=last
        )
    ]


async def test_the_other_reasons_to_wait(world: Any) -> None:
    async def fails(_: durable.Context) -> None:
        text = "later"
        raise durable.RetryAfterError(text, "1m")

    world.function(fails, on="test/fail")
    world.function(work, on="test/start")
    engine = await world.open()
    failed = await world.start("test/fail")
    future = durable.Event("test/start", ts=engine.now_ms() + 60_000)
    (event_id,) = await world.send(future)
    future_run = (await world.run_of(event_id)).id
    assert (await world.get(failed)).waiting_on == (
        durable.WaitingOn(on="retry", at=at(world, 60)),
    )
    assert (await world.get(future_run)).waiting_on == (
        durable.WaitingOn(on="event", at=at(world, 60)),
    )
    sleeper = await world.start()
    await engine.functions.pause("work")
    await engine.advance("1h")
    assert (await world.get(sleeper)).waiting_on == (
        durable.WaitingOn(on="paused", ahead=1),
    )
    await engine.functions.resume("work")
    await world.settle()
    assert (await world.get(sleeper)).waiting_on == ()


async def test_only_the_busiest_values_are_shown(world: Any) -> None:
    throttle = durable.Throttle(1, "1h", key=KEY)
    world.function(work, on="test/start", throttle=throttle)
    engine = await world.open()
    await send(world, *"abccbc")
    found = await engine.functions.limits("work", limit=2)
    assert [(one.value, one.waiting) for one in found] == [("c", 2), ("b", 1)]
    with pytest.raises(durable.ConfigError, match="from 1 to 1000"):
        await engine.functions.limits("work", limit=0)
    with pytest.raises(durable.NotFoundError, match="there is no function 'nobody'"):
        await engine.functions.limits("nobody")
