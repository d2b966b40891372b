"""What a run's code may rely on, whether it stays alive or is called again at every step."""

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


async def test_a_step_never_awaited_fails_the_run_with_its_line(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        ctx.step.run("forgotten", lambda: 1)
        return "done"

    run = await bench.start(handler)
    error = bench.error(run)
    assert error["name"] == "StepNotAwaitedError"
    assert "'forgotten'" in error["message"]
    assert "test_execution.py:" in error["message"]


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


async def test_a_run_goes_on_in_another_process(bench: Any) -> None:
    calls: list[str] = []

    def note(word: str) -> str:
        calls.append(word)
        return word

    async def handler(ctx: durable.Context) -> str:
        one = await ctx.step.run("one", note, "a")
        await ctx.step.sleep("rest", "1h")
        return one + await ctx.step.run("two", note, "b")

    run = await bench.start(handler)
    await bench.restart()
    await bench.advance(3_600_000)
    assert bench.result(run) == "ab"
    assert calls == ["a", "b"]


async def test_foreign_awaits_hold_the_slot(live: Any) -> None:
    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> str:
        await gate.wait()
        return await ctx.step.run("after", lambda: "ok")

    run = await live.start(handler)
    assert live.core.runs[run].stretch == "executing"
    assert live.core.reports == []
    gate.set()
    await live.settle()
    assert live.result(run) == "ok"


async def test_a_step_beside_something_foreign_does_not_park(live: Any) -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def foreign() -> int:
        return await gate

    async def handler(ctx: durable.Context) -> int:
        _, got = await asyncio.gather(ctx.step.sleep("rest", 1), foreign())
        return got

    run = await live.start(handler)
    assert live.core.runs[run].stretch == "executing"
    gate.set_result(7)
    await live.settle()
    assert live.core.runs[run].stretch == "parked"
    await live.advance(1000)
    assert live.result(run) == 7


async def test_a_timeout_inside_a_step(bench: Any) -> None:
    async def slow() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "unreachable"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("slow", slow)

    run = await bench.start(handler)
    assert bench.result(run) == "timed out"


async def test_a_timeout_around_a_step_calls_it_off(live: Any) -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("called off")

    async def handler(ctx: durable.Context) -> str:
        try:
            async with asyncio.timeout(0):
                await ctx.step.run("slow", slow)
        except TimeoutError:
            return await ctx.step.run("fallback", lambda: "fallback")
        return "unreachable"

    run = await live.start(handler)
    assert live.result(run) == "fallback"
    assert ended == ["called off"]


async def test_a_failing_sibling_calls_off_a_parked_step(live: Any) -> None:
    async def fail(gate: asyncio.Event) -> None:
        await gate.wait()
        raise ValueError("sibling")

    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail(gate))
                await ctx.step.run("slow", asyncio.Event().wait)
        except* ValueError:
            pass
        return "caught"

    run = await live.start(handler)
    gate.set()
    await live.settle()
    assert live.result(run) == "caught"


async def test_anyio_cancel_scopes_and_task_groups(live: Any) -> None:
    anyio = pytest.importorskip("anyio")

    async def double(n: int) -> int:
        return n * 2

    async def handler(ctx: durable.Context) -> list[int]:
        got: list[int] = []

        async def one(n: int) -> None:
            got.append(await ctx.step.run(f"s{n}", double, n))

        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(one, n)
        with anyio.move_on_after(0) as scope:
            await anyio.sleep(3600)
        assert scope.cancelled_caught
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope() as inner:
            inner.cancel()
            await ctx.step.run("never", double, 9)
        return sorted(got)

    run = await live.start(handler)
    await live.settle()
    assert live.result(run) == [0, 2, 4]
    assert [memo[0] for memo in live.core.runs[run].memos] == ["s0", "s1", "s2"]


async def test_the_current_task_stays_one_and_the_same(live: Any) -> None:
    seen: list[Any] = []

    async def look() -> None:
        seen.append(asyncio.current_task())

    async def handler(ctx: durable.Context) -> bool:
        await look()
        await ctx.step.run("look", look)
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0)
        await look()
        return len(set(seen)) == 1

    run = await live.start(handler)
    await live.settle()
    assert live.result(run) is True
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


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


async def test_parked_runs_beyond_hot_runs_are_called_again(live: Any) -> None:
    calls: list[str] = []
    live.worker._hot_runs = 2

    async def handler(ctx: durable.Context) -> str:
        calls.append(ctx.run_id)
        await ctx.step.sleep("rest", "1h")
        return ctx.run_id

    runs = [await live.start(handler)] + [await live.start() for _ in range(4)]
    assert len(live.worker.runs) == 2
    await live.advance(3_600_000)
    assert [live.result(run) for run in runs] == runs
    assert sorted(calls) == sorted([*runs, *runs[:3]])


async def test_remembered_steps_answer_in_the_order_they_were_recorded(
    bench: Any,
) -> None:
    async def handler(ctx: durable.Context) -> list[str]:
        order: list[str] = []

        async def chain(name: str, length: str) -> None:
            await ctx.step.sleep(f"rest {name}", length)
            order.append(await ctx.step.run("same id", lambda: name))

        await asyncio.gather(chain("slow", "2h"), chain("quick", "1h"))
        return order

    run = await bench.start(handler)
    await bench.advance(3_600_000)
    await bench.restart()
    await bench.advance(3_600_000)
    assert bench.result(run) == ["quick", "slow"]


async def test_a_pending_step_that_the_code_no_longer_has_fails_the_run(
    live: Any,
) -> None:
    is_new = False

    async def handler(ctx: durable.Context) -> str:
        if is_new:
            return "new"
        await ctx.step.run("old", lambda: 1 / 0)
        return "old"

    run = await live.start(handler)
    is_new = True
    await live.restart()
    await live.advance(1000)
    assert live.error(run)["name"] == "NonDeterminismError"


async def test_the_logger_is_silent_while_replaying(bench: Any, caplog: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        ctx.logger.warning("before")
        await ctx.step.run("one", lambda: 1)
        ctx.logger.warning("after")
        await ctx.step.sleep("rest", 1)
        ctx.logger.warning("end")

    await bench.start(handler)
    await bench.restart()
    await bench.advance(1000)
    assert [record.message for record in caplog.records] == ["before", "after", "end"]


async def test_what_a_step_returned_is_the_same_live_and_replayed(bench: Any) -> None:
    from dataclasses import dataclass  # noqa: PLC0415

    @dataclass
    class Charge:
        cents: int

    def plain() -> Any:
        return (1, Charge(2))

    def typed() -> Charge:
        return Charge(3)

    typed.__annotations__["return"] = Charge

    async def handler(ctx: durable.Context) -> list[str]:
        one = await ctx.step.run("plain", plain)
        two = await ctx.step.run("typed", typed)
        return [repr(one), type(two).__name__]

    run = await bench.start(handler)
    assert bench.result(run) == ["[1, {'cents': 2}]", "Charge"]


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
