"""What code may await beside steps: its slot is kept, and what is called off is called off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable
from durable._execution import LiveRun


pytestmark = pytest.mark.asyncio


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


async def test_code_that_was_looked_at_before_its_tasks_began_is_looked_at_again(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that was due already may come between a handler's call and the first step of its tasks."""
    start = LiveRun.start

    def start_and_look(run: LiveRun) -> None:
        start(run)
        bench.worker._decide()

    monkeypatch.setattr(LiveRun, "start", start_and_look)

    async def handler(ctx: durable.Context) -> str:
        sleeps = (ctx.step.sleep("a", 1), ctx.step.sleep("b", 1))
        await asyncio.gather(*sleeps, ctx.step.run("c", lambda: 1))
        return "ok"

    run = await bench.start(handler)
    assert bench.core.runs[run].stretch == "parked"
    await bench.restart()
    await bench.advance(1000)
    assert bench.result(run) == "ok"


async def test_a_step_in_a_task_that_nobody_awaits_is_told_of(
    live: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tasks: list[Any] = []
    has_come = asyncio.Event()

    async def handler(ctx: durable.Context) -> str:
        async def later() -> None:
            has_come.set()
            await ctx.step.sleep("pause", "1h")
            await ctx.step.run("mail", lambda: "sent")

        tasks.append(asyncio.create_task(later()))
        await ctx.step.run("first", has_come.wait)
        return "ok"

    run = await live.start(handler)
    await live.settle()
    assert live.result(run) == "ok"
    [said] = [record.getMessage() for record in caplog.records]
    assert "its handler returned, and step 'pause' (" in said
    assert "test_execution_awaits.py:" in said
    assert "was under way in a task that nobody had awaited" in said


async def test_a_task_that_comes_to_a_step_after_its_handler_is_told_of(
    live: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tasks: list[Any] = []

    async def handler(ctx: durable.Context) -> str:
        async def later() -> None:
            await ctx.step.run("mail", lambda: "sent")

        tasks.append(asyncio.create_task(later()))
        return "ok"

    run = await live.start(handler)
    await live.settle()
    assert live.result(run) == "ok"
    assert "step 'mail' (" in caplog.text
    assert "was come to after that in a task that nobody had awaited" in caplog.text


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_who_loses_a_race_is_not_told_of(
    live: Any, caplog: pytest.LogCaptureFixture, *, is_cancelled: bool
) -> None:
    async def handler(ctx: durable.Context) -> str:
        async def slow() -> None:
            await asyncio.Event().wait()

        other = (
            ctx.step.run("slow", slow) if is_cancelled else ctx.step.sleep("slow", "1h")
        )
        quick = asyncio.ensure_future(ctx.step.run("quick", lambda: "quick"))
        rest = asyncio.ensure_future(other)
        await asyncio.wait({quick, rest}, return_when=asyncio.FIRST_COMPLETED)
        if is_cancelled:
            rest.cancel()
        return quick.result()

    run = await live.start(handler)
    await live.settle()
    assert live.result(run) == "quick"
    assert caplog.text == ""
