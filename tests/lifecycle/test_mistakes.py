"""What is told of each mistake that users make: what is wrong, where, and what to do. The whole message, word by word.

The mistakes themselves are in `mistakes.py` and beside it, those about the world outside of steps here. `docs/mistakes.md` shows all of them.
"""

# ruff: noqa: ARG001, S311, TID251  # these calls are the mistakes

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import randint
from typing import Any

import pytest

import durable
from durable.cli.explain import explain

from . import mistakes_declared, mistakes_of_habit
from .mistakes import MISTAKES, Mistake, charge, failing, mistake, same


assert mistakes_declared.mistake is mistakes_of_habit.mistake is mistake
PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
AGAIN = "the handler is called again after a restart, and is then given something else. Put it into a step, which is remembered: "


# --- the time and chance between steps


async def in_replays(world: Any, handler: Any) -> tuple[str, str]:
    world.replay = "always"
    return await failing(world, handler)


@mistake(
    "DUR-0203",
    f"function 'fulfil' calls time.time() between steps (shop.py:12): {AGAIN}await ctx.step.run('now', time.time)",
)
async def the_time_between_steps(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> float:
        await ctx.step.run("charge", charge)
        return time.time()

    return await in_replays(world, fulfil)


@mistake(
    "DUR-0203",
    f"function 'fulfil' calls datetime.now() between steps (shop.py:12): {AGAIN}datetime.fromtimestamp(await ctx.step.run('now', "
    "time.time), UTC)",
)
async def the_date_between_steps(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> str:
        return dt.datetime.now(dt.UTC).isoformat()

    return await in_replays(world, fulfil)


@mistake(
    "DUR-0203",
    f"function 'fulfil' calls random.randint() between steps (shop.py:12): {AGAIN}await ctx.step.run('chance', random.randint, "
    "...)",
)
async def chance_between_steps(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        try:
            await asyncio.sleep(randint(0, 0))
        except durable.DurableError:  # it ends the run nevertheless
            await ctx.step.run("charge", charge)

    return await in_replays(world, fulfil)


@mistake(
    "DUR-0203",
    f"function 'fulfil' calls uuid.uuid4() between steps (shop.py:12): {AGAIN}ctx.step.run('id', lambda: str(uuid.uuid4()))",
)
async def a_new_id_between_steps(world: Any) -> Any:
    def fulfil(ctx: durable.SyncContext) -> Any:
        ctx.step.run("charge", str, "o1")
        return str(uuid.uuid4())

    return await in_replays(world, fulfil)


@pytest.mark.asyncio
async def test_what_is_asked_inside_steps_or_from_a_seed_is_no_mistake(
    world: Any,
) -> None:
    def draw() -> list[object]:
        return [random.random(), time.time(), str(uuid.uuid4())]

    async def fulfil(ctx: durable.Context) -> Any:
        first = random.Random(7).random()
        ctx.logger.info("a record has the time")
        asyncio.get_running_loop().time()
        drawn = await ctx.step.run("draw", draw)
        await ctx.step.sleep("rest", "1h")
        return [first, *drawn]

    world.function(fulfil, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("2h")
    run = await world.get(run_id)
    assert run.result == [random.Random(7).random(), *run.steps["draw"].result]


@pytest.mark.asyncio
async def test_a_moment_that_passes_meanwhile_is_no_mistake(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def fulfil(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        await ctx.step.sleep_until("until", ctx.event.data["at"])
        return "awake"

    world.function(fulfil, on="test/start")
    engine = await world.open()
    run_id = await world.start(data={"at": engine.now_ms() + 1000})
    await engine.advance("1h")
    assert (await world.get(run_id)).result == "awake"
    assert caplog.text == ""


# --- a blocked loop


class Told(logging.Handler):
    """Lets what blocks go on once it has been told of."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "event loop" in record.getMessage():
            self.event.set()


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    logging.getLogger("durable").addHandler(handler)
    yield handler
    logging.getLogger("durable").removeHandler(handler)


@mistake(
    "DUR-0800",
    "function 'fulfil', run RUN: step 'charge' has kept the event loop for 0.5 s so far: no other run, step or request "
    "of this process goes on meanwhile. It is at shop.py:12, in pay:",
    "    answered.wait(60)",
    "  Let a thread do it, as in ctx.step.options(blocking=True).run(...), or await something that does not block (DUR-0800; "
    "Engine(blocked_after=None) says nothing)",
)
async def a_blocked_loop(world: Any) -> Any:
    return await blocking(world, in_step=True)


@mistake(
    "DUR-0800",
    "function 'fulfil', run RUN: its handler, between steps, has kept the event loop for 0.5 s so far: no other run, step "
    "or request of this process goes on meanwhile. It is at shop.py:12, in pay:",
    "    answered.wait(60)",
    "  Let a thread do it, as in ctx.step.options(blocking=True).run(...), or await something that does not block (DUR-0800; "
    "Engine(blocked_after=None) says nothing)",
)
async def a_blocked_loop_between_steps(world: Any) -> Any:
    return await blocking(world, in_step=False)


async def blocking(world: Any, *, in_step: bool) -> tuple[str, str]:
    answered = world.told.event

    def pay() -> None:
        answered.wait(60)

    async def fulfil(ctx: durable.Context) -> None:
        if in_step:
            await asyncio.gather(ctx.step.run("charge", pay))
        elif not answered.is_set():
            pay()

    world.function(fulfil, on="test/start")
    await world.open(blocked_after="10ms")
    assert (await world.get(await world.start())).status == "completed"
    (warning,) = world.warnings()
    return "DUR-0800", warning


# --- all of them


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("one", MISTAKES, ids=lambda one: one.name)
async def test_what_is_told_of_a_mistake(
    world: Any, one: Mistake, caplog: pytest.LogCaptureFixture, told: Told
) -> None:
    world.warnings = lambda: [
        r.getMessage() for r in caplog.records if r.name == "durable"
    ]
    world.told = told
    code, message = await one.make(world)
    assert (code, same(message)) == (one.code, one.message)


@pytest.mark.parametrize("code", sorted({one.code for one in MISTAKES}))
def test_each_code_is_explained(code: str) -> None:
    found = explain(code)
    assert found.code == code
    assert found.meaning
    assert found.remedy


def test_the_page_shows_the_real_messages() -> None:
    """Each in a block of its own behind its code."""
    page = PAGE.read_text()
    shown = re.findall(
        r"^`(DUR-\d{4})`\n\n```text\n(.*?)\n```$", page, re.DOTALL | re.MULTILINE
    )
    assert sorted(shown) == sorted((one.code, one.message) for one in MISTAKES)
