"""FastAPI with functions that a server elsewhere calls: `uvicorn served_app:web`, `durable dev -u http://localhost:8000/api/durable`."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

import durable


class Order(BaseModel):
    """What a customer asks for."""

    item: str
    cents: int


placed = durable.EventType("shop/order.placed", Order)

app = durable.App("shop")


@app.function("fulfil", on=placed)
async def fulfil(ctx: durable.Context[Order]) -> str:
    """Charge, let the warehouse rest, send."""
    order = ctx.event.data
    receipt = await ctx.step.run("charge", charge, order.cents)
    await ctx.step.sleep("let-the-warehouse-rest", "1s")
    return f"{order.item} is on its way, {receipt}"


async def charge(cents: int) -> str:
    """Where money would change hands."""
    return f"{cents / 100:.2f} paid"


endpoint = durable.serve(app, is_dev=True)
web = FastAPI()
endpoint.mount(web)


@web.post("/orders", status_code=202)
async def place(order: Order) -> dict[str, str]:
    """Take an order: it is on the server's disk when this answers."""
    (event_id,) = await endpoint.send(placed(order))
    return {"order": event_id}
