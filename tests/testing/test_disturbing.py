"""What a seed does to runs could happen to any: it changes orders, and what is promised stays."""

import asyncio
from collections import Counter
from typing import Any

import pytest

import durable
from durable.testing import TestEngine

from .conftest import Replay, Shop


pytestmark = pytest.mark.asyncio

START = durable.Event("shop/start")


def branches(shop: Shop, **settings: Any) -> Any:
    """Three branches with two steps each; what it returns is the order of their ends."""

    async def three(ctx: durable.Context) -> list[str]:
        ended: list[str] = []

        async def do(what: str) -> str:
            await asyncio.sleep(0)  # noqa: TID251  # others have their turn
            return shop.do(what)

        async def branch(name: str) -> None:
            await ctx.step.run(f"{name}1", do, f"{name}1")
            if name == "b":
                await ctx.step.sleep("rest", "1h")
            await ctx.step.run(f"{name}2", do, f"{name}2")
            ended.append(name)

        await asyncio.gather(branch("a"), branch("b"), branch("c"))
        await ctx.step.run("last", do, "last")
        return ended

    return shop.function(three, on="shop/start", **settings)


ALL = ["a1", "a2", "b1", "b2", "c1", "c2", "last"]


async def test_steps_are_done_once_whatever_the_seed_does(
    shop: Shop, replay: Replay
) -> None:
    """In many orders, with crashes between them, without a try to spare."""
    function = branches(shop, retries=0)
    orders: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for seed in range(40):
        shop.done.clear()
        async with TestEngine(shop.app, seed=seed, replay=replay, disturb=True) as t:
            run = await t.execute(function, START)
            t.assert_completed(run)
            assert len(await t.runs.list()) == 1, "an event that came twice"
            done = t.disturbances.done
        assert sorted(shop.done) == ALL, done
        orders[" ".join(shop.done)] += 1
        kinds.update(word for one in done for word in KINDS if word in one)
    assert len(orders) > 10
    assert kinds.keys() == KINDS


KINDS = {
    "crash after",
    "hold back step",
    "hold back to the last",
    "twice",
    "again later",
    "late",
}


async def test_a_seed_does_the_same_each_time(shop: Shop, replay: Replay) -> None:
    function = branches(shop)
    for seed in range(10):
        seen: list[object] = []
        for _ in range(2):
            shop.done.clear()
            async with TestEngine(
                shop.app, seed=seed, replay=replay, disturb=True, now=1_700_000_000_000
            ) as t:
                run = await t.execute(function, START)
                attempts = {name: step.attempts for name, step in run.steps.items()}
                seen.append([[*shop.done], run.result, attempts, t.disturbances.done])
        assert seen[0] == seen[1], seed


async def test_a_schedule_does_what_its_seed_did(shop: Shop, replay: Replay) -> None:
    """Under another seed, since it names all that is done."""
    function = branches(shop)
    for seed in (3, 4, 6):
        shop.done.clear()
        async with TestEngine(shop.app, seed=seed, replay=replay, disturb=True) as t:
            await t.execute(function, START)
        first, schedule = [*shop.done], t.disturbances.done
        shop.done.clear()
        async with TestEngine(shop.app, replay=replay, disturb=schedule) as t:
            await t.execute(function, START)
        assert (shop.done, t.disturbances.done) == (first, schedule)


async def test_steps_that_are_held_back_come_after_the_others(
    shop: Shop, replay: Replay
) -> None:
    function = branches(shop)
    schedule = [
        "hold back to the last step 'a1' of three #1",
        "hold back step 'b1' of three #1",
    ]
    async with TestEngine(shop.app, replay=replay, disturb=schedule) as t:
        run = await t.execute(function, START)
    assert shop.done == ["c1", "c2", "b1", "a1", "a2", "b2", "last"]
    assert run.result == ["c", "a", "b"]


async def test_what_another_run_is_to_bring_comes_before_what_is_held_back(
    shop: Shop, replay: Replay
) -> None:
    """The engine tells of a run's end, and starts who listens to it, a turn of its loop later."""

    async def child(ctx: durable.Context) -> None:
        await ctx.step.run("inner", shop.do, "inner")

    async def listen(ctx: durable.Context) -> None:
        await ctx.step.run("heard", shop.do, "heard")

    async def parent(ctx: durable.Context) -> None:
        async def branch() -> None:
            await ctx.step.run("b", shop.do, "b")
            await ctx.step.invoke("child", inner)
            await ctx.step.run("after", shop.do, "after")

        await asyncio.gather(ctx.step.run("a", shop.do, "a"), branch())

    inner = shop.function(child)
    is_child = "event.data.function_id == 'child'"
    shop.function(listen, on=durable.On("durable/function.finished", is_child))
    function = shop.function(parent, on="shop/start")
    hold = ["hold back step 'a' of parent #1"]
    for _ in range(5):
        shop.done.clear()
        async with TestEngine(shop.app, replay=replay, disturb=hold) as t:
            t.assert_completed(await t.execute(function, START))
        assert shop.done[:2] == ["b", "inner"]
        assert sorted(shop.done[2:4]) == ["after", "heard"]
        assert shop.done[4:] == ["a"]


