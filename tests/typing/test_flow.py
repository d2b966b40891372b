"""What type checkers see of flow control: checked by mypy and pyright, never executed beyond its import.

Each `type: ignore` is a mistake that both checkers see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal, assert_type

from pydantic import BaseModel

import durable


class Order(BaseModel):
    """An order."""

    order_id: str


order_placed = durable.EventType("shop/order.placed", Order)
app = durable.App("shop")


@app.function(
    on=[order_placed, durable.On("shop/*", if_="event.data.total > 5"), "other"],
    concurrency=[
        durable.Concurrency(10, key="event.data.order_id", scope="account"),
        5,
    ],
    run_concurrency=durable.Concurrency(1),
    throttle=durable.Throttle(5, "1m", burst=1, key="event.data.order_id"),
    rate_limit=durable.RateLimit(
        5, timedelta(minutes=1), burst=1, key="event.data.order_id"
    ),
    debounce=durable.Debounce(1.5, key="event.data.order_id", timeout="PT5M"),
    priority=durable.Priority("event.data.seconds"),
    singleton=durable.Singleton("cancel", key="event.data.order_id"),
    timeouts=durable.Timeouts(start="1m", finish=3600),
)
async def fulfil(ctx: durable.Context[Order]) -> str:
    assert_type(ctx.event.data, Order)
    return ctx.run_id


@app.function(
    on=durable.On(order_placed),
    concurrency=10,
    batch=durable.Batch(
        100, "5s", key="event.data.order_id", if_="event.data.order_id == 'a'"
    ),
    idempotency="event.data.order_id",
)
def collect(ctx: durable.SyncContext[Order]) -> int:
    return ctx.attempt


def functions() -> None:
    assert_type(
        fulfil,
        durable.Function[Callable[[durable.Context[Order]], Awaitable[str]], str],
    )
    assert_type(
        collect, durable.Function[Callable[[durable.SyncContext[Order]], int], int]
    )


def declarations() -> None:
    assert_type(durable.On(order_placed, "true"), durable.On[Order])
    limit = durable.Concurrency(1)
    assert_type(limit.key, str | None)
    assert_type(limit.scope, Literal["fn", "env", "account"])
    assert_type(durable.RateLimit(1, 1).burst, int | None)
    assert_type(durable.Singleton("skip").mode, Literal["skip", "cancel"])
    limits = [limit, limit]
    app.function(concurrency=limits)
    app.function(concurrency=(1, limit))
    app.function(run_concurrency=1)


def refused() -> None:
    durable.Concurrency("5")  # type: ignore[arg-type]
    durable.Concurrency(5, "event.data.order_id")  # type: ignore[call-arg]
    durable.Concurrency(5, scope="app")  # type: ignore[arg-type]
    durable.Throttle(5)  # type: ignore[call-arg]
    durable.Singleton("stop")  # type: ignore[arg-type]
    app.function(throttle="5/m")  # type: ignore[arg-type]
    app.function(priority="60")  # type: ignore[arg-type]
    app.function(run_concurrency=[limit()])  # type: ignore[arg-type]
    app.function(throtle=durable.Throttle(5, "1m"))  # type: ignore[arg-type]


def frozen() -> None:
    limit().limit = 6  # type: ignore[misc]


def limit() -> durable.Concurrency:
    return durable.Concurrency(5)
