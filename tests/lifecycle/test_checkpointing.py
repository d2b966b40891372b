"""`checkpointing`: a handler that goes on before its steps are on disk does what it does without."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import durable
from durable import Checkpointing


pytestmark = pytest.mark.asyncio

SETTINGS = [
    Checkpointing(),
    Checkpointing(buffered_steps=1),
    Checkpointing(buffered_steps=10, max_interval="5ms", max_runtime="10ms"),
    Checkpointing(buffered_steps=1000),
]
each_setting = pytest.mark.parametrize(
    "checkpointing", SETTINGS, ids=["none", "one", "limited", "all"]
)


class Row:
    """Steps in a row, and what was called of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def call(self, name: str) -> str:
        self.calls.append(name)
        return name

    async def steps(self, ctx: durable.Context, letter: str, count: int) -> list[str]:
        names = [f"{letter}{n}" for n in range(count)]
        return [await ctx.step.run(name, self.call, name) for name in names]


@each_setting
async def test_every_step_is_called_once_and_remembered(
    world: Any, checkpointing: Checkpointing
) -> None:
    row = Row()

    async def handler(ctx: durable.Context) -> list[str]:
        first = await row.steps(ctx, "a", 30)
        await ctx.step.sleep("rest", "1h")
        second = await row.steps(ctx, "b", 30)
        both = await asyncio.gather(*(row.steps(ctx, letter, 5) for letter in "cd"))
        return [*first, *second, *both[0], *both[1]]

    world.function(handler, on="test/start", checkpointing=checkpointing)
    await world.open()
    run_id = await world.start()
    assert row.calls == [f"a{n}" for n in range(30)]
    assert len((await world.get(run_id)).steps) == 31, "a run that sleeps is on disk"
    await world.restart()
    await world.engine.advance("1h")
    run = await world.get(run_id)
    assert run.result == [f"{letter}{n}" for letter in "ab" for n in range(30)] + [
        f"{letter}{n}" for letter in "cd" for n in range(5)
    ]
    assert set(Counter(row.calls).values()) == {1}
    assert len(run.steps) == 71


@each_setting
async def test_plain_handlers_too(world: Any, checkpointing: Checkpointing) -> None:
    row = Row()

    def handler(ctx: durable.SyncContext) -> list[str]:
        first = [ctx.step.run(f"a{n}", row.call, f"a{n}") for n in range(10)]
        ctx.step.sleep("rest", "1h")
        return [*first, ctx.step.run("b", row.call, "b")]

    world.function(handler, on="test/start", checkpointing=checkpointing)
    await world.open()
    run_id = await world.start()
    await world.engine.advance("1h")
    names = [*(f"a{n}" for n in range(10)), "b"]
    assert (await world.get(run_id)).result == row.calls == names


@each_setting
async def test_errors_in_steps_and_between_them(
    world: Any, checkpointing: Checkpointing
) -> None:
    row = Row()
    failures: Counter[str] = Counter()

    def shaky(name: str) -> str:
        failures[name] += 1
        assert failures[name] > 1, "the first try fails"
        return row.call(name)

    def bad() -> None:
        text = "never"
        raise durable.NonRetriableError(text)

    async def handler(ctx: durable.Context) -> list[str]:
        first = await row.steps(ctx, "a", 3)
        first.append(await ctx.step.run("shaky", shaky, "shaky"))
        first += await row.steps(ctx, "b", 3)
        shaky("between")
        try:
            await ctx.step.run("bad", bad)
        except durable.StepError as error:
            first.append(error.message)
        return first

    world.function(handler, on="test/start", checkpointing=checkpointing)
    await world.open()
    run_id = await world.start()
    await world.engine.advance("10m")
    run = await world.get(run_id)
    expected = ["a0", "a1", "a2", "shaky", "b0", "b1", "b2", "never"]
    assert (run.status, run.result) == ("completed", expected)
    counts = Counter(name for name in row.calls if name != "between")
    assert set(counts.values()) == {1}
    assert run.steps["shaky"].attempts == 2


@each_setting
async def test_a_run_that_is_called_off_between_steps(
    world: Any, checkpointing: Checkpointing
) -> None:
    """What was not on disk then counts for nothing; code that is ahead hears of it so many steps later at most."""
    row = Row()
    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> None:
        await row.steps(ctx, "a", 5)
        await ctx.step.run("slow", gate.wait)
        await row.steps(ctx, "b", 5)

    world.function(handler, on="test/start", checkpointing=checkpointing)
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start", {}))
    run_id = (await world.run_of(event_id)).id
    while len(row.calls) < 5:  # noqa: ASYNC110  # no event is set where a step is called
        await asyncio.sleep(0)  # noqa: TID251
    assert await engine.runs.cancel(run_id)
    gate.set()
    await world.settle()
    run = await world.get(run_id)
    assert (run.status, list(run.steps)[5:]) == ("cancelled", [])
    most = 0 if world.replay == "always" else checkpointing.buffered_steps
    assert len(row.calls) <= 5 + most


