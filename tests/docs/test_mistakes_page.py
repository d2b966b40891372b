"""Each program of `"mistakes.md"` is executed as it stands there, and is told what stands below it.

`tests/lifecycle/test_mistakes.py` makes the same mistakes in more ways, and sees that the page shows all of them.
"""

from __future__ import annotations

import ast
import asyncio
import logging
import re
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import randint  # noqa: TID251  # asking for it is one of the mistakes
from typing import Any

import pytest
from pydantic import BaseModel

import durable

from .pages import DOCS, Block, blocks


PAGE = DOCS / "mistakes.md"
#: What is a handler's body, or has one. What stands below the other headings is executed as a module.
IN_HANDLERS = {
    "Steps",
    "Moments and durations",
    "Code that differs each time",
    "A blocked event loop",
}
#: What is told of as a warning, when a module is executed.
WARNINGS = {"DUR-0802"}
HANDLER = "async def fulfil(ctx: durable.Context):\n"


class Order(BaseModel):
    """What the programs sell."""

    order_id: str
    customer_id: str


async def charge() -> int:
    return 1


GIVEN = {
    "__name__": "shop",
    "Any": Any,
    "BaseModel": BaseModel,
    "Order": Order,
    "UTC": UTC,
    "asyncio": asyncio,
    "charge": charge,
    "datetime": datetime,
    "durable": durable,
    "order_placed": durable.EventType("shop/order.placed", Order),
    "randint": randint,
    "threading": threading,
    "time": time,
    "uuid": uuid,
}


@dataclass(frozen=True)
class Shown:
    """A mistake as the page shows it."""

    chapter: str
    heading: str
    program: Block
    code: str
    message: str


def shown() -> list[Shown]:
    lines = PAGE.read_text().splitlines()
    pairs = list(zip(found := blocks(PAGE), found[1:], strict=False))
    assert len(found) % 2 == 0
    made = []
    for program, message in pairs[::2]:
        assert (program.language, message.language) == ("python", "text")
        above = [line for line in lines[: program.line] if line.startswith("#")]
        chapter = next(line for line in reversed(above) if line.startswith("## "))
        between = "\n".join(lines[program.line : message.line])
        code = re.findall(r"^`(DUR-\d{4})`$", between, re.MULTILINE)
        made.append(Shown(chapter[3:], above[-1][4:], program, code[-1], message.text))
    return made


MISTAKES = shown()


