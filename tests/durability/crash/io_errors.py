"""EIO and ENOSPC at the n-th call, once or from then on: no acknowledgement after the first failure."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from . import programs, strace
from .kill_points import BATCHES, points_of
from .report import Report
from .subject import USUAL, Subject, last_acked


if TYPE_CHECKING:
    from pathlib import Path

ERRORS = ("EIO", "EIO", "ENOSPC")
ENDINGS = {
    "fail": "append refused",
    "refused": "open refused",
    "done": "no effect on appends",
}


def run(count: int, seed: int, kind: str = USUAL) -> Report:
    """Fail `count` calls; afterwards every acknowledged batch must be there."""
    report = Report(Subject(kind).named("io-errors"), seed, skipped=strace.why_not())
    chance = random.Random(seed)
    if report.skipped:
        return report
    with programs.scratch() as folder:
        points = points_of(Subject(kind), folder, strace.CHANGING + strace.READING)
        report.count("distinct points", len(points))
        while report.trials < count:
            chance.shuffle(points)
            for call, k in points[: count - report.trials]:
                for_ever = chance.random() < 0.5
                error = chance.choice(ERRORS)
                under = strace.injecting(call, f"error={error}", f"{k}{'+' * for_ever}")
                _fail(Subject(kind), folder / "store", under, report=report)
    return report


def _fail(subject: Subject, store: Path, under: list[str], *, report: Report) -> None:
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    lines = subject.write(store, BATCHES, under=under)
    where = under[-1]
    acked = last_acked(lines)
    report.count(_ending(lines))
    if _acknowledged_after_failure(lines):
        report.violation(f"{where}: acknowledged after a failure: {lines[-8:]}")
    verdict = subject.verify(store, acked)
    report.count(f"reopened {verdict.word}")
    if not verdict.is_good:
        kept = programs.keep(store, f"{report.campaign}-{report.trials}")
        report.violation(f"{where}: {verdict.detail} ({kept})")
    report.trial()


def _ending(lines: list[str]) -> str:
    """How the writer ended, for the tally."""
    words = [line.split()[0] for line in lines]
    ends = [word for word in words if word in ENDINGS]
    return ENDINGS[ends[0]] if ends else "ended without a word"


def _acknowledged_after_failure(lines: list[str]) -> bool:
    failed = [at for at, line in enumerate(lines) if line.startswith("fail")]
    return bool(failed) and any(line.startswith("ack") for line in lines[failed[0] :])
