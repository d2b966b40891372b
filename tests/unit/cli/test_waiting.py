"""What runs wait for, in one line."""

from datetime import UTC, datetime, timedelta

import pytest

import durable
from durable.cli.output import moment
from durable.cli.waiting import waits_of, what_is_waited_for
from durable.testing import TestEngine


HOUR = timedelta(hours=1)


def test_each_kind_of_wait_is_counted() -> None:
    parked = {"sleep": 2, "retry": 1, "events": 0, "signal": 3}
    assert waits_of(parked) == "2 runs sleep, 1 run waits for its next try"
    assert waits_of({"signal": 3}) == ""


@pytest.mark.asyncio
async def test_the_first_moment_is_told() -> None:
    app = durable.App("shop")

    @app.function(on="shop/rest")
    async def rest(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", ctx.event.data["length"])

    async with TestEngine(app, now=datetime(2030, 1, 1, tzinfo=UTC)) as t:
        assert await what_is_waited_for(t) == ""
        for length in ("2h", "1h"):
            await t.send(durable.Event("shop/rest", {"length": length}))
        said = await what_is_waited_for(t)
        assert said == f"2 runs sleep, the first until {moment(t.now + HOUR)}"
        await t.advance("3h")
        assert await what_is_waited_for(t) == ""


@pytest.mark.asyncio
async def test_no_moment_is_told_where_not_all_that_wait_are_looked_at() -> None:
    """Those that wait for an event may stand before the one that goes on first."""
    app = durable.App("shop")

    @app.function(on="shop/rest")
    async def rest(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", ctx.event.data["length"])

    @app.function(on="shop/order.placed")
    async def order(ctx: durable.Context) -> None:
        await ctx.step.wait_for_event("paid", "shop/order.paid", timeout="1d")

    async with TestEngine(app, now=datetime(2030, 1, 1, tzinfo=UTC)) as t:
        await t.send(durable.Event("shop/rest", {"length": "1h"}))
        await t.send([durable.Event("shop/order.placed") for _ in range(50)])
        await t.send(durable.Event("shop/rest", {"length": "2h"}))
        assert await what_is_waited_for(t) == "2 runs sleep"
