"""`kill -9` for ever on one store: a real engine with events, steps, sleeps and retries in flight."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from . import programs
from .journal import FUNCTIONS, Journal
from .report import Report


if TYPE_CHECKING:
    from pathlib import Path

EVENTS_PER_LIFE = 6
OPENING_LIMIT_S = 60
ENDING_LIMIT_S = 600


def run(count: int, seed: int) -> Report:
    """Kill `count` processes, one after the other, then let the last one finish everything."""
    report = Report("kill-loop", seed)
    chance = random.Random(seed)
    with programs.scratch() as folder:
        loop = _Loop(folder, chance, report)
        while report.trials < count and not report.violations:
            loop.live_and_die()
            report.trial()
        loop.finish()
        if report.violations:
            programs.keep(folder, f"kill-loop-{seed}")
    return report


class _Loop:
    """The store, the journal, and the next event's number."""

    def __init__(self, folder: Path, chance: random.Random, report: Report) -> None:
        self._store, self._chance, self._report = folder / "store", chance, report
        self._errors = folder / "stderr"
        self._journal = Journal(folder / "journal", report)
        self._next = 1

    def live_and_die(self) -> None:
        """Half are killed at any moment from the start of the interpreter on, half once at work."""
        at_work = self._chance.random() < 0.5
        process = self._start()
        if at_work:
            self._wait_until_open(process)
            time.sleep(self._chance.random() * 0.25)
        else:
            time.sleep(self._chance.random() * 0.6)
        ended = process.poll()
        process.send_signal(signal.SIGKILL)
        process.wait()
        if ended is not None:
            self._report.violation(f"ended by itself with {ended}: {self._said()}")
        self._journal.read()
        self._report.count(
            "killed at work" if self._journal.is_open else "killed while opening"
        )

    def finish(self) -> None:
        """Let everything run to its end, and ask the store for all of it."""
        process = self._start("--until-idle")
        try:
            ended = process.wait(ENDING_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            self._report.violation(f"work was left after {ENDING_LIMIT_S} s")
            return
        if ended != 0:
            self._report.violation(f"the last one ended with {ended}: {self._said()}")
        self._journal.read()
        for line in self._audit():
            self._report.violation(line)

    def _audit(self) -> list[str]:
        """Each acknowledged event has one run of each function, completed, with what was seen."""
        audit = [programs.PYTHON, str(programs.SUBJECTS / "audit.py"), str(self._store)]
        done = subprocess.run(
            audit, check=False, capture_output=True, timeout=ENDING_LIMIT_S
        )
        if done.returncode != 0:
            return [f"the store cannot be read: {done.stderr.decode()[-600:]}"]
        runs: dict[tuple[str, str], list[str]] = {}
        wrong: list[str] = []
        for line in done.stdout.decode().splitlines():
            run, function, event, status, result = line.split("\t")
            runs.setdefault((event, function), []).append(run)
            if status != "completed":
                wrong.append(f"run {run} of {function} is {status}: {result}")
            seen = self._journal.results.get(run)
            if seen is not None and seen != (status, result):
                wrong.append(f"run {run} was seen as {seen} and is {(status, result)}")
        self._report.count("runs completed", len(runs))
        for event, number in self._journal.events.items():
            for function in FUNCTIONS:
                found = len(runs.get((event, function), []))
                if found != 1:
                    wrong.append(f"event {number} has {found} runs of {function}")
        return wrong

    def _start(self, *more: str) -> subprocess.Popen[bytes]:
        again = sorted(self._journal.unsure)
        sent_before = max([0, *self._journal.sent, *again])
        command = [
            programs.PYTHON,
            str(programs.SUBJECTS / "shop.py"),
            str(self._store),
        ]
        command += [str(self._journal.path), "--first", str(sent_before + 1)]
        command += [
            "--events",
            str(EVENTS_PER_LIFE),
            "--resend",
            ",".join(map(str, again)),
        ]
        with self._errors.open("wb") as errors:
            return subprocess.Popen([*command, *more], stderr=errors)

    def _wait_until_open(self, process: subprocess.Popen[bytes]) -> None:
        """Until this process has said so in the journal."""
        mark = f"{process.pid}\topen\n".encode()
        before = self._journal.size_read()
        give_up = time.monotonic() + OPENING_LIMIT_S
        while time.monotonic() < give_up and process.poll() is None:
            if mark in self._journal.content_from(before):
                return
            time.sleep(0.005)
        self._report.violation(f"not open after {OPENING_LIMIT_S} s: {self._said()}")

    def _said(self) -> str:
        return self._errors.read_text(errors="replace")[-800:]
