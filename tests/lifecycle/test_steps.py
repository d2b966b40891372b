"""What is promised of steps: semantics section 2, conformance cases S1, S2, S3, S6, S9, S10."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def test_s1_a_row_of_steps_and_sleeps_executes_each_once(world: Any) -> None:
    calls: list[str] = []

    async def note(word: str) -> str:
        calls.append(word)
        return word

    async def handler(ctx: durable.Context) -> str:
        one = await ctx.step.run("one", note, "a")
        await ctx.step.sleep("rest", "2s")
        two = await ctx.step.run("two", note, "b")
        return one + two

    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    assert (await world.get(run_id)).status == "parked"
    await engine.advance("2s")
    run = await world.get(run_id)
    assert (run.status, run.result, calls) == ("completed", "ab", ["a", "b"])
    assert list(run.steps) == ["one", "rest", "two"]
    assert run.steps["one"].result == "a"
    assert run.steps["rest"].kind == "sleep"


async def test_s2_parallel_steps_respect_the_functions_concurrency(world: Any) -> None:
    inside = 0
    most = 0
    gate = asyncio.Event()

    async def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            gate.set()
        await gate.wait()
        await asyncio.sleep(0)  # noqa: TID251  # a turn for whoever else may be inside
        inside -= 1

    async def handler(ctx: durable.Context) -> str:
        await asyncio.gather(*(ctx.step.run(f"s{n}", work) for n in range(4)))
        return "done"

    world.function(handler, on="test/start", concurrency=2)
    await world.open()
    run = await world.get(await world.start())
    assert run.result == "done"
    assert most == 2
    assert all(step.attempts == 1 for step in run.steps.values())


async def test_gathered_steps_go_on_with_a_concurrency_of_one(world: Any) -> None:
    async def handler(ctx: durable.Context) -> list[int]:
        return await asyncio.gather(
            *(ctx.step.run(f"s{n}", lambda n=n: n) for n in range(5))
        )

    world.function(handler, on="test/start", concurrency=1)
    await world.open()
    assert (await world.get(await world.start())).result == [0, 1, 2, 3, 4]


async def test_s3_a_diamond_executes_every_step_once(world: Any) -> None:
    calls: Counter[str] = Counter()

    def note(word: str) -> str:
        calls[word] += 1
        return word

    async def handler(ctx: durable.Context) -> str:
        three = await asyncio.gather(
            *(ctx.step.run(f"a{n}", note, f"a{n}") for n in range(3))
        )
        one = await ctx.step.run("b", note, "b")
        two = await asyncio.gather(
            *(ctx.step.run(f"c{n}", note, f"c{n}") for n in range(2))
        )
        last = await ctx.step.run("d", note, "d")
        return "".join([*three, one, *two, last])

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.result == "a0a1a2bc0c1d"
    assert set(calls.values()) == {1}


async def test_s6_a_step_that_executes_is_not_executed_again_by_a_replay(
    world: Any,
) -> None:
    calls: Counter[str] = Counter()
    gate = asyncio.Event()

    async def slow() -> str:
        calls["slow"] += 1
        await gate.wait()
        return "slow"

    async def quick() -> str:
        calls["quick"] += 1
        return "quick"

    async def after() -> str:
        calls["after"] += 1
        return "after"

    async def chain(ctx: durable.Context) -> str:
        await ctx.step.run("quick", quick)
        gate.set()
        return await ctx.step.run("after", after)

    async def handler(ctx: durable.Context) -> list[str]:
        return await asyncio.gather(ctx.step.run("slow", slow), chain(ctx))

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.result == ["slow", "after"]
    assert calls == {"slow": 1, "quick": 1, "after": 1}


async def test_s9_the_thousandth_step_completes_and_one_more_fails(world: Any) -> None:
    async def handler(ctx: durable.Context) -> int:
        for n in range(ctx.event.data["steps"]):
            await ctx.step.run(f"s{n}", int)
        return 1

    world.function(handler, on="test/start")
    world.replay = (
        "needed"  # a thousand replays of a thousand steps would only take long
    )
    await world.open()
    most = await world.get(await world.start(data={"steps": 1000}))
    beyond = await world.get(await world.start(data={"steps": 1001}))
    assert most.status == "completed"
    assert (beyond.status, beyond.error.name) == ("failed", "StepLimitExceeded")
    assert "1000" in beyond.error.message


async def test_s10_a_state_too_large_fails_the_run_with_a_name(world: Any) -> None:
    text = "x" * 4_000_000

    async def handler(ctx: durable.Context) -> None:
        for n in range(9):
            await ctx.step.run(f"s{n}", lambda: text)

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "StateTooLarge")


async def test_an_output_too_large_fails_the_run_with_a_name(world: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("big", lambda: "x" * 5_000_000)

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "OutputTooLarge")
    assert "big" in run.error.message


async def test_parallel_chains_go_forward_independently(world: Any) -> None:
    async def chain(ctx: durable.Context, name: str, length: str) -> str:
        await ctx.step.sleep(f"{name} rests", length)
        return await ctx.step.run(f"{name} works", lambda: name)

    async def handler(ctx: durable.Context) -> list[str]:
        return await asyncio.gather(chain(ctx, "slow", "2h"), chain(ctx, "quick", "1h"))

    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    assert "quick works" in (await world.get(run_id)).steps
    await engine.advance("1h")
    assert (await world.get(run_id)).result == ["slow", "quick"]


async def test_the_same_id_gets_a_counter(world: Any) -> None:
    async def handler(ctx: durable.Context) -> list[int]:
        return [await ctx.step.run("id", lambda n=n: n) for n in range(3)]

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert list(run.steps) == ["id", "id:1", "id:2"]


@pytest.mark.parametrize("kind", ["nested", "unawaited", "no json", "coroutine"])
async def test_programming_errors_fail_the_run_at_once(world: Any, kind: str) -> None:
    calls: list[int] = []

    async def inner() -> int:
        return 1

    async def handler(ctx: durable.Context) -> None:
        calls.append(1)

        async def outer() -> Any:
            return await ctx.step.run("inner", inner)

        if kind == "nested":
            await ctx.step.run("outer", outer)
        elif kind == "unawaited":
            ctx.step.run("forgotten", inner)
        elif kind == "no json":
            await ctx.step.run("bad", object)
        else:
            await ctx.step.run("bad", lambda: [inner])

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "handler" in run.error.message or run.error.name == "StepError"
    assert len(calls) <= 2, "the second call is the replay that raises the StepError"


async def test_code_that_changed_while_a_run_slept_is_tolerated(world: Any) -> None:
    calls: list[str] = []

    def note(word: str) -> str:
        calls.append(word)
        return word

    async def before(ctx: durable.Context) -> None:
        await ctx.step.run("one", note, "one")
        await ctx.step.run("two", note, "two")
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> str:
        two = await ctx.step.run("two", note, "two")
        await ctx.step.sleep("rest", "1h")
        return two + await ctx.step.run("new", note, "new")

    world.function(before, id="changing", on="test/start")
    await world.open()
    run_id = await world.start()
    world.function(after, id="changing", on="test/start")
    await world.restart()
    await world.engine.advance("1h")
    assert (await world.get(run_id)).result == "twonew"
    assert calls == ["one", "two", "new"]


async def test_a_memo_that_no_longer_fits_its_type_fails_that_run_only(
    world: Any,
) -> None:
    def as_text() -> str:
        return "text"

    def as_number() -> int:
        return 1

    as_text.__annotations__["return"] = str
    as_number.__annotations__["return"] = int

    async def before(ctx: durable.Context) -> None:
        await ctx.step.run("value", as_text)
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> int:
        value = await ctx.step.run("value", as_number)
        await ctx.step.sleep("rest", "1h")
        return value

    world.function(before, id="changing", on="test/start")
    await world.open()
    old = await world.start()
    world.function(after, id="changing", on="test/start")
    await world.restart()
    new = await world.start()
    await world.engine.advance("1h")
    error = (await world.get(old)).error
    assert error.name == "NonDeterminismError"
    assert "value" in error.message
    assert (await world.get(new)).result == 1


async def test_a_typed_result_comes_back_as_its_type(world: Any) -> None:
    from pydantic import BaseModel  # noqa: PLC0415

    class Charge(BaseModel):
        cents: int

    async def charge() -> Charge:
        return Charge(cents=3)

    charge.__annotations__["return"] = Charge

    async def handler(ctx: durable.Context) -> int:
        paid = await ctx.step.run("charge", charge)
        await ctx.step.sleep("rest", "1h")
        return paid.cents

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.restart()
    await world.engine.advance("1h")
    assert (await world.get(run_id)).result == 3


@pytest.mark.parametrize("other", ["sleep", "wait", "executing", "retried"])
async def test_what_a_handler_does_not_wait_for_ends_with_it(
    world: Any, other: str
) -> None:
    calls: Counter[str] = Counter()

    async def block() -> None:
        calls["executing"] += 1
        await asyncio.Event().wait()

    def fail() -> None:
        calls["retried"] += 1
        raise ValueError

    async def handler(ctx: durable.Context) -> str:
        step = ctx.step
        others = {
            "sleep": lambda: step.sleep("other", "1h"),
            "wait": lambda: step.wait_for_event("other", "test/go", timeout="1h"),
            "executing": lambda: step.run("other", block),
            "retried": lambda: step.run("other", fail),
        }
        quick = asyncio.ensure_future(step.run("quick", str, "quick"))
        slow = asyncio.ensure_future(others[other]())
        await asyncio.wait({quick, slow}, return_when=asyncio.FIRST_COMPLETED)
        return await quick

    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    run = await world.get(run_id)
    assert (run.status, run.result) == ("completed", "quick")
    before = dict(calls)
    await world.send(durable.Event("test/go"))
    await engine.advance("2h")
    run = await world.get(run_id)
    assert (run.result, list(run.steps), dict(calls)) == ("quick", ["quick"], before)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nested", ["'inner'", "test_steps.py:", "'outer'", "'handler'"]),
        ("unawaited", ["'forgotten'", "test_steps.py:", "'handler'"]),
        ("step", ["'bad'", "result.items[1]", "'handler'"]),
        ("result", ["result.items[1]", "'handler'"]),
    ],
)
async def test_what_cannot_work_names_function_step_and_place_and_is_not_tried_again(
    world: Any, kind: str, says: list[str]
) -> None:
    calls: list[str] = []

    async def handler(ctx: durable.Context) -> Any:
        async def outer() -> None:
            calls.append(kind)
            await ctx.step.sleep("inner", 1)

        def items() -> dict[str, list[Any]]:
            calls.append(kind)
            return {"items": [1, object()]}

        if kind == "nested":
            await ctx.step.run("outer", outer)
        elif kind == "unawaited":
            calls.append(kind)
            ctx.step.run("forgotten", items)
        elif kind == "step":
            await ctx.step.run("bad", items)
        return items()

    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1d")
    run = await world.get(run_id)
    assert run.status == "failed"
    assert [word for word in says if word not in run.error.message] == []
    assert calls in ([kind], [kind, kind])
    assert kind == "unawaited" or len(calls) == 1
