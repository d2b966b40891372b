"""The application that the process campaigns kill: it writes down outside of the store all that is promised.

`shop.py STORE JOURNAL --first N --events M [--resend N,N]` sends M events and executes what comes of them,
until it is killed or, with `--until-idle`, until nothing is left to do.

The journal is for kills of the process only, so it is never synced. One line for each fact:
sending n | sent n event | call run step attempt token | end run step | knows run step value |
asleep run step ms | woke run step ms | result run status value
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import durable


app = durable.App("shop")
placed: durable.EventType[Any] = durable.EventType("shop/placed")
slow_start = durable.Retries(
    4, backoff=durable.Backoff(("20ms", "60ms"), jitter="20ms")
)
_journal = -1


def open_journal(path: Path) -> None:
    """Once for each process; `-` is the standard output."""
    global _journal  # noqa: PLW0603  # every step writes to it
    if str(path) == "-":
        _journal = 1
        return
    _journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(*words: object) -> None:
    """One fact, in one system call."""
    line = "\t".join((str(os.getpid()), *map(str, words)))
    os.write(_journal, f"{line}\n".encode())


def now_ms() -> int:
    """The wall clock, as the engine's default clock has it."""
    return time.time_ns() // 1_000_000


class Step:
    """A step's function: it says when it is called, and gives a value that no second call can give."""

    def __init__(self, ctx: Any, name: str, *, failures: int = 0) -> None:
        self.ctx, self.name, self.failures = ctx, name, failures

    def call(self) -> str:
        """Do it."""
        step = self.ctx.step
        note("call", self.ctx.run_id, self.name, self.ctx.attempt, step.token)
        if self.ctx.attempt < self.failures:
            message = "not yet"
            raise RuntimeError(message)
        note("end", self.ctx.run_id, self.name)
        return uuid.uuid4().hex

    async def wait(self) -> str:
        """Do it, and be in flight for a while."""
        await asyncio.sleep(random.random() * 0.01)
        return self.call()


def knows(ctx: Any, name: str, value: str) -> str:
    """The code went on with this result: from here on the step is never called again."""
    note("knows", ctx.run_id, name, value)
    return value


@app.function(on=placed, retries=slow_start)
async def fulfil(ctx: durable.Context[Any]) -> list[str]:
    """A step alone, a sleep, two at once, and one that fails twice."""
    charge = knows(
        ctx, "charge", await ctx.step.run("charge", Step(ctx, "charge").wait)
    )
    length_ms = 10 + 40 * (ctx.event.data["n"] % 5)
    note("asleep", ctx.run_id, "rest", now_ms() + length_ms)
    await ctx.step.sleep("rest", length_ms / 1000)
    note("woke", ctx.run_id, "rest", now_ms())
    pair = await asyncio.gather(
        ctx.step.run("pack", Step(ctx, "pack").wait),
        ctx.step.run("label", Step(ctx, "label").call),
    )
    both = [
        knows(ctx, name, value)
        for name, value in zip(("pack", "label"), pair, strict=True)
    ]
    flaky = await ctx.step.run("ship", Step(ctx, "ship", failures=2).call)
    return [charge, *both, knows(ctx, "ship", flaky)]


@app.function(on=placed, retries=slow_start)
def audit(ctx: durable.SyncContext[Any]) -> list[str]:
    """A plain function on a thread."""
    read = knows(ctx, "read", ctx.step.run("read", Step(ctx, "read").call))
    return [read, knows(ctx, "file", ctx.step.run("file", Step(ctx, "file").call))]


@app.function(on=placed, retries=slow_start, concurrency=2)
async def narrow(ctx: durable.Context[Any]) -> list[str]:
    """At most two at any instant, across crashes."""
    return [knows(ctx, "pass", await ctx.step.run("pass", Step(ctx, "pass").wait))]


async def send(engine: durable.Engine, numbers: list[int]) -> list[str]:
    """Events with ids of their sender, so that one sent again is still one."""
    for number in numbers:
        note("sending", number)
    sent = await engine.send([placed.event({"n": n}, id=f"order-{n}") for n in numbers])
    for number, event in zip(numbers, sent, strict=True):
        note("sent", number, event)
    return sent


async def look(engine: durable.Engine, event: str) -> None:
    """Wait for the runs of an event and write down what was seen."""
    for run in await engine.events.runs(event):
        ended = await engine.runs.wait(run.id)
        note("result", run.id, ended.status, "".join(ended.result or ()))


async def main() -> None:
    """Send, look at some results, and go on until the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--resend", default="")
    parser.add_argument("--until-idle", action="store_true")
    chosen = parser.parse_args()
    open_journal(chosen.journal)
    async with durable.Engine(app, store=chosen.store, grace="1s") as engine:
        note("open")
        again = [int(number) for number in chosen.resend.split(",") if number]
        if again:
            await send(engine, again)
        async with asyncio.TaskGroup() as tasks:
            at, behind = chosen.first, chosen.first + chosen.events
            while at < behind:
                numbers = list(range(at, min(behind, at + random.randrange(1, 4))))
                sent = await send(engine, numbers)
                tasks.create_task(look(engine, sent[0]))
                at += len(numbers)
                await asyncio.sleep(random.random() * 0.02)
            if not chosen.until_idle:
                await asyncio.Event().wait()
        await engine.join()
        note("closing")
    note("closed")


if __name__ == "__main__":
    # A shell's background job, and so a whole test run, may hand down Ctrl-C as ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main())
    sys.exit(0)
