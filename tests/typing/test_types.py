"""What type checkers see of steps, waits, invokes, events and runs: checked by mypy and pyright, never executed beyond its import.

Each `type: ignore` is a mistake that both checkers see: one that is not needed is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, Literal, TypeVar, assert_type

from pydantic import BaseModel
from pydantic_ai import Agent
from typing_extensions import TypedDict

import durable
from durable.integrations.pydantic_ai import DurableAgent


T = TypeVar("T")


class Color(Enum):
    """An enum."""

    RED = "red"


class Order(BaseModel):
    """A model."""

    order_id: str
    total: Decimal


@dataclass
class Address:
    """A dataclass."""

    street: str


class Row(TypedDict):
    """A dict with a shape."""

    at: datetime


order_placed = durable.EventType("shop/order.placed", Order)
moved = durable.EventType("shop/moved", Address)
row_written = durable.EventType("shop/row.written", Row)
untyped = durable.EventType("shop/untyped")
app = durable.App("shop")


async def find(order_id: str, *, depth: int = 1) -> Order | None:
    del order_id, depth
    return None


def price(order: Order, color: Color = Color.RED) -> Decimal:
    del color
    return order.total


def later(n: int) -> Awaitable[bytes]:
    del n
    return asyncio.sleep(0, b"")  # noqa: TID251  # an awaitable that is no coroutine function's


async def same(value: T) -> T:
    return value


class Shop:
    """Something with methods."""

    async def pack(self, order: Order) -> list[Order]:
        return [order]

    @staticmethod
    def count(orders: list[Order]) -> int:
        return len(orders)

    def __call__(self, word: str) -> datetime:
        return datetime.fromisoformat(word)


@durable.step
async def decorated(n: int, *, word: str = "") -> str:
    return word * n


@durable.step(id="named", blocking=True)
def named(n: int) -> Decimal:
    return Decimal(n)


async def steps(ctx: durable.Context[Order]) -> None:
    step = ctx.step
    order = ctx.event.data
    assert_type(await step.run("async", find, "o", depth=2), Order | None)
    assert_type(await step.run("sync", price, order), Decimal)
    assert_type(await step.run("keyword", price, order, color=Color.RED), Decimal)
    assert_type(await step.run("awaitable", later, 1), bytes)
    assert_type(await step.run("generic", same, order), Order)
    assert_type(await step.run("method", Shop().pack, order), list[Order])
    assert_type(await step.run("static", Shop.count, [order]), int)
    assert_type(await step.run("object", Shop(), "2026-01-01"), datetime)
    assert_type(await step.run("partial", partial(find, depth=3), "o"), Order | None)
    assert_type(await step.run("class", Address, "High St"), Address)
    assert_type(await step.run("step", decorated, 3, word="a"), str)
    assert_type(await decorated(3, word="a"), str)
    assert_type(await step.options(blocking=True).run("sync", price, order), Decimal)
    assert_type(step.token, str)


async def refused(ctx: durable.Context[Order]) -> None:
    order = ctx.event.data
    await ctx.step.run("few", find)  # type: ignore[call-overload]
    await ctx.step.run("kind", price, "o")  # type: ignore[call-overload]
    await ctx.step.run("name", find, "o", dept=2)  # type: ignore[call-arg]
    await ctx.step.run(5, price, order)  # type: ignore[call-overload]
    await ctx.step.sleep("1h")  # type: ignore[call-arg]
    ctx.event.data.nothing  # type: ignore[attr-defined]  # noqa: B018


async def several(ctx: durable.Context[Order]) -> None:
    order = ctx.event.data
    first = ctx.step.run("a", price, order)
    both = await asyncio.gather(first, ctx.step.run("b", find, "o"))
    assert_type(both, tuple[Decimal, Order | None])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.step.run("c", price, order))
    assert_type(task.result(), Decimal)
    assert_type(await asyncio.wait_for(ctx.step.run("d", price, order), 1), Decimal)


async def waits(ctx: durable.Context[Order]) -> None:
    step = ctx.step
    for length in ("1h", 3600, 1.5, timedelta(hours=1)):
        assert_type(await step.sleep("rest", length), None)
    assert_type(await step.sleep_until("until", datetime.now(UTC)), None)  # noqa: TID251  # for its type
    placed = await step.wait_for_event("a", order_placed, timeout="1h")
    assert_type(placed, durable.Event[Order] | None)
    if placed is not None:
        assert_type(placed.data, Order)
        assert_type(placed.data.total, Decimal)
        assert_type(placed.ts, int | None)
    named_ = await step.wait_for_event("b", "shop/x", timeout=5, match="data.id")
    assert_type(named_, durable.Event[dict[str, Any]] | None)
    row = await step.wait_for_event("c", row_written, timeout=5, since="run")
    assert_type(row, durable.Event[Row] | None)
    signal = await step.wait_for_signal("d", "go", timeout="1h", on_conflict="replace")
    assert_type(signal, durable.Signal | None)
    await step.wait_for_event("e", order_placed)  # type: ignore[call-overload]
    await step.wait_for_signal("f", "go", timeout=1, on_conflict="stop")  # type: ignore[arg-type]


@app.function(on=order_placed)
async def charge(ctx: durable.Context[Order]) -> Decimal:
    return ctx.event.data.total


@app.function()
def pack(ctx: durable.SyncContext[Address]) -> list[Order]:
    assert_type(ctx.event.data, Address)
    assert_type(ctx.events, list[durable.Event[Address]])
    return []


async def invokes(ctx: durable.Context[Order]) -> None:
    assert_type(await ctx.step.invoke("a", charge, ctx.event.data), Decimal)
    assert_type(await ctx.step.invoke("b", pack, Address("x"), timeout=5), list[Order])
    assert_type(await ctx.step.invoke("c", "charge", {"order_id": "o"}), Any)
    ids = await ctx.step.send_event("d", [order_placed(order_id="o", total=1)])
    assert_type(ids, list[str])
    assert_type(await ctx.publish("news", "topic", ctx.event.data), str)
    await ctx.step.invoke("e", price)  # type: ignore[call-overload]


def plain(ctx: durable.SyncContext[Order]) -> None:
    step = ctx.step
    assert_type(step.run("async", find, "o", depth=2), Order | None)
    assert_type(step.run("sync", price, ctx.event.data), Decimal)
    assert_type(step.run("generic", same, ctx.event.data), Order)
    assert_type(step.invoke("call", charge), Decimal)
    assert_type(step.invoke("call", "charge"), Any)
    waited = step.wait_for_event("wait", order_placed, timeout="1h")
    assert_type(waited, durable.Event[Order] | None)
    assert_type(step.wait_for_signal("go", "go", timeout=1), durable.Signal | None)
    assert_type(step.send_event("send", untyped({})), list[str])
    assert_type(named(3), Decimal)
    step.run("few", find)  # type: ignore[call-overload]


def events() -> None:
    assert_type(order_placed(order_id="o", total=1), durable.Event[Order])
    assert_type(order_placed.name, str)
    assert_type(moved(Address("High St")), durable.Event[Address])
    assert_type(moved.event(Address("High St"), id="a", ts=1), durable.Event[Address])
    assert_type(
        row_written({"at": datetime.fromtimestamp(0, UTC)}).data["at"], datetime
    )
    assert_type(untyped(a=1).data, dict[str, Any])
    assert_type(durable.Event("a", Address("x")), durable.Event[Address])
    assert_type(durable.Event("a").data, dict[str, Any])
    moved("High St")  # type: ignore[arg-type]


def functions() -> None:
    assert_type(
        charge,
        durable.Function[
            Callable[[durable.Context[Order]], Awaitable[Decimal]], Decimal
        ],
    )
    assert_type(charge.id, str)
    assert_type(
        pack,
        durable.Function[
            Callable[[durable.SyncContext[Address]], list[Order]], list[Order]
        ],
    )


async def in_tests(ctx: durable.Context[Order]) -> None:
    assert_type(await charge.handler(ctx), Decimal)


async def engines() -> None:
    async with durable.Engine(app, store="memory:", blocked_after=None) as engine:
        assert_type(engine, durable.Engine)
        assert_type(await engine.send(moved(Address("x")), [untyped({})]), list[str])
        assert_type(await app.send(untyped({})), list[str])
        assert_type(engine.send_sync(untyped({})), list[str])
        assert_type(await engine.invoke(charge, {"order_id": "o"}), Decimal)
        assert_type(await engine.invoke(pack, timeout="1h"), list[Order])
        assert_type(await engine.invoke("charge"), Any)
        assert_type(await engine.signal("go", Address("x")), str)
        assert_type(await engine.join("1h"), None)
        await engine.invoke(price)  # type: ignore[call-overload]
        await engine.send({"name": "a"})  # type: ignore[dict-item]


async def agents() -> None:
    support = DurableAgent(Agent("test", name="support", output_type=Order))
    assert_type((await support.run("?")).output, Order)
    assert_type((await support.run("?", output_type=int)).output, int)
    DurableAgent(Agent("test"), names="a")  # type: ignore[call-arg]


async def runs(engine: durable.Engine) -> None:
    run = await engine.runs.get("id")
    assert_type(run, durable.Run)
    assert_type(
        run.status,
        Literal["queued", "running", "parked", "completed", "failed", "cancelled"],
    )
    assert_type(run.error, durable.ErrorInfo | None)
    assert_type(run.steps["a"].error, durable.ErrorInfo | None)
    assert_type(await engine.runs.wait("id"), durable.Run)
    assert_type(await engine.runs.rerun("id"), str)
    assert_type(await engine.events.runs("id"), list[durable.Run])
    assert_type((await engine.functions.list())[0], durable.FunctionInfo)
