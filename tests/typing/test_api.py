"""What type checkers see of the API: checked by mypy and pyright, never executed beyond its import.

Each `type: ignore` is a mistake that both checkers see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from pydantic import BaseModel

import durable
from durable.testing import Executed, TestEngine


class Order(BaseModel):
    """An order."""

    order_id: str
    total_cents: int


@dataclass
class Charge:
    """A payment."""

    cents: int


order_placed = durable.EventType("shop/order.placed", Order)
untyped = durable.EventType("shop/untyped")
app = durable.App("shop")


async def charge(order_id: str, *, cents: int = 0) -> Charge:
    return Charge(len(order_id) + cents)


def count(word: str) -> int:
    return len(word)


@durable.step
async def decorated(n: int) -> str:
    return str(n)


@app.function(on=order_placed, retries=3, concurrency=10)
async def fulfil(ctx: durable.Context[Order]) -> str:
    assert_type(ctx.event, durable.Event[Order])
    assert_type(ctx.event.data.total_cents, int)
    assert_type(await ctx.step.run("charge", charge, "o1", cents=3), Charge)
    assert_type(await ctx.step.run("count", count, "o1"), int)
    assert_type(await ctx.step.options(blocking=True).run("count", count, "o1"), int)
    await ctx.step.sleep("rest", "1h")
    both = await asyncio.gather(
        ctx.step.run("a", charge, "o1"), ctx.step.run("b", count, "o1")
    )
    assert_type(both, tuple[Charge, int])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.step.run("c", count, "o1"))
    assert_type(task.result(), int)
    return await decorated(3)


@app.function("asks models")
async def asks(ctx: durable.Context) -> None:
    gpt = durable.ai.OpenAI("gpt-5-mini", base_url="http://localhost:11434/v1")
    claude = durable.ai.Anthropic("claude-sonnet-4-5", api_key="k", max_tokens=100)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert_type(await ctx.step.ai.infer("a", model=gpt, body=body), dict[str, Any])
    call = ctx.step.ai.infer("b", model=claude, body=body, timeout="1m")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(call)
    assert_type(task.result(), dict[str, Any])
    assert_type(await ctx.step.ai.wrap("c", charge, "o1", cents=3), Charge)
    assert_type(await ctx.step.ai.wrap("d", count, "o1"), int)
    assert_type(await ctx.publish("news", "topic", [1]), str)
    ctx.step.ai.wrap("e", charge, 3)  # type: ignore[call-overload]


@app.function("asks models, plain")
def asks_plain(ctx: durable.SyncContext) -> None:
    gpt = durable.ai.OpenAI("gpt-5-mini")
    assert_type(ctx.step.ai.infer("a", model=gpt, body={}), dict[str, Any])
    assert_type(ctx.step.ai.wrap("c", charge, "o1", cents=3), Charge)
    assert_type(ctx.step.ai.wrap("d", count, "o1"), int)
    assert_type(ctx.publish("news", "topic"), str)


@app.function("plain")
def plain(ctx: durable.SyncContext) -> int:
    assert_type(ctx.event.data, dict[str, Any])
    ctx.step.sleep("rest", 5)
    return ctx.step.run("count", count, "word")


async def tell(ctx: durable.Context) -> str:
    assert_type(ctx.event.data, dict[str, Any])
    return await ctx.step.run("name", str, ctx.event.data["error"]["name"])


def tell_plainly(ctx: durable.SyncContext) -> None:
    ctx.step.run("name", str, ctx.event.data["function_id"])


@app.function(on=order_placed, on_failure=tell)
async def told(ctx: durable.Context[Order]) -> int:
    return ctx.event.data.total_cents


@app.function(on=durable.On("durable/*", if_="event.data.error != null"))
async def listens(ctx: durable.Context) -> None:
    assert_type(ctx.event.data, dict[str, Any])


@app.function(on_failure=tell_plainly)
async def told_plainly(ctx: durable.Context) -> int:
    return ctx.attempt


def failure_handlers() -> None:
    assert_type(
        told, durable.Function[Callable[[durable.Context[Order]], Awaitable[int]], int]
    )
    app.function(on_failure=count)  # type: ignore[arg-type]


def misspelt() -> None:
    app.function(retrys=3)  # type: ignore[arg-type]


def events() -> None:
    assert_type(order_placed(order_id="o1", total_cents=1), durable.Event[Order])
    assert_type(
        order_placed.event(Order(order_id="o", total_cents=1)), durable.Event[Order]
    )
    assert_type(untyped({"a": 1}), durable.Event[dict[str, Any]])


def functions() -> None:
    assert_type(
        fulfil,
        durable.Function[Callable[[durable.Context[Order]], Awaitable[str]], str],
    )


async def engines() -> None:
    async with durable.Engine(app, store="memory:") as engine:
        assert_type(await engine.invoke(fulfil, {}), str)
        assert_type(await engine.invoke(plain), int)
        assert_type(
            await engine.send(order_placed(order_id="o1", total_cents=1)), list[str]
        )
        run = await engine.runs.get("id")
        assert_type(run.steps["charge"].attempts, int)
        assert_type(run.steps["ask"].usage, durable.Usage | None)
        assert_type(run.rerun_of, str | None)
        assert_type(await engine.runs.rerun("id", "charge", output={"a": 1}), str)
        done = await engine.runs.rerun_many(status="failed", function=fulfil)
        assert_type(done, durable.BulkResult)
        assert_type(done.run_ids, Sequence[str])
        assert_type(await engine.events.cancel("id"), int)
        assert_type(await engine.publish("news", "topic", {"n": 1}), str)
        async for message in engine.subscribe("news", ["topic"], after="1-0"):
            assert_type(message, durable.Message)
            assert_type(message.id, str)


def settings() -> None:
    given = durable.Settings(hot_runs=5, grace="3s")
    assert_type(given.origin("grace"), str)
    durable.Engine(app, settings=given, store=Path("x"), blocked_after=None)
    durable.Engine(app, settings={"hot_runs": 5})
    durable.Engine(hot_run=5)  # type: ignore[call-arg]
    durable.Engine(grace=[])  # type: ignore[arg-type]


async def a_test_executes(event: durable.Event[Order]) -> None:
    async with TestEngine(app, seed=1, replay="always", sync="50ms") as t:
        run = await t.execute(fulfil, event, steps={"charge": "mocked"})
        assert_type(run, Executed[str])
        assert_type(run.result, str)
        assert_type(run.steps["charge"].attempts, int)
        assert_type(t.now, datetime)
        assert_type(await t.send(event), list[str])
        t.assert_completed(run)


async def serve() -> None:
    """An application that a server calls."""
    endpoint = durable.serve(app, signing_key=["00ff", "ff00"], is_dev=False)
    ids = await endpoint.send(order_placed(order_id="o1", total_cents=1), [untyped()])
    assert_type(ids, list[str])
    assert_type(endpoint.path, str)
    durable.serve("shop")  # type: ignore[arg-type]
