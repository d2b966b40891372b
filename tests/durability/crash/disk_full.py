"""A disk that is full: a small tmpfs, filled up, freed again."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import programs
from .report import Report
from .subject import USUAL, Subject, last_acked


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDLESS = 10_000_000
PAGE = 4096
SIZE_BYTES = 64 << 20


def why_not() -> str:
    """The reason why this machine cannot do it, or nothing."""
    if os.geteuid() != 0:
        return "mounting a tmpfs needs root"
    with programs.scratch() as folder:
        try:
            with _small_disk(folder):
                return ""
        except subprocess.CalledProcessError as error:
            return f"no tmpfs here: {error.stderr.decode().strip()}"


def run(count: int, seed: int, kind: str = USUAL) -> Report:
    """Fill the disk `count` times, each time with another rest of space."""
    report = Report(Subject(kind).named("disk-full"), seed, skipped=why_not())
    chance = random.Random(seed)
    while not report.skipped and report.trials < count:
        with programs.scratch() as folder, _small_disk(folder) as disk:
            _fill(Subject(kind), disk, chance, report=report)
        report.trial()
    return report


def _fill(
    subject: Subject, disk: Path, chance: random.Random, *, report: Report
) -> None:
    store, filler = disk / "store", disk / "filler"
    store.mkdir()
    acked = last_acked(subject.write(store, chance.randrange(1, 100)))
    rest = PAGE * chance.randrange(256)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, _free(disk) - rest))
    lines = subject.write(store, ENDLESS)
    acked = max(acked, last_acked(lines))
    report.count("acknowledged batches judged", acked)
    where = f"with {rest} bytes left"
    failed = [at for at, line in enumerate(lines) if line.startswith("fail")]
    report.count("opened and then failed" if failed else "refused to open for writing")
    if failed and any(line.startswith("ack") for line in lines[failed[0] :]):
        report.violation(f"{where}: acknowledged after a failure: {lines[-8:]}")
    if not failed and not any(line.startswith("refused") for line in lines):
        report.violation(f"{where}: ended without a typed error: {lines[-3:]}")
    full = subject.verify(store, acked)
    report.count(f"read while full: {full.word}")
    if not full.is_good and not (
        full.word == "refused" and "full" in full.detail.lower()
    ):
        report.violation(f"{where}, while full: {full.detail}")
    filler.unlink()
    lines = subject.write(store, 20)
    verdict = subject.verify(store, max(acked, last_acked(lines)))
    report.count(f"space freed: {verdict.word}")
    if not verdict.is_good or "done" not in lines:
        report.violation(f"{where}, space freed: {verdict.detail}, {lines[-2:]}")


def _free(disk: Path) -> int:
    space = os.statvfs(disk)
    return space.f_bavail * space.f_frsize


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    point = folder / "small"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", point]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True, capture_output=True)