@each_setting
async def test_a_function_that_is_paused_meanwhile(
    world: Any, checkpointing: Checkpointing
) -> None:
    """A pause takes the code away at its next report: the steps that were ahead are executed again."""
    row = Row()
    gate = asyncio.Event()

    async def handler(ctx: durable.Context) -> str:
        await ctx.step.run("slow", gate.wait)
        await row.steps(ctx, "a", 50)
        return "done"

    world.function(handler, on="test/start", checkpointing=checkpointing)
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start", {}))
    run_id = (await world.run_of(event_id)).id
    await engine.functions.pause("handler")
    gate.set()
    await world.settle()
    ahead = len(row.calls)
    assert ahead <= (0 if world.replay == "always" else checkpointing.buffered_steps)
    assert list((await world.get(run_id)).steps) == ["slow"]
    await engine.functions.resume("handler")
    await world.settle()
    assert (await world.get(run_id)).result == "done"
    counts = Counter(row.calls)
    assert [name for name, n in counts.items() if n > 1] == row.calls[:ahead]
    assert len(row.calls) == 50 + ahead


@each_setting
async def test_a_timeout_around_steps(world: Any, checkpointing: Checkpointing) -> None:
    row = Row()

    async def handler(ctx: durable.Context) -> str:
        try:
            async with asyncio.timeout(0.01):
                await row.steps(ctx, "a", 3)
                await asyncio.Event().wait()
        except TimeoutError:
            return (await row.steps(ctx, "b", 1))[0]
        return "no timeout"

    world.function(handler, on="test/start", checkpointing=checkpointing)
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start", {}))
    run_id = (await world.run_of(event_id)).id
    run = await engine.runs.wait(run_id, timeout=30)
    assert (run.status, run.result) == ("completed", "b0")


@each_setting
async def test_a_result_that_is_too_large_fails_the_run_all_the_same(
    world: Any, checkpointing: Checkpointing
) -> None:
    row = Row()

    async def handler(ctx: durable.Context) -> None:
        await row.steps(ctx, "a", 2)
        await ctx.step.run("large", lambda: "x" * 5_000_000)
        await row.steps(ctx, "b", 2000)

    world.function(handler, on="test/start", checkpointing=checkpointing, retries=0)
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "large" in run.error.message


@each_setting
async def test_events_come_behind_the_steps_before_them(
    world: Any, checkpointing: Checkpointing
) -> None:
    """Whoever is started by such an event finds the steps before it remembered."""
    row = Row()
    seen: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        await row.steps(ctx, "a", 7)
        await ctx.step.send_event("tell", durable.Event("test/told", {}))
        await row.steps(ctx, "b", 7)

    async def listener(ctx: durable.Context) -> None:
        runs = await world.engine.runs.list(function="handler")
        seen.append(len((await world.get(runs[0].id)).steps))
        await ctx.step.sleep("rest", "1h")

    world.function(handler, on="test/start", checkpointing=checkpointing)
    world.function(listener, on="test/told")
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "completed"
    assert min(seen) >= 7


# --- a crash

CHILD = """
import asyncio, os, signal, sys
import durable

store, log, buffered, fatal = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
app = durable.App("crash")


def note(number):
    with open(log, "a") as file:
        file.write(f"{number}\\n")
    if number == fatal and not os.path.exists(log + ".died"):
        open(log + ".died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@app.function(on="a", checkpointing=durable.Checkpointing(buffered_steps=buffered))
async def row(ctx):
    return [await ctx.step.run(f"s{n}", note, n) for n in range(40)]


async def main():
    async with durable.Engine(app, store=store) as engine:
        await engine.send(durable.Event("a", {}, id="once"))
        await engine.join()
        (run,) = await engine.runs.list()
        assert run.result == list(range(40)), run


asyncio.run(main())
"""


def run_child(folder: Path, buffered: int, fatal: int) -> int:
    log = str(folder / "log")
    command = [sys.executable, "-c", CHILD, str(folder / "store"), log]
    command += [str(buffered), str(fatal)]
    done = subprocess.run(command, env=dict(os.environ), timeout=60, check=False)  # noqa: S603  # our own
    return done.returncode


@pytest.mark.parametrize("buffered", [0, 1, 4, 10])
@pytest.mark.parametrize("fatal", [0, 3, 25])
async def test_a_killed_process_repeats_so_many_steps_at_most(
    quick_folder: Path, buffered: int, fatal: int
) -> None:
    """Beside the step that executed when it died, at most `buffered_steps`, and in one piece before it."""
    assert await asyncio.to_thread(run_child, quick_folder, buffered, fatal) == -9
    assert await asyncio.to_thread(run_child, quick_folder, buffered, fatal) == 0
    calls = [int(line) for line in (quick_folder / "log").read_text().split()]
    counts = Counter(calls)
    repeated = sorted(number for number, times in counts.items() if times > 1)
    assert set(counts) == set(range(40))
    assert max(counts.values()) == 2
    assert repeated == list(range(fatal + 1 - len(repeated), fatal + 1))
    assert 1 <= len(repeated) <= buffered + 1