@pytest.mark.parametrize("step", ALL)
async def test_a_crash_after_any_step_repeats_none(
    shop: Shop, replay: Replay, step: str
) -> None:
    function = branches(shop)
    schedule = [f"crash after step '{step}' of three #1"]
    async with TestEngine(shop.app, replay=replay, disturb=schedule) as t:
        t.assert_completed(await t.execute(function, START))
    assert sorted(shop.done) == ALL


async def test_code_outside_of_steps_does_not_outlive_a_crash(shop: Shop) -> None:
    """What a test on live code alone would not show."""

    async def count(ctx: durable.Context) -> int:
        shop.done.append("outside")
        await ctx.step.run("one", lambda: 1)
        return await ctx.step.run("two", lambda: 2)

    function = shop.function(count, on="shop/start")
    crash = ["crash after step 'one' of count #1"]
    async with TestEngine(shop.app, disturb=crash) as t:
        t.assert_completed(await t.execute(function, START))
    assert shop.done == ["outside", "outside"]


async def test_events_that_come_again_start_nothing_again(
    shop: Shop, replay: Replay
) -> None:
    async def note(ctx: durable.Context) -> None:
        await ctx.step.run("note", shop.do, "note")

    shop.function(note, on="shop/*")
    again = ["event 1 (shop/start) twice", "event 2 (shop/start) again later"]
    async with TestEngine(shop.app, replay=replay, disturb=again) as t:
        await t.send(START, START)
        assert shop.done == ["note"] * 2
        assert len(await t.events.list()) == 4


async def test_events_that_are_counted_come_once(shop: Shop) -> None:
    """A limit of events, a burst and a batch take what comes before they know that it came before."""

    async def note(ctx: durable.Context) -> None:
        await ctx.step.run("note", shop.do, "note")

    shop.function(note, on="shop/*", rate_limit=durable.RateLimit(100, "1h"))
    for seed in range(30):
        async with TestEngine(shop.app, seed=seed, disturb=True) as t:
            await t.send([START, START])
            assert len(await t.events.list()) == 2


async def test_a_late_event_comes_later(shop: Shop) -> None:
    async def note(ctx: durable.Context) -> None:
        await ctx.step.run("note", shop.do, "note")

    shop.function(note, on="shop/start")
    late = ["event 1 (shop/start) 1000 ms late"]
    async with TestEngine(shop.app, disturb=late) as t:
        began = t.now
        await t.send(START)
        assert (t.now - began).total_seconds() == 1


async def test_steps_that_wait_for_each_other_are_not_held_back_for_ever(
    shop: Shop, replay: Replay
) -> None:
    """A test may have them meet, to see that they execute at once."""
    came = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def meet(ctx: durable.Context) -> None:
        async def come(own: str, other: str) -> None:
            came[own].set()
            await came[other].wait()

        await asyncio.gather(
            ctx.step.run("a", come, "a", "b"), ctx.step.run("b", come, "b", "a")
        )

    function = shop.function(meet, on="shop/start")
    hold = ["hold back step 'a' of meet #1"]
    async with TestEngine(shop.app, replay=replay, disturb=hold) as t:
        t.assert_completed(await t.execute(function, START))


async def test_plain_handlers_are_disturbed_too(shop: Shop, replay: Replay) -> None:
    def two(ctx: durable.SyncContext) -> str:
        first: str = ctx.step.run("first", shop.do, "first")
        ctx.step.sleep("rest", "1d")
        return first + ctx.step.run("second", shop.do, "second")

    function = shop.function(two, on="shop/start")
    for seed in range(10):
        shop.done.clear()
        async with TestEngine(shop.app, seed=seed, replay=replay, disturb=True) as t:
            t.assert_completed(await t.execute(function, START))
        assert shop.done == ["first", "second"]


async def test_what_a_test_never_came_to_is_an_error(shop: Shop) -> None:
    function = branches(shop)
    wrong = ["crash after step 'x1' of three #1", "crash after step 'a1' of three #1"]
    with pytest.raises(durable.UsageError, match=r'never came to .*x1.* #1"$'):
        async with TestEngine(shop.app, disturb=wrong) as t:
            await t.execute(function, START)


async def test_each_engine_of_a_test_has_its_own(shop: Shop) -> None:
    """Their sentences differ; one list of them all says what was done."""
    function = branches(shop)
    async with TestEngine(
        shop.app, disturb=["crash after step 'a1' of three #1 (engine 2)"]
    ) as t:
        await t.execute(function, START)
        assert t.disturbances.done == []
        other = durable.App("other")
        two: Any = other.function(on="shop/start")(function.handler)
        async with TestEngine(other, disturb=t.disturbances) as second:
            await second.execute(two, START)
        assert t.disturbances.done == ["crash after step 'a1' of three #1 (engine 2)"]
