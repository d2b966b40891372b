"""What a handler is given: its event as declared, its place, its steps' arguments checked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio


class Order(BaseModel):
    """An order."""

    cents: int


order_placed = durable.EventType("a", Order)


async def test_the_event_is_read_as_its_type(bench: Any) -> None:
    async def handler(ctx: durable.Context[Order]) -> list[Any]:
        event = ctx.event
        return [
            event.data.cents,
            event.id,
            event.name,
            ctx.events == [event],
            ctx.event is event,
        ]

    bench.add(handler, on=order_placed)
    run = await bench.start(data=b'{"cents":3}')
    assert bench.result(run) == [3, bench.core.runs[run].event[0], "a", True, True]


async def test_an_event_that_does_not_fit_its_type_fails_the_run_at_once(
    bench: Any,
) -> None:
    async def handler(ctx: durable.Context[Order]) -> int:
        return ctx.event.data.cents

    bench.add(handler, on=order_placed)
    error = bench.error(await bench.start(data=b'{"cents":"x"}'))
    assert error["name"] == "SerializationError"
    assert "data.cents" in error["message"]


async def test_an_event_without_a_type_gives_plain_data(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> Any:
        return ctx.event.data

    bench.add(handler, on="a")
    assert bench.result(await bench.start(data=b'{"x":[1]}')) == {"x": [1]}


async def test_the_attempt_and_the_token_belong_to_the_step_that_executes(
    bench: Any,
) -> None:
    async def handler(ctx: durable.Context) -> list[Any]:
        inside = await ctx.step.run("a", lambda: [ctx.attempt, ctx.step.token])
        return [ctx.attempt, *inside, ctx.run_id]

    run = await bench.start(handler)
    assert bench.result(run) == [0, 0, f"{run}:a", run]


async def test_a_token_outside_of_a_step_is_an_error(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        return ctx.step.token

    assert "inside a step" in bench.error(await bench.start(handler))["message"]
