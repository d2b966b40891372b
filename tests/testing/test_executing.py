"""`t.execute` starts one run and jumps to its end, through all that takes time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

import durable
from durable.testing import TestEngine

from .conftest import Replay, Shop


pytestmark = pytest.mark.asyncio

PLACED = durable.Event("shop/order.placed", {"order_id": "o1"})


def fulfil(shop: Shop) -> Any:
    """Three days where nobody pays: four steps, a sleep and a wait."""

    async def fulfil(ctx: durable.Context) -> str:
        await ctx.step.run("reserve", shop.do, "reserve")
        charge = await ctx.step.run("charge", shop.do, "charge")
        await ctx.step.sleep("cool off", "1d")
        await ctx.step.run("remind", shop.do, "remind")
        paid = await ctx.step.wait_for_event("paid", "shop/order.paid", timeout="2d")
        await ctx.step.run("close", shop.do, "close")
        return f"{charge}, {'shipped' if paid else 'expired'}"

    return shop.function(fulfil, on="shop/order.placed")


async def test_a_run_is_taken_to_its_end_and_the_clock_not_farther(
    shop: Shop, replay: Replay
) -> None:
    """Also through a wait for an event that nobody sends."""
    function = fulfil(shop)
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        run = await t.execute(function, PLACED)
        assert (run.status, run.result) == ("completed", "charge done, expired")
        assert t.now - began == timedelta(days=3)
        assert run.ended_at == t.now
    assert shop.done == ["reserve", "charge", "remind", "close"]


async def test_two_runs_are_executed_one_after_the_other(
    shop: Shop, replay: Replay
) -> None:
    function = fulfil(shop)
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        runs = [await t.execute(function, PLACED) for _ in range(2)]
        assert runs[0].id != runs[1].id
        assert t.now - began == timedelta(days=6)


async def test_tries_are_waited_for(shop: Shop, replay: Replay) -> None:
    tries: list[datetime] = []

    async def ask(ctx: durable.Context) -> int:
        async def service() -> int:
            tries.append(t.now)
            if len(tries) < 3:
                text = "busy"
                raise RuntimeError(text)
            return 7

        return await ctx.step.run("ask", service)

    backoff = durable.Backoff(["10s", "1m"], jitter=0)
    function = shop.function(
        ask, on="shop/ask", retries=durable.Retries(2, backoff=backoff)
    )
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(function, durable.Event("shop/ask"))
        assert (run.result, run.steps["ask"].attempts) == (7, 3)
    waits = [after - before for before, after in pairwise(tries)]
    assert waits == [timedelta(seconds=10), timedelta(minutes=1)]


async def test_a_run_that_fails_is_given_as_it_is(shop: Shop, replay: Replay) -> None:
    async def refuse(ctx: durable.Context) -> None:  # noqa: ARG001  # it needs nothing
        text = "no stock"
        raise durable.NonRetriableError(text)

    function = shop.function(refuse, on="shop/order.placed")
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(function, PLACED)
        t.assert_failed(run, "no stock")
        assert run.result is None
        with pytest.raises(AssertionError, match=r"failed with .*no stock.*not with"):
            t.assert_failed(run, "no money")


async def test_a_function_that_no_event_starts_is_given_data(
    shop: Shop, replay: Replay
) -> None:
    async def add(ctx: durable.Context) -> int:
        return await ctx.step.run("add", lambda: sum(ctx.event.data["numbers"]))

    function = shop.function(add)
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(function, {"numbers": [1, 2]})
        assert run.result == 3
        mocked = await t.execute(function, {"numbers": []}, steps={"add": 9})
        assert mocked.result == 9


async def test_a_burst_is_waited_for(shop: Shop, replay: Replay) -> None:
    """A debounce starts its run later; the run is found all the same."""
    function = shop.function(
        fulfil(shop).handler,
        id="quiet",
        on="shop/order.placed",
        debounce=durable.Debounce("5m"),
    )
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        run = await t.execute(function, PLACED)
        assert run.status == "completed"
        assert t.now - began == timedelta(days=3, minutes=5)


async def test_plain_handlers_on_threads_are_executed_too(
    shop: Shop, replay: Replay
) -> None:
    def slow(ctx: durable.SyncContext) -> str:
        first: str = ctx.step.run("first", shop.do, "first")
        ctx.step.sleep("rest", "1d")
        return first + ctx.step.run("second", shop.do, "second")

    function = shop.function(slow, on="shop/order.placed")
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        run = await t.execute(function, PLACED, steps={"second": "mocked"})
        assert run.result == "first donemocked"
        assert t.now - began == timedelta(days=1)
    assert shop.done == ["first"]


async def test_the_clock_begins_where_the_test_says(shop: Shop) -> None:
    new_year = datetime(2030, 1, 1, tzinfo=UTC)
    async with TestEngine(shop.app, now=new_year) as t:
        assert t.now == new_year
        await t.advance("1d")
        assert t.now == new_year + timedelta(days=1)


async def test_an_event_that_starts_nothing_is_an_error_that_says_why(
    shop: Shop,
) -> None:
    function = fulfil(shop)
    async with TestEngine(shop.app) as t:
        with pytest.raises(durable.UsageError, match=r"listens to shop/order\.placed"):
            await t.execute(function, durable.Event("shop/order.lost"))
        await t.functions.pause("fulfil")
        with pytest.raises(durable.UsageError, match=r"was skipped \(paused\)"):
            await t.execute(function, PLACED)


async def test_a_condition_that_is_not_met_is_told(shop: Shop) -> None:
    async def ship(ctx: durable.Context) -> None: ...

    condition = "event.data.cents > 100"
    function = shop.function(ship, on=durable.On("shop/*", if_=condition))
    async with TestEngine(shop.app) as t:
        with pytest.raises(durable.UsageError) as caught:
            await t.execute(function, durable.Event("shop/order.placed", {"cents": 5}))
    assert str(caught.value) == (
        "execute: event 'shop/order.placed' starts no run of 'ship': what its trigger asks for is not true of this "
        "event: On('shop/*', if_='event.data.cents > 100')"
    )


async def test_what_is_no_function_of_the_engine_is_told(shop: Shop) -> None:
    theirs = fulfil(shop)
    async with TestEngine(durable.App("other")) as t:
        for given, told in (
            (
                theirs,
                "execute: function 'fulfil' is none of this engine's: give its app",
            ),
            (
                theirs.handler,
                "execute: fulfil is a plain function: give the durable one",
            ),
            ("fulfil", "execute: 'fulfil' is an id: give the function itself"),
        ):
            with pytest.raises(durable.UsageError) as caught:
                await t.execute(given, PLACED)
            assert str(caught.value).startswith(told)


async def test_an_event_that_came_before_is_followed_to_its_end(shop: Shop) -> None:
    """As for any sender: the same id within a day starts nothing again."""
    function = fulfil(shop)
    async with TestEngine(shop.app) as t:
        known = durable.Event("shop/order.placed", id="o1")
        await t.send(known)
        run = await t.execute(function, known)
        assert run.status == "completed"
        assert len(await t.runs.list()) == 1


@pytest.mark.slow
async def test_a_run_that_does_not_end_is_an_error_that_draws_it(shop: Shop) -> None:
    async def stuck(ctx: durable.Context) -> None:
        await ctx.step.run("pause", t.functions.pause, "stuck")
        await ctx.step.run("after", shop.do, "after")

    function = shop.function(stuck, on="shop/order.placed")
    async with TestEngine(shop.app) as t:
        with pytest.raises(durable.UsageError, match="does not end by itself") as found:
            await t.execute(function, PLACED)
        assert "which is paused" in str(found.value)


async def test_a_failed_expectation_draws_the_run(shop: Shop) -> None:
    function = fulfil(shop)
    async with TestEngine(shop.app) as t:
        (event_id,) = await t.send(PLACED)
        (run,) = await t.events.runs(event_id)
        with pytest.raises(
            AssertionError, match="is parked, not completed"
        ) as expected:
            t.assert_completed(run)
        drawn = str(expected.value)
        assert "cool off" in drawn
        assert "for the end of its sleep" in drawn
        await t.run_until_idle()
        t.assert_completed(await t.execute(function, PLACED))


async def test_it_is_no_test_class() -> None:
    assert TestEngine.__test__ is False


async def test_what_is_cancelled_leaves_the_clock_where_it_is(shop: Shop) -> None:
    """A test with a time-out of its own is told where it stood."""

    async def hang(ctx: durable.Context) -> None:
        await ctx.step.run("hang", asyncio.Event().wait)

    function = shop.function(hang, on="shop/order.placed")
    async with TestEngine(shop.app) as t:
        began = t.now
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(t.execute(function, PLACED), 0.05)
        await asyncio.sleep(0)  # noqa: TID251  # one pass of the loop
        assert t.now == began


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("engine.send", "await ctx.step.send_event('send', event)"),
        ("app.send", "await ctx.step.send_event('send', event)"),
        ("engine.invoke", "await ctx.step.invoke('invoke', function, data)"),
        ("engine.signal", "await ctx.step.run('signal', engine.signal, name, data)"),
        ("engine.publish", "await ctx.publish(channel, topic, data)"),
    ],
)
async def test_what_a_handler_asks_the_engine_for_between_steps_is_refused_on_replay(
    shop: Shop, replay: Replay, what: str, instead: str
) -> None:
    """A replay asks for it again. In a step it is asked for once."""
    engines: list[Any] = []

    async def other(ctx: durable.Context) -> int:
        del ctx
        return 5

    async def ask() -> None:
        engine, told = engines[0], durable.Event("shop/told")
        asked: dict[str, Callable[[], Awaitable[Any]]] = {
            "engine.send": lambda: engine.send(told),
            "app.send": lambda: shop.app.send(told),
            "engine.invoke": lambda: engine.invoke("other"),
            "engine.signal": lambda: engine.signal("yes"),
            "engine.publish": lambda: engine.publish("orders", "told"),
        }
        with contextlib.suppress(durable.SignalNotFound):
            await asked[what]()

    async def between(ctx: durable.Context) -> None:
        await ask()
        await ctx.step.run("one", str)

    async def within(ctx: durable.Context) -> None:
        await ctx.step.run("ask", ask)
        await ctx.step.run("one", str)

    shop.function(other)
    functions = [shop.function(one) for one in (within, between)]
    async with TestEngine(shop.app, replay=replay) as t:
        engines.append(t)
        good, bad = [await t.execute(one) for one in functions]
    t.assert_completed(good)
    if replay == "needed":
        t.assert_completed(bad)
        return
    assert bad.error is not None
    assert bad.error.name == "NonDeterminismError"
    assert f"function 'between' calls {what}() between steps (" in bad.error.message
    assert bad.error.message.endswith(f", which is remembered: {instead}")
