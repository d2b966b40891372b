"""The owner is killed while others send: nothing acknowledged is lost, nothing is taken twice, no recorded step is repeated.

`DURABLE_TAKEOVERS=100 pytest tests/processes/test_takeover.py` kills a hundred owners.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import durable

from .conftest import PROGRAMS, Place, until


pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("DURABLE_TAKEOVERS", "4"))
SENDERS = 4
#: So long nobody may be acknowledged anything after a kill, s.
TAKEOVER_S = 10.0


class Senders:
    """Processes that send without end, and what they were told."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.running = [self.start() for _ in range(SENDERS)]

    def start(self) -> subprocess.Popen[str]:
        journal = self.place.folder / f"journal-{len(self.place.processes)}"
        return self.place.start("sender.py", str(journal))

    def journals(self) -> list[Path]:
        return sorted(self.place.folder.glob("journal-*"))

    def lines(self) -> list[list[str]]:
        """Whole lines of all journals: a kill may cut the last."""
        texts = [journal.read_text() for journal in self.journals()]
        return [line.split() for text in texts for line in text.split("\n")[:-1]]

    def count(self, word: str) -> int:
        return sum(line[0] == word for line in self.lines())

    def kill_owner(self) -> None:
        """And start another in its place."""
        pid = self.place.holder()
        (owner,) = [one for one in self.running if one.pid == pid]
        owner.kill()
        owner.wait()
        before = self.count("done")
        began = time.monotonic()
        until(lambda: self.count("done") > before, TAKEOVER_S)
        print(f"went on after {time.monotonic() - began:.2f} s")
        self.running.remove(owner)
        self.running.append(self.start())


def test_a_killed_owner_takes_nothing_along(place: Place) -> None:
    senders = Senders(place)
    until(lambda: senders.count("open") == SENDERS)
    for number in range(KILLS):
        more = senders.count("done") + 20 + number % 7
        until(lambda more=more: senders.count("done") > more)
        senders.kill_owner()
    assert all(one.poll() is None for one in senders.running), "none has failed"
    place.end()
    told = senders.lines()
    sent = {line[1]: line[2] for line in told if line[0] == "sent"}
    assert len(set(sent.values())) == len(sent), "each has an event of its own"
    assert [line for line in told if line[0] == "done" and line[1] != line[2]] == []
    runs = asyncio.run(finish(place, sent))
    assert sent.keys() <= runs.keys(), "nothing that was acknowledged is lost"
    assert {key: n for key, n in runs.items() if n != 1} == {}, "nor taken twice"
    assert repeated(place.notes.read_text().splitlines()) == set()


def repeated(notes: list[str]) -> set[str]:
    """Steps that were called again after a handler had been given their result."""
    recorded: set[str] = set()
    wrong: set[str] = set()
    for line in notes:
        if line.startswith("recorded "):
            recorded.add(line.removeprefix("recorded "))
        elif line in recorded:
            wrong.add(line)
    return wrong


def _shop() -> Any:
    """The program's module, under no name that another test may import."""
    spec = spec_from_file_location("shop", PROGRAMS / "shop.py")
    assert spec is not None
    assert spec.loader is not None
    shop = module_from_spec(spec)
    spec.loader.exec_module(shop)
    return shop


async def finish(place: Place, sent: dict[str, str]) -> Counter[str]:
    """Let the store's runs end: how many there are for each key."""
    shop = _shop()
    shop.NOTES = place.notes
    runs: Counter[str] = Counter()
    cursor: str | None = None
    async with durable.Engine(shop.app, store=place.store) as engine:
        await engine.join(timeout="60s")
        while not runs or cursor is not None:
            page = await engine.runs.list(limit=1000, cursor=cursor)
            assert {run.status for run in page} == {"completed"}
            runs.update(run.result for run in page)
            cursor = page.cursor
        for key, event in sent.items():
            found = await engine.events.get(event)
            assert found.event.data["key"] == key, "the id is that of its event"
    return runs
