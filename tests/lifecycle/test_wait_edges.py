"""Waits at the edges of what is promised: no time at all, the longest time, events of one's own, conditions that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

FLAT = durable.Backoff("1m", jitter=0)
KINDS = ["sleep", "sleep_until", "wait_for_event", "wait_for_signal", "invoke"]
DAY_MS = 86_400_000


def go(**data: Any) -> durable.Event[Any]:
    return durable.Event("test/go", data)


def waiting(world: Any, kind: str, length: Any) -> None:
    """A function that waits so long for something that does not come."""

    async def child(ctx: durable.Context) -> None:
        await ctx.step.sleep("long", "300d")

    async def waiter(ctx: durable.Context) -> Any:
        step = ctx.step
        waits = {
            "sleep": lambda: step.sleep("wait", length),
            "sleep_until": lambda: step.sleep_until("wait", length),
            "wait_for_event": lambda: step.wait_for_event(
                "wait", "test/go", timeout=length
            ),
            "wait_for_signal": lambda: step.wait_for_signal(
                "wait", "go", timeout=length
            ),
            "invoke": lambda: step.invoke("wait", "child", timeout=length),
        }
        return await waits[kind]()

    world.function(child)
    world.function(waiter, on="test/start", retries=0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wait_of_no_time_is_over_at_once(world: Any, kind: str) -> None:
    waiting(world, kind, 0)
    await world.open()
    run = await world.get(await world.start())
    if kind == "invoke":
        assert (run.status, run.error.name) == ("failed", "InvokeTimeoutError")
    else:
        assert (run.status, run.result) == ("completed", None)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_longest_wait_is_366_days_and_not_a_millisecond_more(
    world: Any, kind: str
) -> None:
    engine = await world.open()
    now = engine.now_ms()
    await world.close()
    world.settings["clock"] = f"virtual:{now}"
    longest: list[Any] = ["366d", "366d 1ms"]
    if kind == "sleep_until":
        longest = [now + 366 * DAY_MS, now + 366 * DAY_MS + 1]
    statuses = []
    for length in longest:
        waiting(world, kind, length)
        await world.open()
        run_id = await world.start()
        statuses.append((await world.get(run_id)).status)
        await world.close()
    assert statuses == ["parked", "failed"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "length", [None, True, "", "soon", -1, float("nan"), float("inf"), 10**400, [1]]
)
async def test_what_is_no_length_fails_the_run_at_once_and_says_so(
    world: Any, kind: str, length: Any
) -> None:
    if kind == "sleep_until" and (isinstance(length, int | float)):
        length = "2026-01-01"
    waiting(world, kind, length)
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "UsageError")
    assert "step 'wait'" in run.error.message


async def test_a_moment_beyond_all_calendars_fails_the_run_by_name(world: Any) -> None:
    waiting(world, "sleep_until", 10**400)
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "SleepTooLong")
    assert "366 days" in run.error.message


@pytest.mark.parametrize("since", [None, "run"])
async def test_a_run_does_not_see_its_own_event_and_does_see_it_sent_again(
    world: Any, since: Any
) -> None:
    async def waiter(ctx: durable.Context) -> Any:
        event = await ctx.step.wait_for_event(
            "again", "test/start", timeout="1h", match="data.id", since=since
        )
        return event and event.data["n"]

    world.function(waiter, on=durable.On("test/start", if_="event.data.n == 1"))
    await world.open()
    run_id = await world.start(data={"id": 7, "n": 1})
    assert (await world.get(run_id)).status == "parked"
    await world.send(durable.Event("test/start", {"id": 7, "n": 2}))
    assert (await world.get(run_id)).result == 2


@pytest.mark.parametrize(
    "policy", [{"batch": durable.Batch(3, "5s")}, {"debounce": durable.Debounce("5s")}]
)
async def test_what_a_run_has_gathered_came_before_its_start(
    world: Any, policy: Any
) -> None:
    async def waiter(ctx: durable.Context) -> Any:
        event = await ctx.step.wait_for_event(
            "more", "test/start", timeout="1h", since="run"
        )
        return event and event.data["n"]

    world.function(waiter, on="test/start", **policy)
    engine = await world.open()
    await world.send(*[durable.Event("test/start", {"n": n}) for n in range(3)])
    await engine.advance("5s")
    (run,) = await engine.runs.list()
    assert run.status == "parked"
    await world.send(durable.Event("test/start", {"n": 3}))
    assert (await world.get(run.id)).result == 3


@pytest.mark.parametrize(
    "policy", [{"batch": durable.Batch(3, "5s")}, {"debounce": durable.Debounce("5s")}]
)
async def test_a_run_that_gathers_is_made_when_its_events_are_there(
    world: Any, policy: Any
) -> None:
    """A wait that looks back to the run sees what came after that, and not what came meanwhile."""

    async def waiter(ctx: durable.Context) -> Any:
        await ctx.step.sleep("a while", "1m")
        event = await ctx.step.wait_for_event(
            "go", "test/go", timeout="1h", since="run"
        )
        return event and event.data["n"]

    world.function(waiter, on="test/start", **policy)
    engine = await world.open()
    await world.send(durable.Event("test/start", {}))
    await engine.advance("2s")
    await world.send(go(n=1))
    await engine.advance("4s")
    await world.send(go(n=2))
    await engine.advance("1m")
    (run,) = await engine.runs.list()
    assert (await world.get(run.id)).result == 2


@pytest.mark.parametrize(
    "limit",
    [
        {"throttle": durable.Throttle(1, "1m")},
        {"run_concurrency": durable.Concurrency(1)},
    ],
)
async def test_what_came_while_the_run_was_queued_counts_since_its_event_only(
    world: Any, limit: Any
) -> None:
    async def waiter(ctx: durable.Context) -> list[Any]:
        own = {"match": "data.id", "timeout": "1m"}
        late = await ctx.step.wait_for_event("late", "test/go", **own)
        early = await ctx.step.wait_for_event("early", "test/go", since="run", **own)
        return [event and event.data["n"] for event in (late, early)]

    world.function(waiter, on="test/start", **limit)
    engine = await world.open()
    await world.send(go(id=2, n=0))
    first, second = [await world.start(data={"id": n}) for n in (1, 2)]
    assert (await world.get(second)).status == "queued"
    await world.send(go(id=1, n=1), go(id=2, n=2))
    await engine.advance("1h")
    assert (await world.get(first)).result[1] == 1
    assert (await world.get(second)).result == [None, 2]


async def test_waits_of_one_run_for_the_same_event_all_take_it(world: Any) -> None:
    async def waiter(ctx: durable.Context) -> list[Any]:
        one = ctx.step.wait_for_event("wait", "test/go", timeout="1h")
        other = ctx.step.wait_for_event("wait", "test/go", timeout="1h")
        return [event and event.data["n"] for event in await asyncio.gather(one, other)]

    world.function(waiter, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.send(go(n=1), go(n=2))
    assert (await world.get(run_id)).result == [1, 1]


async def test_null_matches_null_and_what_is_missing_and_nothing_else(
    world: Any,
) -> None:
    async def waiter(ctx: durable.Context) -> Any:
        event = await ctx.step.wait_for_event(
            "wait", "test/go", timeout="1h", match="data.id"
        )
        return event and event.data

    world.function(waiter, on="test/start")
    await world.open()
    for hit in ({}, {"id": None}):
        run_id = await world.start(data={"id": None})
        await world.send(go(id=0), go(id=""), go(id=False), go(id=[]), go(id="null"))
        assert (await world.get(run_id)).status == "parked"
        await world.send(go(**hit))
        assert (await world.get(run_id)).result == hit


async def test_w6_sixty_waits_whose_condition_fails_hold_up_no_other(
    world: Any,
) -> None:
    async def waiter(ctx: durable.Context) -> Any:
        event = await ctx.step.wait_for_event(
            "wait", "test/go", timeout="1h", if_=ctx.event.data["if_"]
        )
        return event and event.data["n"]

    bad = [
        "async.data.n > 'x'",
        "async.data.n / 0 == 1",
        "async.data.n",
        "async.data.list[5] == 1",
        "async.data.n.deeper.still == 1",
        "date(async.data.n) > now()",
    ]
    world.function(waiter, on="test/start")
    await world.open()
    runs = [await world.start(data={"if_": text}) for text in bad * 10]
    good = await world.start(data={"if_": "async.data.n == 4"})
    await world.send(go(n=3, list=[]), go(n=4, list=[]))
    assert (await world.get(good)).result == 4
    assert {(await world.get(run_id)).status for run_id in runs} == {"parked"}


async def test_the_engines_own_events_can_be_waited_for(world: Any) -> None:
    async def other(ctx: durable.Context) -> int:
        await ctx.step.sleep("rest", "1m")
        return 3

    async def waiter(ctx: durable.Context) -> Any:
        event = await ctx.step.wait_for_event(
            "end",
            "durable/function.finished",
            timeout="1h",
            if_="async.data.function_id == 'other'",
        )
        return event and event.data["result"]

    world.function(other, on="test/other")
    world.function(waiter, on="test/start")
    engine = await world.open()
    await world.start("test/other")
    run_id = await world.start()
    await engine.advance("1m")
    assert (await world.get(run_id)).result == 3


@pytest.mark.parametrize("on_conflict", ["fail", "replace"])
async def test_a_run_that_waits_for_one_signal_twice_is_its_own_rival(
    world: Any, on_conflict: Any
) -> None:
    async def waiter(ctx: durable.Context) -> Any:
        waits = (
            ctx.step.wait_for_signal(name, "go", timeout="1h", on_conflict=on_conflict)
            for name in ("one", "other")
        )
        return [signal and signal.data for signal in await asyncio.gather(*waits)]

    world.function(waiter, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    if on_conflict == "replace":
        await engine.signal("go", 1)
        await world.settle()
        assert (await world.get(run_id)).result == [None, 1]
    else:
        assert (await world.get(run_id)).error.name == "SignalConflict"
    with pytest.raises(durable.SignalNotFound):
        await engine.signal("go", 2)


async def test_i2_a_parent_that_failed_before_invokes_and_null_is_a_result(
    world: Any,
) -> None:
    calls: list[str] = []

    async def child(ctx: durable.Context) -> None:
        calls.append(ctx.run_id)

    async def parent(ctx: durable.Context) -> list[Any]:
        if ctx.attempt == 0 and not calls:
            msg = "not yet"
            raise ValueError(msg)
        return [
            await ctx.step.invoke("one", function),
            await ctx.step.invoke("two", "child", {}),
        ]

    function = world.function(child)
    world.function(parent, on="test/start", retries=durable.Retries(1, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1m")
    run = await world.get(run_id)
    assert (run.result, len(set(calls))) == ([None, None], 2)


async def test_i5_five_calls_of_a_batch_of_three_are_two_runs_and_five_answers(
    world: Any,
) -> None:
    async def child(ctx: durable.Context) -> list[Any]:
        return [event.data["n"] for event in ctx.events]

    function = world.function(child, batch=durable.Batch(3, "5s"))

    async def parent(ctx: durable.Context) -> Any:
        return await ctx.step.invoke("call", function, {"n": ctx.event.data["n"]})

    world.function(parent, on="test/start")
    engine = await world.open()
    runs = [await world.start(data={"n": n}) for n in range(5)]
    await engine.advance("5s")
    results = [(await world.get(run_id)).result for run_id in runs]
    assert results == [[0, 1, 2]] * 3 + [[3, 4]] * 2


async def test_s5_steps_and_waits_of_all_kinds_go_side_by_side(world: Any) -> None:
    calls: list[str] = []

    async def child(ctx: durable.Context) -> int:
        await ctx.step.sleep("rest", "30m")
        return 5

    def fail() -> None:
        calls.append("fail")
        msg = "no"
        raise ValueError(msg)

    async def handler(ctx: durable.Context) -> list[Any]:
        step = ctx.step
        gathered: list[Any] = await asyncio.gather(
            step.run("run", calls.append, "run"),
            step.sleep("sleep", "1h"),
            step.wait_for_event("event", "test/go", timeout="2h"),
            step.wait_for_signal("signal", "go", timeout="2h"),
            step.invoke("invoke", function),
            step.run("fail", fail),
            return_exceptions=True,
        )
        return [*gathered[:2], gathered[2].data, gathered[3].data, gathered[4]]

    function = world.function(child)
    retries = durable.Retries(2, FLAT)
    world.function(handler, on="test/start", concurrency=1, retries=retries)
    engine = await world.open()
    run_id = await world.start()
    await world.send(go(n=1))
    await engine.signal("go", 2)
    await engine.advance("59m 59s")
    assert (await world.get(run_id)).status == "parked"
    await engine.advance("1s")
    run = await world.get(run_id)
    assert run.result == [None, None, {"n": 1}, 2, 5]
    assert (calls.count("run"), calls.count("fail")) == (1, 3)


async def test_s15_runs_beyond_the_limit_that_wait_beside_steps_all_end(
    world: Any,
) -> None:
    async def handler(ctx: durable.Context) -> Any:
        _, event = await asyncio.gather(
            ctx.step.run("one", int),
            ctx.step.wait_for_event("wait", "test/go", timeout="1h"),
        )
        return await ctx.step.run("two", lambda: event and event.data["n"])

    world.function(handler, on="test/start", concurrency=1)
    await world.open(max_in_flight=1)
    runs = [await world.start() for _ in range(20)]
    await world.send(go(n=1))
    assert [(await world.get(run_id)).result for run_id in runs] == [1] * 20
