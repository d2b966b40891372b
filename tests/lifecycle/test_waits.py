"""What is promised of waits for events: the first that is seen and matches, never lost, never twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio


class Payment(BaseModel):
    """What was paid."""

    order_id: str
    cents: int


paid = durable.EventType("shop/paid", Payment)


def waiting(world: Any, **options: Any) -> None:
    """A function whose runs wait for `test/go`; an event's `options` say what differs."""

    async def waiter(ctx: durable.Context) -> Any:
        settings = {"timeout": "1h", **options, **ctx.event.data.get("options", {})}
        event = await ctx.step.wait_for_event("wait", "test/go", **settings)
        return None if event is None else event.data

    world.function(waiter, on="test/start", retries=0)


def go(**data: Any) -> durable.Event[Any]:
    return durable.Event("test/go", data)


async def result(world: Any, run_id: str) -> Any:
    run = await world.get(run_id)
    return run.result if run.status == "completed" else run.status


async def test_an_event_resumes_a_wait_as_the_type_it_is(world: Any) -> None:
    seen: list[durable.Event[Payment] | None] = []

    async def waiter(ctx: durable.Context) -> None:
        event = await ctx.step.wait_for_event("paid", paid, timeout="3d")
        seen.append(event)

    world.function(waiter, on="test/start")
    await world.open()
    run_id = await world.start()
    run = await world.get(run_id)
    assert (run.status, run.steps["paid"].kind) == ("parked", "wait_for_event")
    event = paid.event(
        Payment(order_id="o1", cents=3), id="mine", ts=7, v="2", user={"n": 1}
    )
    await world.send(event)
    assert (await world.get(run_id)).status == "completed"
    assert seen[-1] == event
    assert isinstance(seen[-1].data, Payment)


