"""What is promised of failures: conformance cases R1 to R5, and the table of delays."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio

DELAYS_S = (15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200)
FLAT = durable.Backoff("1m", jitter=0)


async def test_r1_attempts_count_for_each_step_and_for_the_code_between(
    world: Any,
) -> None:
    seen: dict[str, list[int]] = {"step": [], "code": []}

    async def handler(ctx: durable.Context) -> str:
        def flaky() -> None:
            seen["step"].append(ctx.attempt)
            if len(seen["step"]) < 3:
                msg = "not yet"
                raise ValueError(msg)

        await ctx.step.run("flaky", flaky)
        seen["code"].append(ctx.attempt)
        if len(seen["code"]) < 2:
            msg = "not yet"
            raise ValueError(msg)
        return "done"

    world.function(handler, on="test/start", retries=durable.Retries(4, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("3m")
    run = await world.get(run_id)
    assert run.result == "done"
    assert seen == {"step": [0, 1, 2], "code": [0, 1]}
    assert run.steps["flaky"].attempts == 3


async def test_r2_twenty_retries_end_with_attempt_twenty(world: Any) -> None:
    attempts: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        attempts.append(ctx.attempt)
        msg = "always"
        raise ValueError(msg)

    world.function(handler, on="test/start", retries=durable.Retries(20, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("20m")
    run = await world.get(run_id)
    assert attempts == list(range(21))
    assert (run.status, run.error.name) == ("failed", "ValueError")
    assert str(run.error) == "ValueError: always"


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("place", ["step", "code"])
async def test_r3_as_many_tries_as_were_asked_for(
    world: Any, place: str, retries: int, calls: int
) -> None:
    counts: Counter[str] = Counter()

    def fail(what: str) -> None:
        counts[what] += 1
        msg = "always"
        raise ValueError(msg)

    async def handler(ctx: durable.Context) -> None:
        if place == "step":
            await ctx.step.run("fails", fail, "step")
        else:
            fail("code")

    world.function(handler, on="test/start", retries=durable.Retries(retries, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    assert (await world.get(run_id)).status == "failed"
    assert counts == {place: calls}


@pytest.mark.parametrize("place", ["step", "code"])
async def test_r3_a_non_retriable_error_is_tried_once(world: Any, place: str) -> None:
    counts: Counter[str] = Counter()

    def fail(what: str) -> None:
        counts[what] += 1
        msg = "never"
        raise durable.NonRetriableError(msg)

    async def handler(ctx: durable.Context) -> None:
        if place == "step":
            await ctx.step.run("fails", fail, "step")
        else:
            fail("code")

    world.function(handler, on="test/start")
    await world.open()
    assert (await world.get(await world.start())).status == "failed"
    assert counts == {place: 1}


async def test_r4_a_step_error_caught_completes_the_run(world: Any) -> None:
    def fail() -> None:
        msg = "no"
        raise durable.NonRetriableError(msg)

    async def handler(ctx: durable.Context) -> str:
        try:
            await ctx.step.run("fails", fail)
        except durable.StepError as error:
            return f"{error.step_id}: {error.name}: {error.message}"
        return "unreachable"

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.result == "fails: NonRetriableError: no"
    assert run.steps["fails"].status == "failed"


async def test_r4_a_step_error_not_caught_fails_the_run_without_another_try(
    world: Any,
) -> None:
    counts: Counter[str] = Counter()

    async def handler(ctx: durable.Context) -> None:
        counts["code"] += 1

        def fail() -> None:
            counts["step"] += 1
            msg = "always"
            raise ValueError(msg)

        await ctx.step.run("fails", fail)

    world.function(handler, on="test/start", retries=durable.Retries(2, FLAT))
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    run = await world.get(run_id)
    assert (run.status, run.error.name, run.error.code) == (
        "failed",
        "StepError",
        "DUR-0402",
    )
    assert counts["step"] == 3
    assert world.replay == "always" or counts["code"] == 1


async def test_r5_a_step_error_says_which_step_and_why_after_a_restart_too(
    world: Any,
) -> None:
    def fail() -> None:
        msg = "no such card"
        raise durable.NonRetriableError(msg)

    async def handler(ctx: durable.Context) -> str:
        caught = None
        try:
            await ctx.step.run("charge", fail)
        except durable.StepError as error:
            caught = error
        await ctx.step.sleep("rest", "1h")
        assert caught is not None
        return f"{caught.step_id} {caught.name} {caught.message} {'in fail' in caught.stack}"

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.restart()
    await world.engine.advance("1h")
    assert (
        await world.get(run_id)
    ).result == "charge NonRetriableError no such card True"


async def test_the_delays_follow_the_table_with_its_jitter(world: Any) -> None:
    at: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        del ctx
        at.append(world.engine.now_ms())
        msg = "always"
        raise ValueError(msg)

    world.function(handler, on="test/start", retries=10)
    engine = await world.open()
    await world.start()
    await engine.advance("6h")
    waits = [(b - a) / 1000 for a, b in itertools.pairwise(at)]
    assert len(waits) == 10
    for wait, delay in zip(waits, DELAYS_S, strict=True):
        assert delay <= wait <= delay + 30.1


@pytest.mark.parametrize(
    ("asked", "waits_s"), [("30s", 30), ("1ms", 1), ("2d", 86_400)]
)
async def test_retry_after_is_obeyed_within_its_limits(
    world: Any, asked: str, waits_s: int
) -> None:
    calls: list[int] = []

    def busy() -> str:
        calls.append(1)
        if len(calls) < 2:
            msg = "busy"
            raise durable.RetryAfterError(msg, asked)
        return "ok"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("busy", busy)

    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance(waits_s - 0.001)
    assert len(calls) == 1
    await engine.advance(0.001)
    assert (await world.get(run_id)).result == "ok"


async def test_an_error_group_of_hopeless_errors_is_not_tried_again(world: Any) -> None:
    import asyncio  # noqa: PLC0415

    def fail() -> None:
        msg = "no"
        raise durable.NonRetriableError(msg)

    async def handler(ctx: durable.Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step.run("one", fail))
            group.create_task(ctx.step.run("two", fail))

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "StepError" in run.error.message


@pytest.mark.parametrize("is_own", [True, False])
async def test_the_engine_says_the_delays_of_functions_that_do_not(
    world: Any, *, is_own: bool
) -> None:
    at: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        del ctx
        at.append(world.engine.now_ms())
        msg = "always"
        raise ValueError(msg)

    retries = durable.Retries(3, FLAT) if is_own else 3
    world.function(handler, on="test/start", retries=retries)
    engine = await world.open(backoff=durable.Backoff(["1s", "5s"], jitter=0))
    await world.start()
    await engine.advance("1h")
    waits = [(b - a) / 1000 for a, b in itertools.pairwise(at)]
    assert waits == ([60, 60, 60] if is_own else [1, 5, 5])


async def test_the_engines_delays_are_those_it_was_opened_with_last(world: Any) -> None:
    at: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        del ctx
        at.append(world.engine.now_ms())
        msg = "always"
        raise ValueError(msg)

    world.function(handler, on="test/start", retries=3)
    engine = await world.open(backoff=durable.Backoff("1h", jitter=0))
    await world.start()
    await engine.advance("1h")
    await world.close()
    engine = await world.open(backoff=durable.Backoff("2h", jitter=0))
    await engine.advance("1h")
    assert len(at) == 3, "what waits already goes on as it was told"
    await engine.advance("2h")
    assert len(at) == 4
    assert at[-1] - at[-2] == pytest.approx(7_200_000, abs=60_000)
