"""`t.invoke` and `t.signal` come back: the clock jumps to the end of what is invoked, and what a signal wakes has gone on."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import durable
from durable.testing import TestEngine

from .conftest import Replay, Shop


pytestmark = pytest.mark.asyncio


def napping(shop: Shop, name: str, length: str) -> Any:
    async def nap(ctx: durable.Context) -> str:
        await ctx.step.sleep("nap", length)
        return await ctx.step.run("wake", shop.do, name)

    return shop.function(nap, id=name)


async def test_an_invoked_run_is_taken_to_its_end_and_the_clock_not_farther(
    shop: Shop, replay: Replay
) -> None:
    """Through a sleep, and the tries of a step."""
    tries: list[int] = []

    async def ask(ctx: durable.Context) -> str:
        async def service() -> str:
            tries.append(1)
            if len(tries) < 3:
                text = "busy"
                raise RuntimeError(text)
            return "answered"

        await ctx.step.sleep("nap", "1d")
        return await ctx.step.run("ask", service)

    backoff = durable.Backoff(["10s", "1m"], jitter=0)
    function = shop.function(ask, retries=durable.Retries(2, backoff=backoff))
    napping(shop, "later", "90d")
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        assert await t.invoke(function) == "answered"
        assert t.now - began == timedelta(days=1, seconds=70)


async def test_an_invoked_run_that_fails_says_so_after_its_tries(
    shop: Shop, replay: Replay
) -> None:
    async def refuse(ctx: durable.Context) -> None:  # noqa: ARG001  # it needs nothing
        shop.do("try")
        text = "no stock"
        raise RuntimeError(text)

    function = shop.function(refuse, retries=2)
    async with TestEngine(shop.app, replay=replay) as t:
        with pytest.raises(durable.InvokeError, match="no stock"):
            await t.invoke(function)
    assert shop.done == ["try"] * 3


async def test_invoked_side_by_side_the_clock_goes_to_the_last_end(
    shop: Shop, replay: Replay
) -> None:
    long, short = napping(shop, "long", "2h"), napping(shop, "short", "1h")
    far = napping(shop, "far", "300d")
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        await t.send()
        results = await asyncio.gather(t.invoke(long), t.invoke(short))
        assert results == ["long done", "short done"]
        assert t.now - began == timedelta(hours=2)
        assert await t.invoke(far) == "far done"


async def test_its_time_out_is_measured_on_the_clock_of_the_engine(
    shop: Shop, replay: Replay
) -> None:
    function = napping(shop, "long", "2h")
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        with pytest.raises(durable.InvokeTimeoutError, match="within 30m"):
            await t.invoke(function, timeout="30m")
        assert t.now - began == timedelta(minutes=30)
        await t.advance("90m")
        assert shop.done == ["long"]
        assert await t.invoke(function, timeout="3h") == "long done"
        assert t.now - began == timedelta(hours=4)


async def test_a_step_that_hangs_is_cut_off_by_the_time_out(shop: Shop) -> None:
    async def hang(ctx: durable.Context) -> None:
        await ctx.step.run("hang", asyncio.Event().wait)

    function = shop.function(hang)
    async with TestEngine(shop.app) as t:
        with pytest.raises(durable.InvokeTimeoutError):
            await t.invoke(function, timeout="50ms")


@pytest.mark.slow
async def test_an_invoked_run_that_does_not_end_is_an_error_that_draws_it(
    shop: Shop,
) -> None:
    async def stuck(ctx: durable.Context) -> None:
        await ctx.step.run("pause", t.functions.pause, "stuck")
        await ctx.step.run("after", shop.do, "after")

    function = shop.function(stuck)
    async with TestEngine(shop.app) as t:
        with pytest.raises(durable.UsageError, match="does not end by itself") as found:
            await t.invoke(function)
        assert "which is paused" in str(found.value)


async def test_code_under_test_may_invoke_and_signal_itself(
    shop: Shop, replay: Replay
) -> None:
    """Then it is not the test that waits for what is due: it would wait for itself."""
    inner = napping(shop, "inner", "0s")

    async def outer(ctx: durable.Context) -> str:
        return await ctx.step.run("call", t.invoke, inner)

    async def wait(ctx: durable.Context) -> None:
        await ctx.step.wait_for_signal("wait", signal="go", timeout="1d")
        await ctx.step.run("note", shop.do, "signalled")

    async def tell(ctx: durable.Context) -> None:
        await ctx.step.run("tell", t.signal, "go")

    function = shop.function(outer)
    shop.function(wait, on="shop/wait")
    teller = shop.function(tell)
    async with TestEngine(shop.app, replay=replay) as t:
        assert await asyncio.wait_for(t.invoke(function), 20) == "inner done"
        await t.send(durable.Event("shop/wait"))
        await t.execute(teller)
        await t.advance(0)
        assert shop.done == ["inner", "signalled"]


async def test_a_signal_returns_when_what_is_due_is_done(
    shop: Shop, replay: Replay
) -> None:
    """Of the run that it wakes, and of what that starts."""

    async def refund(ctx: durable.Context) -> None:
        given = await ctx.step.wait_for_signal("approved", signal="go", timeout="1d")
        assert given is not None
        await ctx.step.run("pay", shop.do, given.data)
        await ctx.step.send_event("tell", durable.Event("shop/paid"))
        await ctx.step.sleep("rest", "1h")
        await ctx.step.run("close", shop.do, "close")

    async def paid(ctx: durable.Context) -> None:
        await ctx.step.run("note", shop.do, "note")

    shop.function(refund, on="shop/start")
    shop.function(paid, on="shop/paid")
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        (event_id,) = await t.send(durable.Event("shop/start"))
        run_id = await t.signal("go", "10 EUR")
        assert sorted(shop.done) == ["10 EUR", "note"]
        assert t.now == began
        (run,) = await t.events.runs(event_id)
        assert run.id == run_id
        with pytest.raises(durable.SignalNotFound):
            await t.signal("go")
