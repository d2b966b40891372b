"""Between `send` and the end: the clock moves as the test says, and the process dies where it says."""

import asyncio
import statistics
import time
from datetime import timedelta
from pathlib import Path

import pytest

import durable
from durable.testing import TestEngine

from .conftest import Replay, Shop


pytestmark = pytest.mark.asyncio

START = durable.Event("shop/start")


async def test_send_returns_when_what_is_due_is_done(
    shop: Shop, replay: Replay
) -> None:
    async def nap(ctx: durable.Context) -> None:
        await ctx.step.run("before", shop.do, "before")
        await ctx.step.sleep("nap", "1h")
        await ctx.step.run("after", shop.do, "after")

    shop.function(nap, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        await t.send(START)
        assert shop.done == ["before"]
        await t.advance("59m")
        assert shop.done == ["before"]
        await t.advance("1m")
        assert shop.done == ["before", "after"]


async def test_until_idle_sleeps_end_and_waits_for_others_stay(
    shop: Shop, replay: Replay
) -> None:
    async def order(ctx: durable.Context) -> str:
        await ctx.step.sleep("cool off", "1h")
        paid = await ctx.step.wait_for_event("paid", "shop/paid", timeout="1h")
        await ctx.step.sleep("pack", "2h")
        return "shipped" if paid else "expired"

    shop.function(order, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        (event_id,) = await t.send(START)
        await t.run_until_idle()
        assert t.now - began == timedelta(hours=1)
        await t.send(durable.Event("shop/paid"))
        await t.run_until_idle()
        assert t.now - began == timedelta(hours=3)
        (run,) = await t.events.runs(event_id)
        assert run.result == "shipped"
        await t.run_until_idle()
        assert t.now - began == timedelta(hours=3)


@pytest.mark.slow
async def test_what_goes_on_for_ever_is_an_error_that_draws_it(shop: Shop) -> None:
    async def tick(ctx: durable.Context) -> None:
        while True:
            await ctx.step.sleep("tick", "366d")

    shop.function(tick, on="shop/start")
    async with TestEngine(shop.app) as t:
        await t.send(START)
        with pytest.raises(durable.UsageError, match="there is no end") as found:
            await t.run_until_idle()
        assert "tick:3" in str(found.value)
        at = t.now
        await t.advance("1s")
        assert t.now - at == timedelta(seconds=1)


async def test_code_under_test_may_send_itself(shop: Shop, replay: Replay) -> None:
    """Then it is not the test that waits for what is due: it would wait for itself."""

    async def forward(ctx: durable.Context) -> None:
        await ctx.step.run("tell", shop.app.send, durable.Event("shop/told"))

    async def told(ctx: durable.Context) -> None:
        await ctx.step.run("note", shop.do, "told")

    shop.function(forward, on="shop/start")
    shop.function(told, on="shop/told")
    async with TestEngine(shop.app, replay=replay) as t:
        await t.send(START)
        assert shop.done == ["told"]


@pytest.mark.parametrize("where", ["memory", "sled"])
async def test_a_crash_leaves_what_was_acknowledged_and_nothing_else(
    shop: Shop, replay: Replay, where: str, quick_folder: Path
) -> None:
    calls: list[str] = []

    async def order(ctx: durable.Context) -> str:
        calls.append("handler")
        charge = await ctx.step.run("charge", shop.do, "charge")
        await ctx.step.sleep("nap", "1h")
        return charge + await ctx.step.run("ship", shop.do, "ship")

    shop.function(order, on="shop/start")
    store = "memory:" if where == "memory" else quick_folder / "store"
    async with TestEngine(shop.app, replay=replay, store=store) as t:
        began = t.now
        (event_id,) = await t.send(START)
        calls.clear()
        await t.crash()
        assert t.now == began
        await t.run_until_idle()
        assert t.now - began == timedelta(hours=1)
        (run,) = await t.events.runs(event_id)
        assert run.result == "charge doneship done"
    assert shop.done == ["charge", "ship"]
    assert calls[0] == "handler", "the live code outlived the crash"


@pytest.mark.parametrize("where", ["memory", "sled", "redb"])
async def test_a_crash_inside_a_step_ends_it_there(
    shop: Shop, replay: Replay, where: str, quick_folder: Path
) -> None:
    """What it did stays done, and it is called again: at least once."""
    after: list[str] = []

    async def order(ctx: durable.Context) -> str:
        async def charge() -> str:
            shop.do(ctx.step.token)
            if len(shop.done) == 1:
                await t.crash()
                after.append("no code goes on behind a crash")
            return "charged"

        return await ctx.step.run("charge", charge)

    function = shop.function(order, on="shop/start")
    store = "memory:" if where == "memory" else quick_folder / "store"
    async with TestEngine(shop.app, replay=replay, store=store) as t:
        run = await t.execute(function, START)
        assert run.result == "charged"
        assert run.steps["charge"].attempts == 2
    assert len(shop.done) == 2
    assert shop.done[0] == shop.done[1], "another token"
    assert after == []


async def test_a_crash_takes_plain_handlers_and_their_threads(
    shop: Shop, replay: Replay
) -> None:
    def order(ctx: durable.SyncContext) -> str:
        ctx.step.run("charge", shop.do, "charge")
        ctx.step.sleep("nap", "1h")
        return ctx.step.run("ship", shop.do, "ship")

    shop.function(order, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        (event_id,) = await t.send(START)
        await t.crash()
        await t.crash()
        await t.run_until_idle()
        (run,) = await t.events.runs(event_id)
        t.assert_completed(run)
    assert shop.done == ["charge", "ship"]


@pytest.mark.parametrize("where", ["memory", "sled"])
async def test_a_caller_does_not_notice_a_crash(
    shop: Shop, replay: Replay, where: str, quick_folder: Path
) -> None:
    async def order(ctx: durable.Context) -> str:
        async def charge() -> str:
            if not shop.done:
                shop.do("charge")
                await t.crash()
            return "charged"

        return await ctx.step.run("charge", charge)

    function: durable.Function[object, str] = shop.function(order)
    store = "memory:" if where == "memory" else quick_folder / "store"
    async with TestEngine(shop.app, replay=replay, store=store) as t:
        assert await t.invoke(function) == "charged"


@pytest.mark.parametrize("where", ["memory", "sled"])
async def test_whatever_is_waited_for_goes_on_behind_a_crash(
    shop: Shop, replay: Replay, where: str, quick_folder: Path
) -> None:
    """A time that is moved on comes to where it was to come; a wait until all is done lasts until then."""

    async def order(ctx: durable.Context) -> str:
        async def charge() -> str:
            shop.do("charge")
            await ctx.publish("news", "charged", len(shop.done))
            if len(shop.done) % 2:
                await t.crash()
            return "charged"

        await ctx.step.sleep("first", "1h")
        await ctx.step.run("charge", charge)
        await ctx.step.sleep("second", "1h")
        return await ctx.step.run("charge", charge)

    shop.function(order, on="shop/start")
    store = "memory:" if where == "memory" else quick_folder / "store"
    async with TestEngine(shop.app, replay=replay, store=store) as t:
        began = t.now
        (event_id,) = await t.send(START)
        await t.advance("90m")
        assert t.now - began == timedelta(minutes=90)
        assert len(shop.done) == 2
        await t.run_until_idle()
        assert t.now - began == timedelta(hours=2)
        (run,) = await t.events.runs(event_id)
        assert (run.result, len(shop.done)) == ("charged", 4)


@pytest.mark.parametrize("where", ["memory", "sled"])
async def test_what_was_sent_just_before_a_crash_is_answered(
    shop: Shop, where: str, quick_folder: Path
) -> None:
    async def order(ctx: durable.Context) -> str:
        return await ctx.step.run("charge", shop.do, "charge")

    shop.function(order, on="shop/start")
    store = "memory:" if where == "memory" else quick_folder / "store"
    async with TestEngine(shop.app, store=store) as t:
        sending = [
            asyncio.ensure_future(durable.Engine.send(t, START)) for _ in range(9)
        ]
        reading = [asyncio.ensure_future(t.runs.list()) for _ in range(9)]
        await t.crash()
        ids = await asyncio.gather(*sending)
        await asyncio.gather(*reading)
        await t.run_until_idle()
        runs = [run for (one,) in ids for run in await t.events.runs(one)]
        assert [run.status for run in runs] == ["completed"] * 9


async def test_three_days_take_less_than_fifty_milliseconds(shop: Shop) -> None:
    """Of the processor's time, engine and all: the median of several, behind a first one that imports."""

    async def order(ctx: durable.Context) -> str:
        await ctx.step.run("reserve", shop.do, "reserve")
        await ctx.step.run("charge", shop.do, "charge")
        await ctx.step.wait_for_event("paid", "shop/paid", timeout="1d")
        await ctx.step.run("remind", shop.do, "remind")
        await ctx.step.wait_for_signal("approved", "approved", timeout="2d")
        await ctx.step.run("close", shop.do, "close")
        return "closed"

    function: durable.Function[object, str] = shop.function(order, on="shop/start")
    took: list[float] = []
    for _ in range(8):
        began = time.process_time()
        async with TestEngine(shop.app) as t:
            start = t.now
            run = await t.execute(function, START)
            assert (run.result, t.now - start) == ("closed", timedelta(days=3))
        took.append(time.process_time() - began)
    assert statistics.median(took[1:]) < 0.05
