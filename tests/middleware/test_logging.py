"""What is promised of logging: each line says which run, step and try it is of, and none is there twice."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from typing_extensions import override

import durable
from durable.logging import RunFilter, fields


pytestmark = pytest.mark.asyncio


class Kept(logging.Handler):
    """Keeps what passes its filters."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        known: Any = record
        self.lines.append((record.getMessage(), known.step_id, known.attempt))


@pytest.fixture
def kept() -> Any:
    kept = Kept()
    kept.addFilter(RunFilter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.INFO)
    yield kept
    root.removeHandler(kept)
    root.setLevel(level)


def said(kept: Kept) -> list[Any]:
    return [line for line in kept.lines if not line[0].startswith("function")]


EXPECTED = [
    ("begin", None, 0),
    ("trying", "a", 0),
    ("trying", "a", 1),
    ("between", None, 0),
    ("trying", "b", 0),
    ("end", None, 0),
]


@pytest.mark.parametrize("own", [True, False], ids=["ctx.logger", "any logger"])
async def test_each_line_is_there_once_and_says_whose_it_is(
    world: Any,
    kept: Kept,
    own: bool,  # noqa: FBT001  # a case
) -> None:
    library = logging.getLogger("library")
    tries: list[int] = []

    def work(log: Any) -> None:
        log.info("trying")
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("busy")

    async def handler(ctx: durable.Context) -> None:
        log = ctx.logger if own else library
        log.info("begin")
        await ctx.step.run("a", work, log)
        await ctx.step.sleep("rest", "1h")
        log.info("between")
        await ctx.step.options(blocking=True).run("b", work, log)
        log.info("end")

    world.function(handler, on="test/start")
    engine = await world.open()
    await world.start()
    await engine.advance("1d")
    async with asyncio.timeout(10):
        await engine.join()
    assert said(kept) == EXPECTED


async def test_a_plain_handlers_lines_say_so_too(world: Any, kept: Kept) -> None:
    library = logging.getLogger("library")

    def work() -> None:
        library.info("trying")

    def handler(ctx: durable.SyncContext) -> None:
        library.info("begin")
        ctx.step.run("a", work)
        ctx.step.sleep("rest", "1h")
        library.info("end")

    world.function(handler, on="test/start")
    engine = await world.open()
    await world.start()
    await engine.advance("1d")
    async with asyncio.timeout(10):
        await engine.join()
    assert said(kept) == [("begin", None, 0), ("trying", "a", 0), ("end", None, 0)]


async def test_fields_are_those_of_the_code_that_asks(world: Any) -> None:
    async def handler(ctx: durable.Context) -> Any:
        return [fields(), await ctx.step.run("a", fields)]

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    between, inside = (await world.get(run_id)).result
    known = {"run_id": run_id, "function_id": "handler", "attempt": 0}
    assert between == {**known, "step_id": None}
    assert inside == {**known, "step_id": "a"}
    assert fields() == {}


async def test_outside_of_runs_a_record_has_them_empty(kept: Kept) -> None:
    logging.getLogger("library").info("hello")
    assert kept.lines == [("hello", None, None)]


class Telling(durable.Middleware):
    """Logs each end, plain or awaited."""

    @override
    async def finished(self, end: durable.middleware.Finished) -> None:
        logging.getLogger("library").info("ended: %s", end.status)


@pytest.mark.parametrize("plain", [True, False], ids=["def", "async def"])
async def test_a_failure_and_an_end_say_whose_they_are(
    world: Any,
    kept: Kept,
    plain: bool,  # noqa: FBT001  # a case
) -> None:
    """Also the line of a handler that failed, which is over then; and none is held back as a replayed one."""

    def broken() -> None:
        raise ValueError("no")

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")
        await ctx.step.run("a", broken)

    def plain_handler(ctx: durable.SyncContext) -> None:
        ctx.step.sleep("rest", "1h")
        ctx.step.run("a", broken)

    world.app = durable.App("world", middleware=[Telling()])
    flat = durable.Retries(1, durable.Backoff("1s", jitter=0))
    used = plain_handler if plain else handler
    world.function(used, on="test/start", retries=flat)
    engine = await world.open()
    await world.start()
    await engine.advance("1d")
    async with asyncio.timeout(10):
        await engine.join()
    while len(kept.lines) < 4:  # the end is told of in a task of its own
        await engine.advance(0)
    about = [(text.partition(" failed")[0][-8:], *ids) for text, *ids in kept.lines]
    assert about == [
        ("step 'a'", "a", 0),
        ("step 'a'", "a", 1),
        (" handler", None, 0),
        ("ended:", None, 0),
    ]
