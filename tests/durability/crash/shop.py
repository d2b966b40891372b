"""One store and one journal that process after process goes on with: `subjects/shop.py` and its checks."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from . import programs
from .journal import FUNCTIONS, Journal


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .report import Report

OPENING_LIMIT_S = 60
ENDING_LIMIT_S = 900


class Shop:
    """The store, the journal, and the next event's number."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder, self._report = folder, report
        self.store = folder / "store"
        self.journal = Journal(folder / "journal", report)

    def start(
        self,
        *more: str,
        program: str = "shop.py",
        events: int = 6,
        under: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """The next process; what was not acknowledged to the last one is sent again."""
        again = sorted(self.journal.unsure)
        first = max([0, *self.journal.sent, *again]) + 1
        command = [*under, programs.PYTHON, str(programs.SUBJECTS / program)]
        command += [str(self.store)]
        command += [str(self.journal.path), "--first", str(first)]
        command += ["--events", str(events), "--resend", ",".join(map(str, again))]
        with (self.folder / "stderr").open("wb") as errors:
            environment = os.environ | {"PYTHONFAULTHANDLER": "1"}
            return subprocess.Popen([*command, *more], stderr=errors, env=environment)

    def wait_until_open(self, process: subprocess.Popen[bytes]) -> bool:
        """Until this process has said so in the journal."""
        if self.wait_for(process, "open"):
            return True
        self._report.violation(f"not open after {OPENING_LIMIT_S} s: {self.said()}")
        return False

    def wait_for(self, process: subprocess.Popen[bytes], word: str) -> bool:
        """Until this process has written that word; false where it ended without."""
        mark = f"{process.pid}\t{word}\n".encode()
        before = self.journal.size_read()
        give_up = time.monotonic() + OPENING_LIMIT_S
        is_over = False
        while time.monotonic() < give_up and not is_over:
            is_over = process.poll() is not None  # before the last look
            if mark in self.journal.content_from(before):
                return True
            time.sleep(0.005)
        return False

    def finish(self) -> None:
        """Let everything run to its end, and ask the store for all of it."""
        process = self.start("--until-idle")
        try:
            ended = process.wait(ENDING_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            self._report.violation(f"work was left after {ENDING_LIMIT_S} s")
            return
        if ended != 0:
            self._report.violation(f"the last one ended with {ended}: {self.said()}")
        self.journal.read()
        for line in self._audit():
            self._report.violation(line)
        if self._report.violations:
            programs.keep(self.folder, self._report.campaign)

    def _audit(self) -> Iterator[str]:
        """Each acknowledged event has one run of each function, completed, with what was seen."""
        audit = [programs.PYTHON, str(programs.SUBJECTS / "audit.py"), str(self.store)]
        done = subprocess.run(
            audit, check=False, capture_output=True, timeout=ENDING_LIMIT_S
        )
        if done.returncode != 0:
            yield f"the store cannot be read: {done.stderr.decode()[-600:]}"
            return
        runs: dict[tuple[str, str], int] = {}
        for line in done.stdout.decode().splitlines():
            run, function, event, status, result = line.split("\t")
            runs[event, function] = runs.get((event, function), 0) + 1
            if status != "completed":
                yield f"run {run} of {function} is {status}: {result}"
            seen = self.journal.results.get(run)
            if seen is not None and seen != (status, result):
                yield f"run {run} was seen as {seen} and is {(status, result)}"
        self._report.count("runs completed", len(runs))
        for event, number in self.journal.events.items():
            for function in FUNCTIONS:
                found = runs.get((event, function), 0)
                if found != 1:
                    yield f"event {number} has {found} runs of {function}"

    def said(self) -> str:
        """The end of what the process said of its troubles."""
        return (self.folder / "stderr").read_text(errors="replace")[-3000:]
