"""The worker hands everything over once a pass, and nothing it is told gets lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def one(ctx: durable.Context) -> int:
    return await ctx.step.run("one", lambda: 1)


async def test_reports_of_many_runs_cross_together(live: Any) -> None:
    submits: list[int] = []
    real = live.core.submit

    def counted(sends: Any, invokes: Any, reports: Any, *rest: Any) -> int:
        submits.append(len(reports))
        return real(sends, invokes, reports, *rest)

    live.core.submit = counted
    live.add(one)
    for _ in range(30):
        live.core._start(0, ("a", b"{}", None, None, None, None))
    live.core._offer()
    live.worker._schedule()
    await live.settle()
    assert submits == [30, 30]


async def test_slow_code_hands_over_what_it_has_done(
    live: Any, monkeypatch: Any
) -> None:
    """A process that dies again and again at its thousandth step has kept those before."""
    now = 0.0
    done = 0
    unreported: list[int] = []

    def slow() -> int:
        nonlocal now, done
        now += 0.1
        done += 1
        unreported.append(done - reported)
        return 1

    async def handler(ctx: durable.Context) -> int:
        return await ctx.step.run("slow", slow)

    reported = 0
    real = live.core.submit

    def counted(sends: Any, invokes: Any, reports: Any, *rest: Any) -> int:
        nonlocal reported
        reported += len(reports)
        return real(sends, invokes, reports, *rest)

    live.core.submit = counted
    monkeypatch.setattr("durable._worker.time.monotonic", lambda: now)
    live.add(handler)
    for _ in range(1000):
        live.core._start(0, ("a", b"{}", None, None, None, None))
    live.core._offer()
    live.worker._schedule()
    await live.settle(5000)
    assert done == 1000
    assert max(unreported) <= 2


async def test_work_that_came_as_a_difference_to_nothing_is_asked_for_whole(
    live: Any,
) -> None:
    async def handler(ctx: durable.Context) -> str:
        before = await ctx.step.run("before", lambda: "a")
        await ctx.step.sleep("rest", "1h")
        return before + "b"

    run = await live.start(handler)
    live.worker.runs.pop(run).drop()
    await live.advance(3_600_000)
    assert live.result(run) == "ab"


async def test_a_run_that_is_taken_away_is_dropped(live: Any) -> None:
    ended: list[str] = []

    async def handler(ctx: durable.Context) -> None:
        try:
            await ctx.step.run("slow", asyncio.Event().wait)
        finally:
            ended.append("dropped")

    run = await live.start(handler)
    live.core._say(6, run, live.core.runs[run].epoch)
    await live.settle()
    assert ended == ["dropped"]
    assert live.worker.runs == {}


async def test_a_run_ended_by_the_engine_is_dropped(live: Any) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("slow", asyncio.Event().wait)

    run = await live.start(handler)
    live.core._end(live.core.runs[run], "failed", b"{}")
    await live.settle()
    assert live.worker.runs == {}


async def test_a_process_told_to_end_keeps_what_it_was_given(live: Any) -> None:
    """The other items of the same pass are taken at the next one."""
    taken: list[int] = []

    def take(item: tuple[int, int]) -> None:
        if item[1] == 1:
            raise KeyboardInterrupt
        taken.append(item[1])

    live.worker._takers[99] = take
    with pytest.raises(KeyboardInterrupt):
        live.worker._take([(99, n) for n in range(4)])
    live.worker._schedule()
    await live.settle(2)
    assert taken == [0, 2, 3]


async def test_draining_starts_nothing_new(live: Any) -> None:
    calls: list[str] = []
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        calls.append("slow")

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("slow", slow)
        await ctx.step.run("next", calls.append, "next")

    run = await live.start(handler)
    settling = asyncio.ensure_future(live.worker.settle(10))
    await live.settle(3)
    assert not settling.done()
    gate.set()
    await settling
    assert calls == ["slow"]
    assert [memo[0] for memo in live.core.runs[run].memos] == ["slow"]
