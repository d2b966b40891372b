"""What steps do for a run's code: one after the other or at once, awaited or blocking, by id and by name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_steps_in_a_row_run_once_each(bench: Any) -> None:
    calls: list[str] = []

    def note(word: str) -> str:
        calls.append(word)
        return word

    async def note_later(word: str) -> str:
        return note(word)

    async def handler(ctx: durable.Context) -> str:
        one = await ctx.step.run("one", note, "a")
        two = await ctx.step.run("two", note_later, "b")
        return one + two

    run = await bench.start(handler)
    assert bench.result(run) == "ab"
    assert calls == ["a", "b"]
    assert bench.op_kinds() == [[0], [0], [5]]


async def test_a_sleep_parks_the_run_and_wakes_it(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        return "awake"

    run = await bench.start(handler)
    assert bench.core.runs[run].stretch == "parked"
    await bench.advance(3_599_999)
    assert bench.core.runs[run].stretch == "parked"
    await bench.advance(1)
    assert bench.result(run) == "awake"


async def test_gathered_steps_are_planned_in_one_report(bench: Any) -> None:
    calls: list[int] = []

    async def square(n: int) -> int:
        calls.append(n)
        return n * n

    async def handler(ctx: durable.Context) -> int:
        return sum(
            await asyncio.gather(*(ctx.step.run(f"s{n}", square, n) for n in range(4)))
        )

    run = await bench.start(handler)
    assert bench.result(run) == 14
    assert sorted(calls) == [0, 1, 2, 3]
    assert bench.op_kinds()[0] == [2, 2, 2, 2]
    assert bench.core.reports[0][4] == 0, (
        "the slot is given back while the steps have their own"
    )


async def test_parallel_chains_go_forward_independently(bench: Any) -> None:
    order: list[str] = []

    async def note(word: str) -> str:
        order.append(word)
        return word

    async def chain(ctx: durable.Context, letter: str) -> list[str]:
        return [
            await ctx.step.run(f"{letter}{n}", note, f"{letter}{n}") for n in (1, 2)
        ]

    async def handler(ctx: durable.Context) -> list[list[str]]:
        return await asyncio.gather(chain(ctx, "a"), chain(ctx, "b"))

    run = await bench.start(handler)
    assert bench.result(run) == [["a1", "a2"], ["b1", "b2"]]
    assert sorted(order) == ["a1", "a2", "b1", "b2"]


async def test_a_task_group_of_steps(bench: Any) -> None:
    async def double(n: int) -> int:
        return n * 2

    async def handler(ctx: durable.Context) -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ctx.step.run(f"s{n}", double, n)) for n in range(3)
            ]
        return sum(task.result() for task in tasks)

    run = await bench.start(handler)
    assert bench.result(run) == 6


async def test_steps_as_they_complete(bench: Any) -> None:
    async def double(n: int) -> int:
        return n * 2

    async def handler(ctx: durable.Context) -> int:
        total = 0
        for one in asyncio.as_completed(
            [ctx.step.run(f"s{n}", double, n) for n in range(3)]
        ):
            total += await one
        return total

    run = await bench.start(handler)
    assert bench.result(run) == 6


async def test_the_same_id_gets_a_counter_in_order_of_use(bench: Any) -> None:
    def same(n: int) -> int:
        return n

    async def handler(ctx: durable.Context) -> list[int]:
        return [await ctx.step.run("x", same, n) for n in range(3)]

    run = await bench.start(handler)
    assert bench.result(run) == [0, 1, 2]
    assert [memo[0] for memo in bench.core.runs[run].memos] == ["x", "x:1", "x:2"]


async def test_an_id_that_looks_like_a_counter_is_told_apart(bench: Any) -> None:
    def same(n: int) -> int:
        return n

    async def handler(ctx: durable.Context) -> list[int]:
        ids = ["x", "x", "x:1", "x"]
        return [await ctx.step.run(step_id, same, n) for n, step_id in enumerate(ids)]

    run = await bench.start(handler)
    assert bench.result(run) == [0, 1, 2, 3]
    assert len({memo[0] for memo in bench.core.runs[run].memos}) == 4


async def test_a_step_never_awaited_fails_the_run_with_its_line(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        ctx.step.run("forgotten", lambda: 1)
        return "done"

    run = await bench.start(handler)
    error = bench.error(run)
    assert error["name"] == "StepNotAwaitedError"
    assert "'forgotten'" in error["message"]
    assert "test_execution.py:" in error["message"]


async def test_context_variables_belong_to_one_run(live: Any) -> None:
    import contextvars  # noqa: PLC0415

    variable: contextvars.ContextVar[str] = contextvars.ContextVar(
        "variable", default="none"
    )

    async def handler(ctx: durable.Context) -> str:
        before = variable.get()
        variable.set(ctx.run_id)
        await ctx.step.run("one", lambda: 1)
        return f"{before} {variable.get()}"

    first = await live.start(handler)
    second = await live.start()
    assert live.result(first) == f"none {first}"
    assert live.result(second) == f"none {second}"
    assert variable.get() == "none"


async def test_a_plain_handler_runs_on_a_thread(bench: Any) -> None:
    attempts: list[int] = []

    def handler(ctx: durable.SyncContext) -> str:
        def flaky() -> str:
            attempts.append(ctx.attempt)
            if len(attempts) < 2:
                raise ValueError("not yet")
            return "b"

        one = ctx.step.run("one", lambda: "a")
        ctx.step.sleep("rest", "1h")
        return one + ctx.step.run("flaky", flaky)

    run = await bench.start(handler)
    await bench.settle_threads(run, "parked")
    await bench.advance(3_600_000)
    await bench.settle_threads(run, "parked")
    await bench.advance(1000)
    await bench.settle_threads(run)
    assert bench.result(run) == "ab"
    assert attempts == [0, 1]


async def test_a_blocking_step_runs_on_a_thread(bench: Any) -> None:
    import threading  # noqa: PLC0415

    async def handler(ctx: durable.Context) -> bool:
        name = await ctx.step.options(blocking=True).run("where", threading.get_ident)
        return name != threading.get_ident()

    run = await bench.start(handler)
    await bench.settle_threads(run)
    assert bench.result(run) is True


async def test_a_decorated_function_is_a_step_inside_a_run_only(bench: Any) -> None:
    @durable.step
    async def charge(cents: int) -> int:
        return cents

    async def handler(ctx: durable.Context) -> int:
        return await charge(3) + await ctx.step.run("by name", charge, 4)

    run = await bench.start(handler)
    assert bench.result(run) == 7
    assert [memo[0] for memo in bench.core.runs[run].memos] == ["charge", "by name"]
    assert await charge(5) == 5


async def test_the_token_is_the_same_for_each_try(bench: Any) -> None:
    tokens: list[str] = []

    async def handler(ctx: durable.Context) -> None:
        def flaky() -> None:
            tokens.append(ctx.step.token)
            if len(tokens) < 2:
                raise ValueError("not yet")

        await ctx.step.run("flaky", flaky)

    run = await bench.start(handler)
    await bench.advance(1000)
    assert tokens == [f"{run}:flaky"] * 2
