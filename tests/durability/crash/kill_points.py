"""`kill -9` at the k-th call of each kind that a thread makes, and again while it recovers."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from . import programs, strace
from .report import Report
from .subject import USUAL, Subject, last_acked


if TYPE_CHECKING:
    from pathlib import Path

BATCHES = 60
NESTED = 0.5

Point = tuple[str, int]


def run(count: int, seed: int, kind: str = USUAL) -> Report:
    """Kill `count` times; half of the stores are killed once more in their recovery."""
    report = Report(Subject(kind).named("kill-points"), seed, skipped=strace.why_not())
    chance = random.Random(seed)
    if report.skipped:
        return report
    with programs.scratch() as folder:
        points = points_of(Subject(kind), folder)
        report.count("distinct points", len(points))
        while report.trials < count:
            chance.shuffle(points)
            for point in points[: count - report.trials]:
                nested = [chance.choice(points)] if chance.random() < NESTED else []
                _kill(Subject(kind), folder / "store", [point, *nested], report=report)
    return report


def points_of(
    subject: Subject, folder: Path, calls: tuple[str, ...] = strace.CHANGING
) -> list[Point]:
    """Every (call, k) of an undisturbed run."""
    store, record = folder / "store", folder / "record"
    store.mkdir()
    quiet = f"strace -f -qq -o {record} -e trace={','.join(calls)}"
    subject.write(store, BATCHES, under=quiet.split())
    shutil.rmtree(store)
    most = strace.calls_of(record.read_text())
    return [(call, k) for call in calls for k in range(1, most[call] + 1)]


def _kill(subject: Subject, store: Path, path: list[Point], *, report: Report) -> None:
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    acked = 0
    for call, k in path:
        under = strace.injecting(call, "signal=KILL", str(k))
        lines = subject.write(store, BATCHES, under=under)
        acked = max(acked, last_acked(lines))
        report.count("finished unharmed" if "done" in lines else "killed")
        if any(line.startswith(("refused", "fail")) for line in lines):
            report.violation(f"{path}: {lines[-3:]}")
    report.count("killed again in recovery", len(path) - 1)
    verdict = subject.verify(store, acked)
    report.count(verdict.word)
    report.count("acknowledged batches judged", acked)
    if not verdict.is_good:
        kept = programs.keep(store, f"{report.campaign}-{report.trials}")
        report.violation(f"{path}: {verdict.detail} ({kept})")
    report.trial()
