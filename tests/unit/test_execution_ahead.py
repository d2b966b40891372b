"""Code that goes on before its steps are on disk: how far, and what a crash then repeats."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import durable
from durable import Checkpointing


pytestmark = pytest.mark.asyncio


class Row:
    """A handler of steps in a row, and how often each was called."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.calls: list[int] = []

    def call(self, number: int) -> int:
        self.calls.append(number)
        return number

    async def handler(self, ctx: durable.Context) -> list[int]:
        return [await ctx.step.run(f"s{n}", self.call, n) for n in range(self.count)]

    def plain_handler(self, ctx: durable.SyncContext) -> list[int]:
        return [ctx.step.run(f"s{n}", self.call, n) for n in range(self.count)]


async def begin(bench: Any, handler: Any, buffered: int, **limits: Any) -> str:
    """A run whose reports all wait for the disk."""
    bench.functions.clear()
    setting = Checkpointing(buffered_steps=buffered, **limits)
    bench.add(handler, checkpointing=setting, retries=4)
    bench.core.hold()
    run: str = await bench.start()
    return run


async def commit(bench: Any, count: int | None = None) -> None:
    bench.core.commit(count)
    bench.worker._schedule()
    await bench.settle()


@pytest.mark.parametrize("buffered", [0, 1, 3, 10])
async def test_it_goes_on_with_so_many_results_and_no_more(
    live: Any, buffered: int
) -> None:
    """Behind n results that are not on disk one more step executes, and its result is waited for."""
    row = Row(20)
    run = await begin(live, row.handler, buffered)
    assert len(row.calls) == buffered + 1
    await commit(live, 1)
    assert len(row.calls) == buffered + 2
    for _ in range(5):
        await commit(live, 1)
    assert len(row.calls) == buffered + 7
    await commit(live)
    assert live.result(run) == row.calls == list(range(20))


@pytest.mark.parametrize("buffered", [0, 1, 3, 10])
@pytest.mark.parametrize("saved", range(4))
async def test_a_crash_repeats_what_is_not_on_disk_and_nothing_else(
    live: Any, buffered: int, saved: int
) -> None:
    row = Row(20)
    run = await begin(live, row.handler, buffered)
    for _ in range(saved):
        await commit(live, 1)
    before = len(row.calls)
    await live.restart()
    assert live.result(run) == list(range(20))
    counts = Counter(row.calls)
    repeated = [number for number, times in counts.items() if times > 1]
    assert repeated == list(range(saved, before)), (
        "in order, from the first that is not"
    )
    assert max(counts.values()) == 2
    assert len(repeated) == buffered + 1, "so many, and the one that was waited for"


async def test_with_replay_always_it_counts_as_none(bench: Any) -> None:
    row = Row(5)
    run = await begin(bench, row.handler, 3)
    assert len(row.calls) == (1 if bench.forgets else 4)
    await commit(bench)
    assert bench.result(run) == row.calls == list(range(5))


async def test_a_plain_handler_goes_on_too(live: Any) -> None:
    row = Row(6)
    run = await begin(live, row.plain_handler, 3)
    async with asyncio.timeout(10):
        while len(row.calls) < 4:  # noqa: ASYNC110  # threads set no event
            await asyncio.sleep(0.001)  # noqa: TID251
    await live.settle()
    assert row.calls == [0, 1, 2, 3]
    await commit(live)
    await live.settle_threads(run)
    assert live.result(run) == row.calls == list(range(6))


@pytest.mark.parametrize("what", ["sleep", "wait", "invoke", "parallel", "end", "fail"])
async def test_what_others_see_comes_behind_all_before_it(live: Any, what: str) -> None:
    """Reports are taken in order: nothing of it is on disk before the steps before it are."""
    row = Row(2)

    async def handler(ctx: durable.Context) -> None:
        await row.handler(ctx)
        match what:
            case "sleep":
                await ctx.step.sleep("rest", "1h")
            case "wait":
                await ctx.step.wait_for_signal("w", "go", timeout="1h")
            case "invoke":
                await ctx.step.invoke("i", "child")
            case "parallel":
                await asyncio.gather(*(ctx.step.run(f"p{n}", str) for n in range(2)))
            case "fail":
                raise durable.NonRetriableError(what)
            case _:
                pass

    run = await begin(live, handler, 10)
    kinds = [op[0] for report in live.core.reports for op in report[3]]
    assert kinds[:2] == [0, 0]
    expected = {"parallel": 4, "end": 2, "fail": 2}.get(what, 3)
    assert len(kinds) == expected, "an end is not even reported before"
    numbers = [report[2] for report in live.core.reports]
    assert numbers == list(range(min(expected, 3)))
    assert live.core.runs[run].memos == []
    assert live.core.runs[run].stretch == "executing", (
        "it has its slot till all is saved"
    )
    live.core.commit(2)
    assert len(live.core.runs[run].memos) == 2


