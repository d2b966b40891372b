"""A try that a crash cut off is an attempt, and not one of those that `retries` allows: wherever that is said."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

import durable
from durable.testing import TestEngine


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.asyncio

Try = tuple[int, int, bool]


class Noting(durable.Middleware):
    """Of each try that failed: its attempt, how many failed before it, whether it is the last."""

    def __init__(self) -> None:
        self.tries: list[Try] = []

    @override
    def after_execution(self, execution: durable.middleware.Execution) -> None:
        if isinstance(execution.error, ConnectionError):
            failed = (execution.attempt, execution.failures, execution.is_last)
            self.tries.append(failed)


async def in_step(ctx: durable.Context, work: Callable[[], Awaitable[None]]) -> None:
    await ctx.step.run("ask", work)


async def in_parallel(
    ctx: durable.Context, work: Callable[[], Awaitable[None]]
) -> None:
    async def other() -> None: ...

    await asyncio.gather(ctx.step.run("other", other), ctx.step.run("ask", work))


async def between_steps(
    ctx: durable.Context, work: Callable[[], Awaitable[None]]
) -> None:
    await ctx.step.sleep("first", "1s")
    await work()


@pytest.mark.parametrize("replay", ["needed", "always"])
@pytest.mark.parametrize("place", [in_step, in_parallel, between_steps])
async def test_what_a_crash_cut_off_does_not_count_as_a_try(
    place: Any, replay: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Two crashes and two failures: the second failure is the last, and everybody says so."""
    noting, attempts = Noting(), list[int]()
    app = durable.App("shop", middleware=[noting])
    retries = durable.Retries(1, durable.Backoff("1s", jitter=0))

    @app.function(retries=retries)
    async def order(ctx: durable.Context) -> None:
        async def work() -> None:
            attempts.append(ctx.attempt)
            if len(attempts) in {1, 3}:
                await t.crash()
            msg = "no answer"
            raise ConnectionError(msg)

        await place(ctx, work)

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(order, {})
    assert run.status == "failed"
    assert attempts == [0, 1, 2, 3]
    assert noting.tries == [(1, 0, False), (3, 1, True)]
    said = [
        (
            line.levelno,
            getattr(line, "attempt", None),
            line.getMessage().partition("(")[2],
        )
        for line in caplog.records
        if line.name == "durable.failures" and "ConnectionError" in line.getMessage()
    ]
    last = logging.ERROR if place is between_steps else logging.WARNING
    assert said[:2] == [
        (logging.WARNING, 1, "try 1 of 2: it is tried again)"),
        (last, 3, "try 2 of 2: it is not tried again)"),
    ]
