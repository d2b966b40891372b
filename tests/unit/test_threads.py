"""Plain handlers and blocking steps run on threads; what they finish reaches the loop in batches."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import durable
from durable._threads import Threads


pytestmark = pytest.mark.asyncio

variable: contextvars.ContextVar[str] = contextvars.ContextVar(
    "variable", default="none"
)


def make() -> Threads:
    return Threads(asyncio.get_running_loop(), contextvars.copy_context(), 4)


async def test_a_call_has_the_callers_context_and_gives_its_value() -> None:
    threads = make()
    variable.set("mine")
    here = threading.get_ident()
    assert await threads.call(
        lambda: (variable.get(), threading.get_ident() != here), (), {}
    ) == (
        "mine",
        True,
    )
    threads.close()


async def test_a_call_raises_what_it_raised() -> None:
    threads = make()
    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 / 0, (), {})
    threads.close()


async def test_an_exit_on_a_thread_is_an_ordinary_error() -> None:
    threads = make()

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit on a thread: 3"):
        await threads.call(leave, (), {})
    threads.close()


async def test_many_endings_wake_the_loop_once() -> None:
    threads = make()
    loop = asyncio.get_running_loop()
    wakes: list[Any] = []
    real = loop.call_soon_threadsafe

    def counted(*args: Any, **kwargs: Any) -> Any:
        wakes.append(args)
        return real(*args, **kwargs)

    loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
    seen: list[int] = []
    for n in range(100):
        threads.post(lambda n=n: seen.append(n))
    del loop.call_soon_threadsafe
    await asyncio.sleep(0)  # noqa: TID251  # one turn
    await asyncio.sleep(0)  # noqa: TID251  # and the next
    assert seen == list(range(100))
    assert len(wakes) == 1
    threads.close()


async def test_a_plain_handler_that_raises_is_called_again(bench: Any) -> None:
    calls: list[int] = []

    def handler(ctx: durable.SyncContext) -> str:
        calls.append(ctx.attempt)
        if len(calls) < 2:
            msg = "not yet"
            raise ValueError(msg)
        return "ok"

    run = await bench.start(handler)
    await bench.settle_threads(run, "backing_off")
    await bench.advance(1000)
    await bench.settle_threads(run)
    assert bench.result(run) == "ok"
    assert calls == [0, 1]


async def test_a_plain_handlers_steps_may_be_async(bench: Any) -> None:
    async def later(word: str) -> str:
        await asyncio.sleep(0)  # noqa: TID251  # something to wait for
        return word

    def handler(ctx: durable.SyncContext) -> str:
        return ctx.step.run("later", later, "ok")

    run = await bench.start(handler)
    await bench.settle_threads(run)
    assert bench.result(run) == "ok"


async def test_a_plain_handler_catches_its_steps_errors(bench: Any) -> None:
    def fail() -> None:
        msg = "no"
        raise durable.NonRetriableError(msg)

    def handler(ctx: durable.SyncContext) -> str:
        try:
            ctx.step.run("fails", fail)
        except durable.StepError as error:
            return error.message
        return "unreachable"

    run = await bench.start(handler)
    await bench.settle_threads(run)
    assert bench.result(run) == "no"


async def test_a_waiting_plain_handler_is_not_hidden_from_except_exception(
    bench: Any,
) -> None:
    swallowed: list[str] = []

    def handler(ctx: durable.SyncContext) -> str:
        try:
            ctx.step.sleep("rest", "1h")
        except Exception as error:  # noqa: BLE001  # what a careless handler does
            swallowed.append(repr(error))
        return "ok"

    run = await bench.start(handler)
    await bench.settle_threads(run, "parked")
    await bench.advance(3_600_000)
    await bench.settle_threads(run)
    assert bench.result(run) == "ok"
    assert swallowed == []
