"""What the web applications beside this file share: one event, and a durable function that it starts."""

from __future__ import annotations

import os

from pydantic import BaseModel

import durable


class Order(BaseModel):
    """What a customer asks for."""

    item: str
    cents: int


placed = durable.EventType("shop/order.placed", Order)

app = durable.App("shop")
engine = durable.Engine(app, store=os.environ.get("SHOP_STORE", "./.durable"))


@app.function("fulfil", on=placed)
async def fulfil(ctx: durable.Context[Order]) -> str:
    """Charge, let the warehouse rest, send."""
    order = ctx.event.data
    receipt = await ctx.step.run("charge", charge, order.cents)
    await ctx.step.sleep("let-the-warehouse-rest", 0.05)
    return f"{order.item} is on its way, {receipt}"


async def state_of(event_id: str) -> dict[str, object] | None:
    """How far an order is; `None`: there is no such order."""
    try:
        (run,) = await engine.events.runs(event_id)
    except (durable.NotFoundError, durable.ConfigError):  # unknown, or no id at all
        return None
    return {"status": run.status, "result": run.result}


async def charge(cents: int) -> str:
    """Where money would change hands."""
    return f"{cents / 100:.2f} paid"
