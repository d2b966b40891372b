"""Judges what `subjects/shop.py` wrote down, line by line as it grows: the promises as code."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from pathlib import Path

    from .report import Report

FUNCTIONS = ("fulfil", "audit", "narrow")
NARROW_STEP, NARROW_LIMIT = "pass", 2

Key = tuple[str, str]


@dataclass
class Journal:
    """Facts so far; `read` takes in the new ones."""

    path: Path
    report: Report
    sent: dict[int, str] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    events: dict[str, int] = field(default_factory=dict)
    known: dict[Key, str] = field(default_factory=dict)
    attempts: dict[Key, int] = field(default_factory=dict)
    tokens: dict[Key, str] = field(default_factory=dict)
    due: dict[Key, int] = field(default_factory=dict)
    results: dict[str, tuple[str, str]] = field(default_factory=dict)
    is_open: bool = False
    others: list[tuple[str, str]] = field(default_factory=list)
    _inside: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _at: int = 0

    def read(self) -> None:
        """Take in what was written since; nobody writes meanwhile."""
        content = self.content_from(self._at)
        whole, _, _ = content.rpartition(b"\n")
        self._at += len(content)
        self.is_open = False
        self._inside.clear()
        for line in whole.decode().splitlines():
            _, kind, *words = line.split("\t")
            getattr(self, f"_{kind}")(*words)

    def size_read(self) -> int:
        """How many bytes were judged."""
        return self._at

    def content_from(self, at: int) -> bytes:
        """What was written since, not yet judged."""
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(at)
            return file.read()

    def _open(self) -> None:
        """Another process: what the one before was in the middle of is over."""
        self.is_open = True
        self._inside.clear()

    def taken(self, word: str) -> list[str]:
        """What was said with this word, and is now judged by the caller."""
        found = [rest for said, rest in self.others if said == word]
        self.others = [other for other in self.others if other[0] != word]
        return found

    def _leaving(self) -> None:
        pass

    def _forked(self, status: str) -> None:
        self.others.append(("forked", status))

    def _closing(self) -> None:
        pass

    def _closed(self) -> None:
        self.is_open = False

    def _sending(self, number: str) -> None:
        self.unsure.add(int(number))

    def _sent(self, number: str, event: str) -> None:
        """An event that is sent again is the same event."""
        before = self.sent.setdefault(int(number), event)
        if before != event:
            self.report.violation(f"event {number} is {before} and then {event}")
        self.unsure.discard(int(number))
        self.events[event] = int(number)
        self.report.count("events acknowledged")

    def _call(self, run: str, step: str, *more: str) -> None:
        """Never after its result was known; with one token; each with a higher attempt."""
        key = (run, step)
        attempt, token = more
        self.report.count("step calls")
        if key in self.known:
            self.report.violation(
                f"step {key} was called again after its result was known"
            )
        if self.tokens.setdefault(key, token) != token:
            self.report.violation(f"step {key} has two tokens")
        before = self.attempts.get(key, -1)
        if int(attempt) < before:
            self.report.violation(f"step {key} fell from attempt {before} to {attempt}")
        if int(attempt) == before:
            self.report.count("calls repeated under the same attempt number")
        self.attempts[key] = int(attempt)
        if step == NARROW_STEP:
            self._inside[step].add(run)
            if len(self._inside[step]) > NARROW_LIMIT:
                self.report.violation(f"more than {NARROW_LIMIT} executed at once")

    def _end(self, run: str, step: str) -> None:
        self._inside[step].discard(run)

    def _knows(self, run: str, step: str, value: str) -> None:
        """One value for ever."""
        if self.known.setdefault((run, step), value) != value:
            self.report.violation(f"step {(run, step)} has two results")

    def _asleep(self, run: str, step: str, until: str) -> None:
        self.due.setdefault((run, step), int(until))

    def _woke(self, run: str, step: str, now: str) -> None:
        """Not before the moment that the first to ask for it named."""
        if int(now) < self.due[run, step]:
            self.report.violation(f"sleep {(run, step)} ended early")

    def _result(self, run: str, *seen: str) -> None:
        """Once seen, it stays."""
        status, value = seen
        if self.results.setdefault(run, (status, value)) != (status, value):
            self.report.violation(f"run {run} has two results")
