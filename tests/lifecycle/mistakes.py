"""Mistakes that users make, each with the whole message that they are told. `test_mistakes.py` makes them."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import durable


CEL = (
    '  accepted: a CEL expression, as in "event.data.amount > 100" or "event.data.customer_id"; of two fields together '
    '"[event.data.a, event.data.b]"'
)
CRON = (
    '  accepted: five fields, as in "0 9 * * 1-5" (minute, hour, day of month, month, day of week), or @yearly, @monthly, '
    "@weekly, @daily or @hourly"
)
DURATION = 'a timedelta, a number of seconds, "30s", "5m", "2h", "1d", "1w", "1h30m", "250ms", or ISO 8601 as in "PT5M"'
HERE = "in function 'fulfil' (shop.py:12)"


class Order(BaseModel):
    """An order."""

    order_id: str
    customer_id: str


placed = durable.EventType("shop/order.placed", Order)


@dataclass(frozen=True)
class Mistake:
    """A mistake, and what is told of it: a code and the message, its paths, lines, ids and times made the same."""

    name: str
    code: str
    message: str
    make: Callable[[Any], Awaitable[tuple[str, str]]]


MISTAKES: list[Mistake] = []


def mistake(
    code: str, *lines: str
) -> Callable[[Callable[[Any], Awaitable[Any]]], Callable[[Any], Awaitable[Any]]]:
    def add(
        make: Callable[[Any], Awaitable[Any]],
    ) -> Callable[[Any], Awaitable[Any]]:
        MISTAKES.append(Mistake(make.__name__, code, "\n".join(lines), make))
        return make

    return add


def same(text: str) -> str:
    """Without what differs from machine to machine."""
    text = re.sub(r"[^\s(]*mistakes\w*\.py:\d+", "shop.py:12", text)
    text = re.sub(r"\b[0-9A-Z]{26}\b", "RUN", text)
    text = re.sub(r"0x[0-9a-f]+", "0x7f", text)
    text = re.sub(r"\. In a web application: .*", "", text)  # where one is imported
    text = re.sub(r"[^\s'(]*/store\b", "./state", text)
    text = re.sub(
        r"process \d+ on \S+, since [^)]*", "process 812 on ada, since 09:00", text
    )
    return re.sub(r"for \d+\.\d s", "for 0.5 s", text)


async def failing(
    world: Any, handler: Callable[..., Any], **settings: Any
) -> tuple[str, str]:
    """How a run of this handler fails: at once, since trying again would not help."""
    world.function(handler, id="fulfil", on="test/start", retries=3, **settings)
    await world.open()
    run = await world.get(await world.start(data={"order_id": "o1"}))
    assert run.status == "failed", run
    codes = [
        step.error.code for step in run.steps.values() if step.error and step.error.code
    ]
    return (codes[0] if codes else run.error.code), run.error.message


async def raised(call: Callable[[], Any]) -> tuple[str, str]:
    """What a call raises."""

    async def wait() -> None:
        result = call()
        if isinstance(result, Awaitable):
            await result

    with pytest.raises(durable.DurableError) as caught:
        await wait()
    return caught.value.code, str(caught.value)


async def declared(**settings: Any) -> tuple[str, str]:
    """How these settings are refused."""
    app = durable.App("shop")
    return await raised(lambda: app.function("fulfil", **settings)(ready))


async def ready(ctx: Any) -> None: ...


async def charge() -> int:
    return 1


# --- steps


@mistake(
    "DUR-0300",
    "step 'charge' failed: SerializationError: function 'fulfil': result.items[1].lock is a _thread.lock, which has no JSON form; "
    "return plain data (dict, list, str, numbers), a pydantic model or a dataclass",
)
async def a_result_that_is_not_json(world: Any) -> Any:
    def held() -> Any:
        return {"items": [1, {"lock": threading.Lock()}]}

    async def fulfil(ctx: durable.Context) -> Any:
        return await ctx.step.run("charge", held)

    return await failing(world, fulfil)


@mistake(
    "DUR-0300",
    "step 'charge' failed: SerializationError: function 'fulfil': result is bytes, which JSON does not have; declare it where it is "
    "returned, as in `-> bytes`; a pydantic model says how its bytes are written: "
    'model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")',
)
async def bytes_that_are_not_declared(world: Any) -> Any:
    def label():  # type: ignore[no-untyped-def]  # the mistake
        return b"\xff"

    async def fulfil(ctx: durable.Context) -> Any:
        return await ctx.step.run("charge", label)

    return await failing(world, fulfil)


@mistake(
    "DUR-0300",
    "step 'charge' failed: SerializationError: function 'fulfil': result.total is a coroutine of charge() that was not awaited; "
    "await it",
)
async def a_result_with_a_coroutine(world: Any) -> Any:
    async def total() -> Any:
        return {"total": charge()}

    async def fulfil(ctx: durable.Context) -> Any:
        return await ctx.step.run("charge", total)

    return await failing(world, fulfil)


@mistake(
    "DUR-0202",
    "function 'fulfil' returned, but step 'charge' (shop.py:12) was never awaited, so it never ran: write `await` before it, or "
    "give it to asyncio.gather or a TaskGroup",
)
async def a_step_that_is_not_awaited(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        ctx.step.run("charge", charge)  # type: ignore[unused-awaitable]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "step 'charge': <coroutine object charge at 0x7f> is no function; give the function and its arguments apart, as in "
    "ctx.step.run('charge', charge_card, order_id)",
    f"  {HERE}",
)
async def a_function_that_is_called_already(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return await ctx.step.run("charge", charge())  # type: ignore[call-overload]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "step 'charge' failed: UsageError: step 'charge' was called with other arguments than charge(): too many positional "
    "arguments; give it those that its function takes",
)
async def other_arguments(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return await ctx.step.run("charge", charge, "o1")  # type: ignore[call-overload]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0201",
    "step 'charge' failed: NestedStepError: step 'log' (shop.py:12) is used inside step 'charge' of function 'fulfil': call its "
    "function directly, or move it out",
)
async def a_step_inside_a_step(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        async def both() -> int:
            return await ctx.step.run("log", charge)

        return await ctx.step.run("charge", both)

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "a step's id is a text that is not empty, not 5: give it first, as in ctx.step.run('charge', charge_card, order_id)",
    f"  {HERE}",
)
async def a_step_id_that_is_no_text(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.run(5, charge)  # type: ignore[call-overload]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "Steps.sleep() missing 1 required positional argument: 'duration'; it takes (id, duration)",
    f"  {HERE}",
)
async def a_step_without_an_id(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.sleep("1h")  # type: ignore[call-arg]  # the mistake

    return await failing(world, fulfil)


@mistake("DUR-0200", "Steps has no 'slep': did you mean 'sleep'?", f"  {HERE}")
async def a_step_that_is_misspelt(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.slep("rest", "1h")  # type: ignore[attr-defined]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "step 'charge': charge is a plain function: give the durable one that `@app.function` made of it, or the id of one",
    f"  {HERE}",
)
async def an_invoke_of_a_plain_function(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.invoke("charge", charge)  # type: ignore[call-overload]  # the mistake

    return await failing(world, fulfil)


# --- moments


@mistake(
    "DUR-0200",
    "step 'rest': duration='5 minutes'",
    "                       ^",
    f"  is not a duration; accepted: {DURATION}",
    f"  {HERE}",
)
async def a_sleep_of_5_minutes(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.sleep("rest", "5 minutes")

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "step 'rest': sleep_until takes ms since the epoch; 1763700000 is a day of early 1970 and looks like seconds: give a datetime "
    "with a time zone, or 1000 times as much",
    f"  {HERE}",
)
async def a_moment_in_seconds(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.sleep_until("rest", 1_763_700_000)

    return await failing(world, fulfil)


@mistake(
    "DUR-0801",
    "function 'fulfil', run RUN: step 'rest' (shop.py:12) sleeps until 2020-01-01T09:00:00+00:00, which had passed before the "
    "run's event came: it does not sleep at all. Is it the right day, in the right time zone? (DUR-0801)",
)
async def a_moment_in_the_past(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> None:
        when = dt.datetime(2020, 1, 1, 9, tzinfo=dt.UTC)
        await ctx.step.sleep_until("rest", when)

    world.function(fulfil, on="test/start")
    await world.open(clock="virtual:1763700000000")
    for _ in range(2):  # it is told once
        run = await world.get(await world.start())
        assert run.status == "completed"
    (warning,) = world.warnings()
    return "DUR-0801", warning