async def test_a_run_parks_once_all_before_its_sleep_is_on_disk(live: Any) -> None:
    row = Row(3)

    async def handler(ctx: durable.Context) -> list[int]:
        await ctx.step.sleep("first", "1h")
        done = await row.handler(ctx)
        await ctx.step.sleep("rest", "1h")
        return done

    run = await begin(live, handler, 10)
    await commit(live)
    await live.advance(3_600_000)
    assert live.core.runs[run].stretch == "parked"
    assert len(live.core.runs[run].memos) == 4
    await live.advance(3_600_000)
    assert live.result(run) == row.calls == [0, 1, 2]


@pytest.mark.parametrize("outward", ["send", "publish"])
async def test_a_step_that_sends_waits_for_all_before_it(
    live: Any, outward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    async def say(*_: Any) -> Any:
        sent.append(outward)
        return ["id"] if outward == "send" else "id"

    monkeypatch.setattr(live.worker, "send", say)
    monkeypatch.setattr(live.worker, "publish", say)
    row = Row(3)

    async def handler(ctx: durable.Context) -> None:
        await row.handler(ctx)
        if outward == "send":
            await ctx.step.send_event("tell", durable.Event("a/b", {}))
        else:
            await ctx.publish("channel", "topic")
        await ctx.step.run("after", row.call, 3)

    run = await begin(live, handler, 10)
    assert (row.calls, sent) == ([0, 1, 2], [])
    await commit(live, 2)
    assert sent == []
    await commit(live, 1)
    assert (row.calls, sent) == ([0, 1, 2, 3], [outward])
    await commit(live)
    assert live.result(run) is None


async def test_a_step_that_fails_is_waited_for_and_tried_again(live: Any) -> None:
    row = Row(3)
    tries: list[int] = []

    def shaky() -> str:
        tries.append(1)
        assert len(tries) > 1
        return "ok"

    async def handler(ctx: durable.Context) -> list[Any]:
        first = await row.handler(ctx)
        middle = await ctx.step.run("shaky", shaky)
        return [*first, middle, await ctx.step.run("last", row.call, 9)]

    run = await begin(live, handler, 10)
    assert (row.calls, len(tries)) == ([0, 1, 2], 1)
    await commit(live)
    await live.advance(1000)
    assert live.result(run) == [0, 1, 2, "ok", 9]
    assert (row.calls, len(tries)) == ([0, 1, 2, 9], 2)


async def test_a_step_that_failed_for_good_raises_once_that_is_known(live: Any) -> None:
    row = Row(2)

    def bad() -> None:
        text = "never"
        raise durable.NonRetriableError(text)

    async def handler(ctx: durable.Context) -> str:
        await row.handler(ctx)
        try:
            await ctx.step.run("bad", bad)
        except durable.StepError as error:
            return error.message
        return "not raised"

    run = await begin(live, handler, 10)
    await commit(live)
    assert live.result(run) == "never"
    assert row.calls == [0, 1]


async def test_a_handler_that_fails_is_called_again_with_what_was_saved(
    live: Any,
) -> None:
    row = Row(3)
    tries: list[int] = []

    async def handler(ctx: durable.Context) -> int:
        await row.handler(ctx)
        tries.append(1)
        assert len(tries) > 1
        return len(tries)

    run = await begin(live, handler, 10)
    await commit(live)
    await live.advance(1000)
    assert live.result(run) == 2
    assert row.calls == [0, 1, 2]


async def test_chains_in_parallel_are_ahead_by_so_many_together(live: Any) -> None:
    """What is planned has slots of its own; steps that follow alone count for the whole run."""
    calls: list[str] = []
    gates = [asyncio.Event(), asyncio.Event()]

    async def chain(ctx: durable.Context, letter: str, gate: asyncio.Event) -> str:
        await gate.wait()
        for n in range(4):
            await ctx.step.run(f"{letter}{n}", calls.append, f"{letter}{n}")
        return letter

    async def handler(ctx: durable.Context) -> list[str]:
        return await asyncio.gather(
            chain(ctx, "a", gates[0]), chain(ctx, "b", gates[1])
        )

    run = await begin(live, handler, 2)
    gates[0].set()
    await live.settle()
    assert calls == ["a0", "a1", "a2"]
    gates[1].set()
    await live.settle()
    assert calls == ["a0", "a1", "a2", "b0"], "each chain waits at its own step"
    await commit(live)
    assert live.result(run) == ["a", "b"]
    assert sorted(calls) == [f"{letter}{n}" for letter in "ab" for n in range(4)]


async def test_code_that_gives_a_step_up_while_it_is_held_up(live: Any) -> None:
    row = Row(0)

    async def handler(ctx: durable.Context) -> str:
        await ctx.step.run("a", row.call, 1)
        task = asyncio.ensure_future(ctx.step.run("b", row.call, 2))
        for _ in range(5):
            await asyncio.sleep(0)  # noqa: TID251
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await ctx.step.run("c", row.call, 3)
        return "done"

    run = await begin(live, handler, 1)
    assert row.calls == [1, 2, 3]
    await commit(live)
    assert live.result(run) == "done"


async def test_a_run_that_is_taken_away_meanwhile_is_repeated_from_what_is_saved(
    live: Any,
) -> None:
    row = Row(6)
    run = await begin(live, row.handler, 2)
    await commit(live, 1)
    live.core.held = None
    live.core.runs[run].is_live = False
    live.core._say(6, run, live.core.runs[run].epoch)
    live.core.runs[run].stretch = "queued"
    live.worker._schedule()
    await live.settle()
    live.core._offer()
    live.worker._schedule()
    await live.settle()
    assert live.result(run) == list(range(6))
    counts = Counter(row.calls)
    assert [number for number, times in counts.items() if times > 1] == [1, 2, 3]


async def test_an_old_result_holds_it_up(live: Any) -> None:
    now = [0.0]
    live.worker.clock = lambda: now[0]
    row = Row(8)

    def slow(number: int) -> int:
        now[0] += 1
        return row.call(number)

    async def handler(ctx: durable.Context) -> None:
        for n in range(8):
            await ctx.step.run(f"s{n}", slow, n)

    run = await begin(live, handler, 10, max_interval="3s")
    assert row.calls == [0, 1, 2, 3], "the first is 3 s old when the fourth returns"
    await commit(live, 2)
    assert row.calls == [0, 1, 2, 3, 4, 5]
    await commit(live)
    assert live.result(run) is None


async def test_after_the_runtime_it_waits_once(live: Any) -> None:
    now = [0.0]
    live.worker.clock = lambda: now[0]
    row = Row(9)

    def slow(number: int) -> int:
        now[0] += 1
        return row.call(number)

    async def handler(ctx: durable.Context) -> None:
        for n in range(9):
            await ctx.step.run(f"s{n}", slow, n)

    run = await begin(live, handler, 10, max_runtime="3s")
    assert row.calls == [0, 1, 2]
    await commit(live, 2)
    assert row.calls == [0, 1, 2], "all is to be on disk"
    await commit(live, 1)
    assert row.calls == [0, 1, 2, 3, 4, 5]
    await commit(live)
    assert live.result(run) is None
    assert row.calls == list(range(9))


async def test_closing_waits_until_all_is_on_disk(live: Any) -> None:
    row = Row(3)

    async def handler(ctx: durable.Context) -> None:
        await row.handler(ctx)
        await ctx.step.sleep("rest", "1h")

    run = await begin(live, handler, 10)
    closing = asyncio.ensure_future(live.worker.settle(10))
    await live.settle()
    assert not closing.done()
    await commit(live)
    await closing
    assert len(live.core.runs[run].memos) == 3