async def test_an_event_that_does_not_fit_its_type_fails_the_run(world: Any) -> None:
    async def waiter(ctx: durable.Context) -> None:
        await ctx.step.wait_for_event("paid", paid, timeout="3d")

    world.function(waiter, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.send(durable.Event("shop/paid", {"order_id": "o1"}))
    error = (await world.get(run_id)).error
    assert (error.name, "data.cents: Field required" in error.message) == (
        "SerializationError",
        True,
    )


async def test_without_an_event_a_wait_ends_at_its_moment_with_nothing(
    world: Any,
) -> None:
    waiting(world)
    engine = await world.open()
    run_id = await world.start()
    (wait,) = (await world.get(run_id)).waiting_on
    assert (wait.on, wait.value, wait.step) == ("wait_for_event", "test/go", "wait")
    assert engine.stats()["functions"]["waiter"]["parked"]["wait"] == 1
    await engine.advance("59m 59.999s")
    assert await result(world, run_id) == "parked"
    await engine.advance("1ms")
    assert await result(world, run_id) is None
    await world.send(go())  # there is nobody any more


async def test_w1_one_event_wakes_all_that_match_and_each_takes_one(world: Any) -> None:
    waiting(world, match="data.order_id")
    await world.open()
    runs = [await world.start(data={"order_id": order}) for order in ("a", "b", "a")]
    await world.send(go(order_id="a", n=1), go(order_id="a", n=2), go(order_id=None))
    assert await result(world, runs[0]) == {"order_id": "a", "n": 1}
    assert await result(world, runs[1]) == "parked"
    assert await result(world, runs[2]) == {"order_id": "a", "n": 1}
    await world.send(go(order_id="b"))
    assert await result(world, runs[1]) == {"order_id": "b"}


@pytest.mark.parametrize(
    ("condition", "misses", "hits"),
    [
        ("async.data.n > event.data.n", [{"n": 5}, {}, {"n": "9"}], {"n": 6}),
        ("async.data.n in event.data.list", [{"n": 3}, {}], {"n": 2}),
        ("async.data.n == null", [{"n": 0}, {"n": ""}], {}),
        (
            "async.data.a == 'x' || async.data.b == 'y'",
            [{"a": "y", "b": "x"}],
            {"b": "y"},
        ),
        (
            "async.data.a == 'x' && async.data.n < 3",
            [{"a": "x", "n": 3}],
            {"a": "x", "n": 1},
        ),
        ("lowercase(async.data.a) == event.data.a", [{"a": "y"}, {"a": 1}], {"a": "X"}),
        (
            "async.data.list.exists(x, x == event.data.n)",
            [{"list": [1]}],
            {"list": [5]},
        ),
        ("async.data.m", [{"m": 1}, {"m": "true"}, {"m": False}], {"m": True}),
        ("event.data.n == 5 && async.name == 'test/go'", [], {}),
    ],
)
async def test_what_an_event_must_meet(
    world: Any, condition: str, misses: list[dict[str, Any]], hits: dict[str, Any]
) -> None:
    waiting(world, if_=condition)
    await world.open()
    run_id = await world.start(data={"n": 5, "list": [1, 2], "a": "x"})
    for data in misses:
        await world.send(go(**data))
        assert await result(world, run_id) == "parked", data
    await world.restart()
    await world.send(go(**hits))
    assert await result(world, run_id) == hits


async def test_match_and_if_hold_together(world: Any) -> None:
    waiting(world, match="data.id", if_="async.data.n == 1 || async.data.n == 2")
    await world.open()
    run_id = await world.start(data={"id": 7})
    await world.send(go(id=7, n=3), go(id=8, n=1), go(id=7.0, n=2))
    assert await result(world, run_id) == {"id": 7.0, "n": 2}


@pytest.mark.parametrize("text", ["async.data.x ==", "invalid", "asinc.data.x == 1"])
async def test_w5_a_bad_expression_fails_its_run_at_once_and_no_other(
    world: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    waiting(world)
    await world.open()
    good = await world.start()
    bad = await world.start(data={"options": {"if_": text}})
    run = await world.get(bad)
    assert (run.status, run.error.name) == ("failed", "InvalidExpression")
    assert "^" in run.error.message
    [told] = [one for one in caplog.records if one.name.startswith("durable.failures")]
    said = told.getMessage()
    assert said.startswith(
        f"function 'waiter', run {bad}: the engine ended it: Invalid"
    )
    assert run.error.message in said
    # code that was put aside says no line
    assert (f"({__file__}:" in said) == (world.replay == "needed")
    await world.send(go(n=1))
    assert await result(world, good) == {"n": 1}


async def test_an_event_that_came_while_the_code_before_the_wait_ran_is_seen(
    world: Any,
) -> None:
    """The case that loses events elsewhere: the answer comes before the wait is written down."""

    async def asker(ctx: durable.Context) -> Any:
        async def ask() -> None:
            await world.engine.send(go(n=1), go(n=2))

        await ctx.step.run("ask", ask)
        event = await ctx.step.wait_for_event("answer", "test/go", timeout="1h")
        return None if event is None else event.data

    world.function(asker, on="test/start")
    engine = await world.open()
    await world.send(go(n=0))  # before the run
    run_id = await world.start()
    await engine.advance(0)
    assert await result(world, run_id) == {"n": 1}


async def test_a_process_that_dies_before_the_wait_is_written_down_loses_nothing(
    world: Any,
) -> None:
    is_first, has_asked = True, asyncio.Event()

    async def asker(ctx: durable.Context) -> Any:
        nonlocal is_first
        await ctx.step.run("ask", int)
        if is_first:
            is_first = False
            has_asked.set()
            await asyncio.Event().wait()  # the process ends here
        event = await ctx.step.wait_for_event("answer", "test/go", timeout="1h")
        return None if event is None else event.data

    world.function(asker, on="test/start")
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start"))
    await has_asked.wait()
    await engine.send(go(n=1))
    await world.restart()
    await world.settle()
    assert await result(world, (await world.run_of(event_id)).id) == {"n": 1}


async def test_what_came_while_the_run_stood_still_counts_since_its_start_only(
    world: Any,
) -> None:
    async def sleeper(ctx: durable.Context) -> list[Any]:
        await ctx.step.sleep("a while", "1h")
        late = await ctx.step.wait_for_event("late", "test/go", timeout="1m")
        early = await ctx.step.wait_for_event(
            "early", "test/go", timeout="1m", since="run"
        )
        return [event and event.data for event in (late, early)]

    world.function(sleeper, on="test/start")
    engine = await world.open()
    await world.send(go(n=0))
    run_id = await world.start()
    await world.send(go(n=1), go(n=2))
    await engine.advance("2h")
    assert await result(world, run_id) == [None, {"n": 1}]


async def test_a_look_back_goes_through_many_events_and_across_a_restart(
    world: Any,
) -> None:
    async def sleeper(ctx: durable.Context) -> Any:
        await ctx.step.sleep("a while", "1h")
        event = await ctx.step.wait_for_event(
            "one", "test/go", timeout="1h", since="run", if_="async.data.n == 900"
        )
        return event and event.data

    world.function(sleeper, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await world.send(*(go(n=number) for number in range(1_000)))
    await world.restart()
    engine = world.engine
    await engine.advance("1h")
    assert await result(world, run_id) == {"n": 900}


async def test_the_next_wait_sees_what_came_after_the_event_that_ended_the_last(
    world: Any,
) -> None:
    async def counter(ctx: durable.Context) -> list[Any]:
        numbers = []
        for _ in range(4):
            event = await ctx.step.wait_for_event("next", "test/go", timeout="1h")
            numbers.append(event and event.data["n"])
        return numbers

    world.function(counter, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.send(*(go(n=number) for number in range(3)))
    await world.send(go(n=3))
    assert await result(world, run_id) == [0, 1, 2, 3]


async def test_duplicates_wake_waits_too(world: Any) -> None:
    waiting(world)
    await world.open()
    await world.send(durable.Event("test/go", {"n": 1}, id="same"))
    run_id = await world.start()
    await world.send(durable.Event("test/go", {"n": 1}, id="same"))
    assert await result(world, run_id) == {"n": 1}


async def test_waits_outlive_the_process_and_end_in_time(world: Any) -> None:
    waiting(world, match="data.id")
    await world.open()
    runs = [await world.start(data={"id": number}) for number in range(3)]
    await world.restart()
    await world.send(go(id=1))
    await world.restart()
    await world.engine.advance("2h")
    assert [await result(world, run) for run in runs] == [None, {"id": 1}, None]


async def test_a_cancelled_run_waits_no_longer(world: Any) -> None:
    waiting(world, match="data.id")
    engine = await world.open()
    run_id = await world.start(data={"id": 1})
    await engine.runs.cancel(run_id)
    await world.send(go(id=1))
    assert await result(world, run_id) == "cancelled"


async def test_waits_run_in_parallel_and_the_first_may_win(world: Any) -> None:
    async def racer(ctx: durable.Context) -> Any:
        yes = ctx.step.wait_for_event("yes", "test/yes", timeout="1h")
        no = ctx.step.wait_for_event("no", "test/no", timeout="2h")
        events = await asyncio.gather(yes, no)
        return [event and event.name for event in events]

    world.function(racer, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await world.send(durable.Event("test/no", {}))
    assert await result(world, run_id) == "parked"
    await engine.advance("1h")
    assert await result(world, run_id) == [None, "test/no"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"match": "data.ordr_id"}, "has no data.ordr_id"),
        ({"match": 5}, "match=5 is no text"),
        ({"match": "event.data.order_id"}, "is looked up in both events"),
        ({"if_": True}, "if_=True is no text"),
        ({"since": "start"}, "since='start'; accepted: 'run'"),
        ({"timeout": "soon"}, "timeout='soon'"),
    ],
)
async def test_wrong_arguments_fail_the_run_at_once(
    world: Any, options: dict[str, Any], says: str
) -> None:
    waiting(world)
    await world.open()
    run_id = await world.start(data={"order_id": 1, "options": options})
    error = (await world.get(run_id)).error
    assert error is not None
    assert says in error.message


@pytest.mark.parametrize("name", ["", "test/*", None])
async def test_a_wait_is_for_events_of_one_name(world: Any, name: Any) -> None:
    async def waiter(ctx: durable.Context) -> None:
        await ctx.step.wait_for_event("wait", name, timeout="1h")

    world.function(waiter, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "step 'wait': event" in run.error.message


async def test_a_plain_handler_waits_too(world: Any) -> None:
    def waiter(ctx: durable.SyncContext) -> Any:
        event = ctx.step.wait_for_event(
            "paid", paid, timeout="1h", match="data.order_id"
        )
        return event and event.data.cents

    world.function(waiter, on="test/start")
    await world.open()
    run_id = await world.start(data={"order_id": "o1"})
    await world.send(paid(order_id="o2", cents=1), paid(order_id="o1", cents=2))
    assert await result(world, run_id) == 2


async def test_a_wait_for_more_than_a_year_fails_the_run(world: Any) -> None:
    waiting(world, timeout="367d")
    await world.open()
    run = await world.get(await world.start())
    assert "is not between 0 and 366 days" in run.error.message


async def test_branches_of_one_run_miss_nothing_of_each_others_events(
    world: Any,
) -> None:
    """Of one name, with different conditions, at different speeds: each goes on behind what it took itself."""

    async def tracker(ctx: durable.Context) -> Any:
        async def follow(order: str) -> list[str]:
            states = []
            for state in ("paid", "packed", "shipped"):
                condition = f"async.data.id == '{order}' && async.data.is == '{state}'"
                event = await ctx.step.wait_for_event(
                    f"{order} {state}", "test/go", timeout="1h", if_=condition
                )
                states.append(event.data["is"] if event else "missed")
            return states

        return await asyncio.gather(*(follow(order) for order in "abc"))

    world.function(tracker, on="test/start")
    await world.open()
    run_id = await world.start()
    states = [go(id=o, **{"is": s}) for s in ("paid", "packed") for o in "abc"]
    await world.send(*states)
    await world.send(*(go(id=order, **{"is": "shipped"}) for order in "cba"))
    assert await result(world, run_id) == [["paid", "packed", "shipped"]] * 3


async def test_beside_a_long_step_each_event_is_taken_once_in_a_row(world: Any) -> None:
    has_ended = asyncio.Event()

    async def counter(ctx: durable.Context) -> list[Any]:
        async def count() -> list[int]:
            numbers = []
            for _ in range(4):
                event = await ctx.step.wait_for_event("next", "test/go", timeout="1h")
                numbers.append(event.data["n"] if event else -1)
            has_ended.set()
            return numbers

        return (await asyncio.gather(ctx.step.run("long", has_ended.wait), count()))[1]

    world.function(counter, on="test/start")
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start"))
    for number in range(4):
        await engine.send(go(n=number))
    await world.settle()
    assert await result(world, (await world.run_of(event_id)).id) == [0, 1, 2, 3]


async def test_join_waits_for_what_a_wait_has_not_looked_at_yet(world: Any) -> None:
    async def asker(ctx: durable.Context) -> Any:
        async def ask() -> None:
            await world.engine.send(go(n=1))

        await ctx.step.run("ask", ask)
        event = await ctx.step.wait_for_event("answer", "test/go", timeout="1h")
        return event and event.data

    world.function(asker, on="test/start")
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start"))
    await engine.join(timeout="10s")
    assert await result(world, (await world.run_of(event_id)).id) == {"n": 1}
