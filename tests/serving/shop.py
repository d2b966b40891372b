"""A shop whose orders go through every kind of step: executed by an engine here, and by a server over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from pydantic import BaseModel

import durable


class Order(BaseModel):
    """What `shop/order.placed` says."""

    order_id: str
    card: str = "good"
    is_withdrawn: bool = False
    is_paid: bool = True


class OrderId(BaseModel):
    """What the events say that come later in an order's life."""

    order_id: str


placed = durable.EventType("shop/order.placed", Order)
asked = durable.EventType("shop/bank.asked", Order)
paid = durable.EventType("shop/order.paid", OrderId)
withdrawn = durable.EventType("shop/order.withdrawn", OrderId)

ORDERS = [
    Order(order_id="good"),
    Order(order_id="late", is_paid=False),
    Order(order_id="poor", card="declined"),
    Order(order_id="regretted", is_withdrawn=True, is_paid=False),
]

#: What becomes of each, wherever the functions execute: status, result or the error's name and message.
EXPECTED = {
    "good": (
        "completed",
        {"parcel": "parcel good-2", "label": "label of shelf 7", "told": 1},
    ),
    "late": ("completed", {"expired": True}),
    "poor": (
        "failed",
        ("StepError", "step 'charge' failed: NonRetriableError: the card is declined"),
    ),
    "regretted": ("cancelled", None),
}

#: What was done outside, and how often.
DONE = {
    "good asks": 1,
    "good charged": 1,
    "good is told": 1,
    "good label": 1,
    "good reserved": 1,
    "good ship try 0": 1,
    "good ship try 1": 1,
    "late asks": 1,
    "late charged": 1,
    "late label": 1,
    "late reserved": 1,
    "poor label": 1,
    "poor reserved": 1,
    "poor undone after failure of poor": 1,
    "regretted asks": 1,
    "regretted charged": 1,
    "regretted label": 1,
    "regretted reserved": 1,
}


class Shop:
    """The functions, and what they did."""

    def __init__(self, *middleware: durable.Middleware) -> None:
        self.done: Counter[str] = Counter()
        self.app = durable.App("shop", middleware=middleware)
        self.tries = durable.Retries(2, durable.Backoff("2s", jitter=0))
        self._declare_order()
        self._declare_others()

    def note(self, what: str, value: Any = None) -> Any:
        """Do something outside."""
        self.done[what] += 1
        return value

    def _declare_order(self) -> None:
        @self.app.function()
        def ship(ctx: durable.SyncContext[Order]) -> str:
            order_id = ctx.event.data.order_id

            def carry() -> str:
                self.note(f"{order_id} ship try {ctx.attempt}")
                if ctx.attempt == 0:
                    raise ConnectionError("busy")
                return f"parcel {order_id}-{ctx.attempt + 1}"

            parcel: str = ctx.step.run("carry", carry)
            ctx.step.sleep("on the road", "8h")
            return parcel

        @self.app.function(
            on=placed,
            retries=self.tries,
            cancel_on=durable.CancelOn(withdrawn, match="data.order_id"),
            on_failure=self.undo,
        )
        async def fulfil(ctx: durable.Context[Order]) -> dict[str, Any]:
            order = ctx.event.data
            name = order.order_id
            label, error = await asyncio.gather(
                self.prepare(ctx, name),
                ctx.step.run("charge", self.charge, order),
                return_exceptions=True,
            )
            if isinstance(error, BaseException):
                raise error
            await ctx.step.run("ask", self.note, f"{name} asks")
            await ctx.step.send_event("tell the bank", asked(order))
            if not await ctx.step.wait_for_event(
                "paid", paid, match="data.order_id", timeout="2d"
            ):
                return {"expired": True}
            parcel = await ctx.step.invoke("ship", ship, order)
            told = await ctx.step.send_event(
                "tell", durable.Event("shop/told", {"order_id": name})
            )
            return {"parcel": parcel, "label": label, "told": len(told)}

    async def prepare(self, ctx: durable.Context[Order], name: str) -> str:
        """One of two things that go on by themselves."""
        shelf = await ctx.step.run("reserve", self.note, f"{name} reserved", "shelf 7")
        await ctx.step.sleep("cool off", "20m")
        label: str = await ctx.step.run(
            "label", self.note, f"{name} label", f"label of {shelf}"
        )
        return label

    async def charge(self, order: Order) -> None:
        """The other."""
        if order.card == "declined":
            raise durable.NonRetriableError("the card is declined")
        self.note(f"{order.order_id} charged")

    async def undo(self, ctx: durable.Context) -> None:
        """Called for an order that has failed."""
        order_id = ctx.event.data["event"]["data"]["order_id"]
        what = f"{order_id} undone after failure of {order_id}"
        await ctx.step.run("undo", self.note, what)

    def _declare_others(self) -> None:
        @self.app.function(on=asked)
        async def bank(ctx: durable.Context[Order]) -> None:
            order = ctx.event.data
            await ctx.step.sleep("think", "1h")
            if order.is_paid:
                await ctx.step.send_event("yes", paid(order_id=order.order_id))
            if order.is_withdrawn:
                await ctx.step.send_event("no", withdrawn(order_id=order.order_id))

        @self.app.function(on="shop/told")
        def tell(ctx: durable.SyncContext) -> None:
            ctx.step.run("tell", self.note, f"{ctx.event.data['order_id']} is told")


async def play(engine: durable.Engine) -> dict[str, Any]:
    """Send all orders at once: what became of each."""
    ids = await engine.send([placed(order) for order in ORDERS])
    await engine.join(timeout="60s")
    endings = {}
    for order, event_id in zip(ORDERS, ids, strict=True):
        (run,) = await engine.events.runs(event_id)
        ended = await engine.runs.wait(run.id, timeout="60s")
        said = ended.result
        if ended.error is not None and ended.status == "failed":
            said = (ended.error.name, ended.error.message)
        endings[order.order_id] = (ended.status, said)
    await engine.join(timeout="60s")  # what undoes them
    return endings
