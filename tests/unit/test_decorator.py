"""`@durable.step`: a plain function outside of runs, a step inside."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


@durable.step
async def charge(cents: int) -> int:
    """Charges."""
    return cents


@durable.step(id="other id")
def count(word: str) -> int:
    return len(word)


async def test_outside_of_a_run_it_is_a_plain_call() -> None:
    assert await charge(3) == 3
    assert count("abc") == 3
    assert charge.__doc__ == "Charges."


async def test_inside_a_run_it_is_a_step_with_its_name(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> int:
        del ctx
        counted: Any = count("abc")
        return await charge(3) + await counted

    bench.functions.clear()
    bench.add(handler)
    run = await bench.start()
    error = bench.core.runs[run].outcome
    assert error == ("completed", b"6")
    assert sorted(memo[0] for memo in bench.core.runs[run].memos) == [
        "charge",
        "other id",
    ]


async def test_a_plain_handler_calls_it_and_gets_its_value(bench: Any) -> None:
    def handler(ctx: durable.SyncContext) -> int:
        del ctx
        return count("abc")

    run = await bench.start(handler)
    await bench.settle_threads(run)
    assert bench.result(run) == 3
    assert [memo[0] for memo in bench.core.runs[run].memos] == ["other id"]


async def test_forgotten_it_is_named_with_the_line_of_its_call(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        del ctx
        charge(3)  # type: ignore[unused-awaitable]

    assert "test_decorator.py" in bench.error(await bench.start(handler))["message"]


async def test_inside_another_step_it_is_an_error_that_names_both(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("outer", lambda: charge(3))

    message = bench.error(await bench.start(handler))["message"]
    assert "'charge'" in message
    assert "'outer'" in message
