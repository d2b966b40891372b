"""The middleware around one run: what its hooks are told of the run and its steps."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override

import durable
from durable._layered import layered
from durable.middleware import Execution


pytestmark = pytest.mark.asyncio


class Noting(durable.Middleware):
    """Notes what has executed."""

    def __init__(self) -> None:
        self.seen: list[Execution] = []

    @override
    def after_execution(self, execution: Execution) -> None:
        self.seen.append(execution)


async def test_a_run_of_a_function_without_middleware_has_none(live: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        assert ctx._run.layered is None
        assert layered(ctx._run) is None

    assert live.result(await live.start(handler)) is None


async def test_what_a_hook_is_told_of(bench: Any) -> None:
    noting = Noting()

    async def handler(ctx: durable.Context) -> str:
        await ctx.step.run("a", len, "abc")
        return "done"

    bench.add(handler, middleware=[noting], retries=2, on="test/start")
    run = await bench.start()
    assert bench.result(run) == "done"
    first, step, last = noting.seen
    assert first.comes_to is not None
    assert (first.step, first.comes_to.name, first.comes_to.kind) == (None, "a", "run")
    assert step.step is not None
    assert (step.step.name, step.attempt, step.error) == ("a", 0, None)
    assert (last.step, last.comes_to) == (None, None)
    about = step.run
    assert (about.id, about.function_id, about.tries) == (run, "handler", 3)


async def test_a_step_that_was_not_awaited_is_told_as_any_error(bench: Any) -> None:
    noting = Noting()

    async def handler(ctx: durable.Context) -> None:
        ctx.step.run("a", len, "abc")

    bench.add(handler, middleware=[noting])
    assert bench.error(await bench.start())["name"] == "StepNotAwaitedError"
    assert isinstance(noting.seen[-1].error, durable.StepNotAwaitedError)
