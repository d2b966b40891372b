"""Attempts: each step, and each stretch of code between steps, counts from 0 and has all of its tries."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

FLAT = durable.Backoff("1m", jitter=0)


class Log:
    """What executed, with its attempt; each word fails as often as it was told."""

    def __init__(self, **failures: int) -> None:
        self.seen: list[tuple[str, int]] = []
        self._failures = failures

    def note(self, ctx: durable.Context, word: str) -> str:
        self.seen.append((word, ctx.attempt))
        if self.count(word) <= self._failures.get(word, 0):
            msg = f"{word} fails"
            raise ValueError(msg)
        return word

    def count(self, word: str) -> int:
        return len(self.of(word))

    def of(self, word: str) -> list[int]:
        return [attempt for one, attempt in self.seen if one == word]


async def play(world: Any, handler: Any, retries: int) -> durable.Run:
    world.function(handler, on="test/start", retries=durable.Retries(retries, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    run: durable.Run = await world.get(run_id)
    return run


async def test_a_step_behind_code_that_failed_counts_from_0(world: Any) -> None:
    log = Log(code=2, step=2)

    async def handler(ctx: durable.Context) -> None:
        if log.count("step") < 1:
            log.note(ctx, "code")
        await ctx.step.run("s", log.note, ctx, "step")
        log.note(ctx, "after")

    run = await play(world, handler, retries=2)
    assert run.status == "completed"
    assert (log.of("code"), log.of("step")) == ([0, 1, 2], [0, 1, 2])
    assert log.of("after")[-1] == 0
    assert run.steps["s"].attempts == 3


async def test_code_behind_a_step_error_has_tries_of_its_own(world: Any) -> None:
    log = Log(before=1, after=1)

    def hopeless() -> None:
        msg = "no"
        raise durable.NonRetriableError(msg)

    async def handler(ctx: durable.Context) -> None:
        if not log.count("after"):
            log.note(ctx, "before")
        with contextlib.suppress(durable.StepError):
            await ctx.step.run("s", hopeless)
        log.note(ctx, "after")

    run = await play(world, handler, retries=1)
    assert run.status == "completed"
    assert (log.of("before"), log.of("after")) == ([0, 1], [0, 1])


async def test_code_behind_a_memo_that_comes_while_it_executes_has_tries_of_its_own(
    world: Any,
) -> None:
    log = Log(before=1, after=1)
    is_waiting, has_come = asyncio.Event(), threading.Event()

    async def handler(ctx: durable.Context) -> None:
        async def something_else() -> None:
            is_waiting.set()
            await asyncio.to_thread(has_come.wait, 30)  # the code executes on

        async def waits() -> None:
            await ctx.step.wait_for_event("go", "test/go", timeout="1d")
            has_come.set()

        if not log.count("after"):
            log.note(ctx, "before")
        await asyncio.gather(something_else(), waits())
        log.note(ctx, "after")

    retries = durable.Retries(1, durable.Backoff("1ms", jitter=0))
    world.function(handler, on="test/start", retries=retries)
    engine = await world.open(clock="system")
    (event_id,) = await engine.send(durable.Event("test/start"))
    await is_waiting.wait()
    await engine.send(durable.Event("test/go"))
    run = await engine.runs.wait((await world.run_of(event_id)).id, timeout="30s")
    assert (run.status, log.count("after")) == ("completed", 2)


async def test_parallel_steps_count_each_on_their_own(world: Any) -> None:
    log = Log(a=0, b=1, c=3)

    async def handler(ctx: durable.Context) -> list[Any]:
        steps = (ctx.step.run(word, log.note, ctx, word) for word in "abc")
        return [
            repr(one) for one in await asyncio.gather(*steps, return_exceptions=True)
        ]

    run = await play(world, handler, retries=2)
    assert run.result[:2] == ["'a'", "'b'"]
    assert run.result[2].startswith("StepError")
    assert [log.of(word) for word in "abc"] == [[0], [0, 1], [0, 1, 2]]
    assert [run.steps[word].attempts for word in "abc"] == [1, 2, 3]


async def test_a_step_that_the_codes_failure_cut_off_counts_on(world: Any) -> None:
    """It may have done something: its next attempt has another number."""
    log = Log(code=1)
    begun = asyncio.Event()

    async def cut_off(ctx: durable.Context) -> None:
        log.note(ctx, "step")
        begun.set()
        if log.count("step") < 2:
            await asyncio.Event().wait()

    async def handler(ctx: durable.Context) -> None:
        async def fails() -> None:
            await begun.wait()
            log.note(ctx, "code")

        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step.run("s", cut_off, ctx))
            group.create_task(fails())

    run = await play(world, handler, retries=2)
    assert run.status == "completed"
    assert log.of("step") == [0, 1]
    assert run.steps["s"].attempts == 2


async def test_a_step_that_the_end_of_the_process_cut_off_counts_on(world: Any) -> None:
    log = Log(code=1)
    begun = asyncio.Event()

    async def cut_off(ctx: durable.Context) -> None:
        log.note(ctx, "step")
        begun.set()
        if log.count("step") < 2:
            await asyncio.Event().wait()

    async def handler(ctx: durable.Context) -> None:
        if log.count("step") < 1:
            log.note(ctx, "code")
        await ctx.step.run("s", cut_off, ctx)

    world.function(handler, on="test/start", retries=durable.Retries(1, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("59s")
    late = asyncio.ensure_future(engine.advance("1s"))
    await begun.wait()
    late.cancel()
    await world.restart()
    await world.settle()
    run = await world.get(run_id)
    assert run.status == "completed"
    assert (log.of("code"), log.of("step")) == ([0, 1], [0, 1])
    assert run.steps["s"].attempts == 2


@pytest.mark.parametrize("place", ["step", "code"])
@pytest.mark.parametrize(
    ("asked", "waits_s"),
    [
        (0, 1),
        (-5, 1),
        ("999ms", 1),
        (1, 1),
        (1.001, 1.001),
        ("24h", 86_400),
        ("24h 1ms", 86_400),
        ("400d", 86_400),
        (float("inf"), 86_400),
        (10**400, 86_400),
    ],
)
async def test_what_retry_after_asks_is_cut_to_a_second_and_a_day(
    world: Any, asked: Any, waits_s: float, place: str
) -> None:
    calls: list[int] = []

    def busy() -> str:
        calls.append(1)
        if len(calls) < 2:
            msg = "busy"
            raise durable.RetryAfterError(msg, asked)
        return "ok"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("busy", busy) if place == "step" else busy()

    world.function(handler, on="test/start", retries=1)
    engine = await world.open()
    run_id = await world.start()
    await engine.advance(waits_s - 0.001)
    assert len(calls) == 1
    await engine.advance(0.001)
    assert (await world.get(run_id)).result == "ok"


async def test_what_asks_for_a_time_is_tried_no_more_often(world: Any) -> None:
    calls: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        def busy() -> None:
            calls.append(ctx.attempt)
            msg = "busy"
            raise durable.RetryAfterError(msg, "1m")

        await ctx.step.run("busy", busy)

    run = await play(world, handler, retries=1)
    assert (run.status, calls) == ("failed", [0, 1])


async def test_what_asks_for_no_time_at_all_says_so_and_waits_by_the_table(
    world: Any,
) -> None:
    async def handler(ctx: durable.Context) -> str:
        if ctx.attempt == 0:
            msg = "busy"
            raise durable.RetryAfterError(msg, "Wed, 21 Oct 2026 07:28:00 GMT")
        return "ok"

    run = await play(world, handler, retries=1)
    assert run.result == "ok"
