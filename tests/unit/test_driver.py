"""The driver is the current task of its handler's code, as far as asyncio's users can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_it_answers_what_a_task_answers(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> list[Any]:
        task: Any = asyncio.current_task()
        task.set_name("mine")
        return [
            task.get_name(),
            task.done(),
            task.cancelled(),
            task.cancelling(),
            task.get_loop() is asyncio.get_running_loop(),
            task.get_coro() is not None,
            len(task.get_stack()),
            ctx.run_id in repr(task),
        ]

    result = bench.result(await bench.start(handler))
    assert result == ["mine", False, False, 0, True, True, 1, True]


async def test_cancelling_itself_is_seen_at_the_next_await(live: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        task: Any = asyncio.current_task()
        task.cancel("stop")
        try:
            await ctx.step.run("never", int)
        except asyncio.CancelledError as error:
            task.uncancel()
            return f"{error} {task.cancelling()}"
        return "unreachable"

    assert live.result(await live.start(handler)) == "stop 0"


async def test_a_bare_yield_lets_others_run(bench: Any) -> None:
    order: list[str] = []

    async def handler(ctx: durable.Context) -> None:
        order.append(f"{ctx.run_id} one")
        await asyncio.sleep(0)  # noqa: TID251  # the bare yield
        order.append(f"{ctx.run_id} two")

    bench.add(handler)
    runs = [bench.core.start(), bench.core.start()]
    bench.worker._schedule()
    await bench.settle()
    assert order == [f"{run} {part}" for part in ("one", "two") for run in runs]


async def test_callbacks_are_called_at_the_end(live: Any) -> None:
    done: list[Any] = []

    async def handler(ctx: durable.Context) -> None:
        task: Any = asyncio.current_task()
        task.add_done_callback(done.append)
        task.add_done_callback(print)
        assert task.remove_done_callback(print) == 1
        await ctx.step.run("a", int)

    await live.start(handler)
    assert len(done) == 1
    assert done[0].done()


async def test_something_that_cannot_be_awaited_is_an_error_in_the_code(
    live: Any,
) -> None:
    class Odd:
        def __await__(self) -> Any:
            yield "odd"

    async def handler(ctx: durable.Context) -> str:
        del ctx
        try:
            await Odd()
        except RuntimeError as error:
            return str(error)
        return "unreachable"

    assert "'odd'" in live.result(await live.start(handler))


async def test_a_future_that_fails_raises_where_it_is_awaited(bench: Any) -> None:
    async def handler(ctx: durable.Context) -> str:
        del ctx
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("no"))
        try:
            await future
        except ValueError as error:
            return str(error)
        return "unreachable"

    assert bench.result(await bench.start(handler)) == "no"


async def test_code_that_awaits_in_its_finally_is_put_aside_quietly(live: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        try:
            await ctx.step.sleep("rest", "1h")
        finally:
            await asyncio.sleep(0)  # noqa: TID251  # what a close meets

    run = await live.start(handler)
    await live.restart()
    await live.advance(3_600_000)
    assert live.core.runs[run].stretch == "ended"


async def test_an_error_while_it_is_put_aside_goes_to_the_loop(live: Any) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))

    async def handler(ctx: durable.Context) -> None:
        try:
            await ctx.step.sleep("rest", "1h")
        finally:
            msg = "last words"
            raise ValueError(msg)

    await live.start(handler)
    await live.restart()
    assert "last words" in str(told[0]["exception"])
