"""The recorded commits under three policies at once, killed in the middle: all accounted for, no limit exceeded."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import durable


if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio

RECORDED = Path(__file__).resolve().parents[3] / "shared/data/commits.jsonl.gz"
SUBJECT = Path(__file__).parent / "subjects/commits.py"
EVENT_COUNT = 57_487
INTERVAL_MS, BURST = 2.5, 40  # Throttle(40, "100ms")


class Killed:
    """The application in a process of its own, and what its handlers wrote down."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.journal = folder / "journal"
        self.journal.touch()

    def start(self) -> subprocess.Popen[bytes]:
        arguments = [SUBJECT, self.store, self.journal, RECORDED]
        return subprocess.Popen([sys.executable, *map(str, arguments)])  # noqa: S603  # ourselves

    def run_until(self, line_count: int) -> None:
        """Kill it once its handlers have written so many lines."""
        process = self.start()
        while len(self.lines()) < line_count:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.02)  # another process has the clock
        process.send_signal(signal.SIGKILL)
        process.wait()

    def run_to_the_end(self) -> None:
        assert self.start().wait() == 0

    def lines(self) -> list[list[str]]:
        return [line.split("\t") for line in self.journal.read_text().splitlines()]


async def every(read: Any) -> AsyncIterator[Any]:
    """All of a list, the newest first."""
    cursor = None
    while True:
        page = await read(limit=1000, cursor=cursor)
        for one in page:
            yield one
        cursor = page.cursor
        if cursor is None:
            return


def check_handlers(lines: list[list[str]]) -> int:
    """No two handlers of one author at one instant; how many were cut off by a kill."""
    inside: dict[tuple[str, str], str] = {}
    cut = 0
    last = ""
    for what, pid, author, run in lines:
        if pid != last:  # what the process before had is gone with it
            cut += len(inside)
            inside.clear()
            last = pid
        if what == "in":
            assert (pid, author) not in inside, f"two at once for {author}"
            inside[pid, author] = run
        else:
            assert inside.pop((pid, author)) == run
    assert not inside
    return cut


def check_throttle(starts_ms: list[float]) -> None:
    """GCRA over the starts of one repository; the store keeps whole ms."""
    arrival = 0.0
    for start in sorted(starts_ms):
        arrival = max(arrival, start) + INTERVAL_MS
        assert arrival - BURST * INTERVAL_MS <= start + 1, "too many starts"


@pytest.mark.slow
@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded commits are not here")
async def test_each_commit_counts_once_and_no_limit_is_exceeded(tmp_path: Path) -> None:
    subject = Killed(tmp_path)
    for line_count in (1_000, 3_000):
        subject.run_until(line_count)
    subject.run_to_the_end()
    check_handlers(subject.lines())

    events: dict[str, Any] = {}
    of_run: dict[str, list[str]] = defaultdict(list)
    starts: dict[str, list[float]] = defaultdict(list)
    async with durable.Engine(store=str(subject.store), clock="virtual") as engine:
        async for received in every(engine.events.list):
            assert not received.skipped
            (run,) = received.run_ids
            events[received.id] = received
            of_run[run].append(received.id)
        async for run in every(engine.runs.list):
            assert run.status == "completed", run
            gathered = [events[event_id] for event_id in of_run.pop(run.id)]
            last = max(gathered, key=lambda one: (one.event.ts, one.id))
            assert run.event_ids == (last.id,)
            assert len({one.event.data["author"] for one in gathered}) == 1
            repo = last.event.data["repo"]
            starts[repo].append(run.started_at.timestamp() * 1000)
    assert len(events) == EVENT_COUNT
    assert not of_run, "events that went into runs that are not there"
    for repo_starts in starts.values():
        check_throttle(repo_starts)
    handled = Counter(run for what, _, _, run in subject.lines() if what == "out")
    run_count = sum(map(len, starts.values()))
    assert len(handled) == run_count, "each run was handled"
    assert 1_000 < run_count < EVENT_COUNT / 2, "there was something to debounce"
