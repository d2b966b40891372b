"""What the tests of shared stores have in common: processes that are started, asked and killed."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


PROGRAMS = Path(__file__).parent / "programs"
DEADLINE_S = 60.0


def until(is_so: Callable[[], Any], limit_s: float = DEADLINE_S) -> Any:
    """Poll for what another process does; what it was in the end."""
    end = time.monotonic() + limit_s
    while not (found := is_so()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)  # another process is waited for
    return found


class Member:
    """A process that has a store open, and does what it is told."""

    def __init__(self, place: Place) -> None:
        self.process = place.start("member.py", stdin=True)
        self._selector = selectors.DefaultSelector()
        assert self.process.stdout is not None
        self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert self._selector.select(DEADLINE_S), "it says nothing"
        return dict(json.loads(self.process.stdout.readline()))

    def say(self, expression: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expression}\n")
        self.process.stdin.flush()

    def ask(self, expression: str) -> Any:
        self.say(expression)
        told = self.hear()
        assert "value" in told, told
        return told["value"]

    def is_owner(self) -> bool:
        return bool(self.ask("engine.is_owner()"))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(DEADLINE_S) == 0


class Place:
    """A folder with a store, and the processes on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.notes = folder / "notes"
        self.processes: list[subprocess.Popen[str]] = []

    def start(
        self, program: str, *arguments: str, stdin: bool = False
    ) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAMS / program), str(self.store)]
        pipe = subprocess.PIPE if stdin else None
        log = (self.folder / "log").open("a")
        with log:
            started = subprocess.Popen(  # ourselves
                [*command, *arguments],
                stdin=pipe,
                stdout=pipe,
                stderr=log,
                text=True,
                env={**os.environ, "NOTES": str(self.notes)},
            )
        self.processes.append(started)
        return started

    def members(self, count: int) -> list[Member]:
        """So many, started at the same moment."""
        made = [Member(self) for _ in range(count)]
        for member in made:
            told = member.hear()
            assert "pid" in told, told
        return made

    def holder(self) -> int:
        """The process that has the lock, or had it last."""
        lock = self.store / "lock"
        found = until(lambda: re.match(r"process (\d+) on ", lock.read_text()))
        return int(found[1])

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.end()
