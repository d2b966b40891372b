"""What a run's code may rely on when it is called again: in another process, or after a change of code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable

from .conftest import Bench


pytestmark = pytest.mark.asyncio


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


def messages(caplog: Any) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("durable.run")]


async def test_the_logger_speaks_again_beyond_a_step_that_is_gone(
    bench: Any, caplog: Any
) -> None:
    is_new = False

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("one", lambda: 1)
        if not is_new:
            await ctx.step.run("gone", lambda: 1)
        ctx.logger.warning("again" if is_new else "before")
        await ctx.step.sleep("rest", "1h")
        ctx.logger.warning("tail")

    await bench.start(handler)
    is_new = True
    await bench.restart()
    await bench.advance(3_600_000)
    assert messages(caplog) == ["before", "tail"]


async def test_the_logger_speaks_again_from_the_first_new_step(
    live: Any, caplog: Any
) -> None:
    """Where what was recorded last is gone, nothing else says that all was gone through."""
    is_new = False

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest" if is_new else "gone", "1h")
        ctx.logger.warning("tail")

    await live.start(handler)
    await live.restart()
    is_new = True
    await live.advance(3_600_000)
    await live.advance(3_600_000)
    assert messages(caplog) == ["tail"]


async def test_the_logger_repeats_nothing_of_parallel_code(
    bench: Any, caplog: Any
) -> None:
    async def handler(ctx: durable.Context) -> None:
        async def chain(name: str, length: str) -> None:
            ctx.logger.warning("%s begins", name)
            await ctx.step.sleep(f"rest {name}", length)
            ctx.logger.warning("%s goes on", name)
            await ctx.step.run(f"last {name}", lambda: name)

        await asyncio.gather(chain("slow", "2h"), chain("quick", "1h"))
        ctx.logger.warning("both")
        await ctx.step.sleep("rest", "1h")

    await bench.start(handler)
    for _ in range(4):
        await bench.restart()
        await bench.advance(3_600_000)
    assert messages(caplog) == [
        "slow begins",
        "quick begins",
        "quick goes on",
        "slow goes on",
        "both",
    ]


@pytest.mark.parametrize("is_first", [True, False])
async def test_code_that_comes_to_another_step_when_it_is_called_again_at_once(
    *, is_first: bool
) -> None:
    """It is told so at the first replay, and not after a thousand executions."""
    replayed = Bench(forgets=True)
    made: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        if not is_first:
            await ctx.step.run("reserve", str)
        made.append(len(made))
        await ctx.step.run(f"charge {len(made)}", str)

    run = await replayed.start(handler)
    error = replayed.error(run)
    replayed.worker.close()
    assert error["name"] == "NonDeterminismError"
    assert "came to step 'charge 2' (" in error["message"]
    assert "came to step 'charge 1', which is recorded" in error["message"]
    assert len(made) == 2


async def test_tasks_that_take_turns_are_no_other_steps() -> None:
    replayed = Bench(forgets=True)

    async def handler(ctx: durable.Context) -> list[list[str]]:
        async def branch(name: str, turns: int) -> list[str]:
            done: list[str] = []
            for number in range(3):
                for _ in range(turns):
                    await asyncio.sleep(0)  # noqa: TID251
                done.append(await ctx.step.run(f"{name}{number}", lambda: name))
            return done

        return await asyncio.gather(branch("a", 0), branch("b", 3))

    run = await replayed.start(handler)
    await replayed.settle(1000)
    assert replayed.result(run) == [["a"] * 3, ["b"] * 3]
    replayed.worker.close()