class Shop:
    """What the programs of the page take for granted; what answers is what the engine says."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.world = world
        self.file = folder / "shop.py"
        self.answered = threading.Event()
        self.names: dict[str, Any] = {
            **GIVEN,
            "app": durable.App("shop"),
            "answered": self.answered,
        }

    def execute(self, text: str) -> Any:
        """In a file of its own: a message may show its line."""
        self.file.write_text(text)
        code = compile(
            text, str(self.file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        return eval(code, self.names)  # noqa: S307  # our own text

    async def told(self, one: Shown) -> tuple[str, str]:
        """The code and the message of what is wrong."""
        if one.chapter in IN_HANDLERS and "@app" not in one.program.text:
            return await self.run(one)
        text = one.program.text
        if text.startswith("@") and "def " not in text:
            text += f"{HANDLER}    ...\n"
        await PREPARED.get(one.heading, nothing)(self)
        if one.code in WARNINGS:
            self.execute(text)
            (warning,) = self.world.warnings()
            return one.code, warning
        with pytest.raises(durable.DurableError) as caught:
            await self._awaited(text)
        return caught.value.code, str(caught.value)

    async def _awaited(self, text: str) -> None:
        awaited = self.execute(text)
        if awaited is not None:
            await awaited

    async def run(self, one: Shown) -> tuple[str, str]:
        """Of a handler whose body this is."""
        text = one.program.text
        if "def fulfil" not in text:
            text = HANDLER + textwrap.indent(self.complete(one), "    ")
        self.execute(text)
        replays = one.chapter == "Code that differs each time"
        self.world.replay = "always" if replays else "needed"
        self.world.function(self.names["fulfil"], on="test/start", retries=0)
        await self.world.open(
            blocked_after="10ms" if "blocked" in one.chapter else None
        )
        run = await self.world.get(await self.world.start(data={"order_id": "o1"}))
        if run.error is None:
            (warning,) = self.world.warnings()
            return re.findall(r"DUR-\d{4}", warning)[-1], warning
        codes = [
            step.error.code
            for step in run.steps.values()
            if step.error and step.error.code
        ]
        return (codes or [run.error.code])[0], run.error.message

    def complete(self, one: Shown) -> str:
        """What the page leaves out of a handler: the step of a function, or one to call the handler again for."""
        if one.chapter == "Code that differs each time":
            return f"await ctx.step.run('first', charge)\n{one.program.text}"
        if "ctx" not in one.program.text and one.chapter == "Steps":
            return f"{one.program.text}\nawait ctx.step.run('charge', total)\n"
        return one.program.text


async def nothing(shop: Shop) -> None:
    """Most programs need nothing more."""


async def a_closed_engine(shop: Shop) -> None:
    shop.names["engine"] = await shop.world.open()
    await shop.world.close()


async def an_open_engine(shop: Shop) -> None:
    shop.world.function(charging, id="fulfil")
    shop.world.store = "./state"
    shop.names["engine"] = await shop.world.open()


async def charging(ctx: durable.Context) -> None: ...


async def a_function(shop: Shop) -> None:
    shop.execute(f"@app.function()\n{HANDLER}    ...\n")


async def an_engine_on_it(shop: Shop) -> None:
    shop.world.app = shop.names["app"]
    await shop.world.open()


async def a_file(shop: Shop) -> None:
    shop.file.with_name("state").write_text("mine")


PREPARED: dict[str, Callable[[Shop], Any]] = {
    "A send to an engine that is closed": a_closed_engine,
    "A dict in place of an event": an_open_engine,
    "An event's data in place of an event": an_open_engine,
    "An event's data that is not JSON": an_open_engine,
    "A plain function that is invoked": an_open_engine,
    "An unknown function": an_open_engine,
    "A store that is open already": an_open_engine,
    "A store that is a file": a_file,
    "Two functions of one id": a_function,
    "A function that is called": a_function,
    "`.delay()`, as of a task of Celery": a_function,
    "An invoke with fields by name": an_open_engine,
    "An invoke with a whole event": an_open_engine,
    "Runs of an unknown function": an_open_engine,
    "A function that comes after the engine": an_engine_on_it,
}


def same(text: str) -> str:
    """Without what differs from machine to machine, and the line, which the page's program has no number for."""
    text = re.sub(r"[^\s(]*shop\.py:\d+", "shop.py:12", text)
    text = re.sub(r"\b[0-9A-Z]{26}\b", "RUN", text)
    text = re.sub(r"0x[0-9a-f]+", "0x7f", text)
    text = re.sub(r"\. In a web application: .*", "", text)  # where one is imported
    text = re.sub(r"process \d+ on \S+, since [^)]*", "process 812 on ada", text)
    text = re.sub(r"for \d+\.\d s", "for 0.5 s", text)
    return text.strip()


@pytest.fixture
def shop(
    world: Any, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    monkeypatch.chdir(tmp_path)
    world.warnings = lambda: [
        record.getMessage() for record in caplog.records if record.name == "durable"
    ]
    made = Shop(world, tmp_path)

    class Telling(logging.Handler):
        """Lets what blocks go on once it has been told of."""

        def emit(self, record: logging.LogRecord) -> None:
            if "event loop" in record.getMessage():
                made.answered.set()

    telling = Telling()
    logging.getLogger("durable").addHandler(telling)
    yield made
    logging.getLogger("durable").removeHandler(telling)


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("world", ["needed"], indirect=True)
@pytest.mark.parametrize("one", MISTAKES, ids=lambda one: one.heading)
async def test_the_page_says_what_is_told(shop: Shop, one: Shown) -> None:
    code, message = await shop.told(one)
    assert same(message) == same(one.message)
    assert code == one.code
