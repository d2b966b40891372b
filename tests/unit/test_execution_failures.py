"""What comes of a step or a handler that fails: another try, an error to catch, or the run's end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_a_failing_step_is_tried_again_with_a_slot_of_its_own(bench: Any) -> None:
    attempts: list[int] = []

    async def handler(ctx: durable.Context) -> str:
        def flaky() -> str:
            attempts.append(ctx.attempt)
            if len(attempts) < 3:
                raise ValueError("not yet")
            return "ok"

        return await ctx.step.run("flaky", flaky)

    run = await bench.start(handler)
    await bench.advance(1000)
    assert attempts == [0, 1]
    await bench.advance(1000)
    assert bench.result(run) == "ok"
    assert attempts == [0, 1, 2]


async def test_a_step_error_can_be_caught(bench: Any) -> None:
    def fail() -> None:
        raise durable.NonRetriableError("no such card")

    async def handler(ctx: durable.Context) -> str:
        try:
            await ctx.step.run("charge", fail)
        except durable.StepError as error:
            return f"{error.step_id} {error.name} {error.message}"
        return "unreachable"

    run = await bench.start(handler)
    assert bench.result(run) == "charge NonRetriableError no such card"


async def test_an_uncaught_step_error_fails_the_run_without_another_try(
    bench: Any,
) -> None:
    calls: list[int] = []

    def fail() -> None:
        raise durable.NonRetriableError("no such card")

    async def handler(ctx: durable.Context) -> None:
        calls.append(1)
        await ctx.step.run("charge", fail)

    run = await bench.start(handler)
    assert bench.error(run)["name"] == "StepError"
    assert len(calls) == 1


async def test_a_handler_that_raises_is_called_again(bench: Any) -> None:
    attempts: list[int] = []

    async def handler(ctx: durable.Context) -> str:
        attempts.append(ctx.attempt)
        if len(attempts) < 2:
            raise ValueError("not yet")
        return "ok"

    run = await bench.start(handler)
    await bench.advance(1000)
    assert bench.result(run) == "ok"
    assert attempts == [0, 1]


async def test_a_step_inside_a_step_names_both(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        async def outer() -> None:
            await ctx.step.run("inner", lambda: 1)

        await ctx.step.run("outer", outer)

    run = await bench.start(handler)
    error = bench.error(run)
    assert error["name"] == "StepError"
    assert "'inner'" in error["message"]
    assert "'outer'" in error["message"]
    assert len(bench.core.reports) == 2, "trying again would not help"


async def test_a_result_that_is_no_json_says_where(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("bad", lambda: {"items": [1, object()]})

    run = await bench.start(handler)
    assert "result.items[1]" in bench.error(run)["message"]


async def test_a_coroutine_as_a_result_is_an_error(bench: Any) -> None:
    async def inner() -> int:
        return 1

    coroutines: list[Any] = []

    async def outer() -> Any:
        coroutines.append(inner())
        return coroutines[-1]

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("bad", outer)

    run = await bench.start(handler)
    assert "await it" in bench.error(run)["message"]
    coroutines[-1].close()


async def test_a_cancelled_error_out_of_nowhere_is_an_ordinary_failure(
    bench: Any,
) -> None:
    calls: list[int] = []

    async def odd() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise asyncio.CancelledError
        return "ok"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("odd", odd)

    run = await bench.start(handler)
    await bench.advance(1000)
    assert bench.result(run) == "ok"


async def test_retry_after_says_when(bench: Any) -> None:
    calls: list[int] = []

    def busy() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise durable.RetryAfterError("busy", "30s")
        return "ok"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("busy", busy)

    run = await bench.start(handler)
    await bench.advance(29_999)
    assert len(calls) == 1
    await bench.advance(1)
    assert bench.result(run) == "ok"
