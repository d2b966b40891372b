"""Power cuts in the model: a run is recorded once, then the power goes at any of its operations."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from . import programs
from .disk_model import Cut, Disk, Entry, Op, read_record
from .report import Report
from .subject import USUAL, Subject, last_acked


if TYPE_CHECKING:
    from pathlib import Path

CUTS_PER_RUN = 40
SECOND_CUT = 0.25
CUTS: tuple[Cut, ...] = ("strict", "leaky", "leaky", "leaky", "kill")


def run(count: int, seed: int, kind: str = USUAL) -> Report:
    """Cut the power `count` times; one cut in four is followed by another during recovery."""
    report = Report(Subject(kind).named("power-cut"), seed)
    chance = random.Random(seed)
    with programs.scratch() as folder:
        while report.trials < count:
            wanted = min(CUTS_PER_RUN, count - report.trials)
            recorded = _Recorded(Subject(kind), folder, chance=chance, report=report)
            recorded.cut(wanted)
    return report


class _Recorded:
    """One run of the writer, its record, and the cuts made in it."""

    def __init__(
        self, subject: Subject, folder: Path, *, chance: random.Random, report: Report
    ) -> None:
        self._subject, self._folder = subject, folder
        self._chance, self._report = chance, report

    def cut(self, wanted: int) -> None:
        """Record a run, then judge `wanted` moments of it."""
        store = _emptied(self._folder / "store")
        if not self._subject.is_ours:
            # others do not promise that the name of their file is durable
            self._subject.write(store, 1)
        disk = Disk(store)
        entries = self._record(store, self._chance.randrange(20, 300))
        moments = sorted(self._chance.choices(range(len(entries) + 1), k=wanted))
        at = 0
        for moment in moments:
            for entry in entries[at:moment]:
                disk.play(entry)
            at = moment
            self._judge(disk, _acked(entries[:moment]), f"operation {moment}")

    def _record(self, store: Path, batches: int) -> list[Entry]:
        """What the writer does; a change that is not seen would make each verdict worthless."""
        disk = Disk(store)
        record = self._folder / "record"
        record.unlink(missing_ok=True)
        self._subject.write(store, batches, record=record)
        entries = list(read_record(record))
        for entry in entries:
            disk.play(entry)
        unseen = disk.differences(store)
        if unseen:
            message = f"the recorder is blind to changes of {unseen}"
            raise RuntimeError(message)
        self._report.count("operations recorded", len(entries))
        return entries

    def _judge(self, disk: Disk, acked: int, where: str) -> None:
        cut = self._chance.choice(CUTS)
        left = _emptied(self._folder / "left")
        disk.write_to(left, cut, self._chance)
        if self._chance.random() < SECOND_CUT:
            acked, left, where = self._cut_again(left, acked, where)
        evidence = self._folder / "evidence"
        shutil.rmtree(evidence, ignore_errors=True)
        shutil.copytree(left, evidence)
        verdict = self._subject.verify(left, acked)
        self._report.count(verdict.word)
        self._report.count("acknowledged batches judged", acked)
        if not verdict.is_good:
            name = f"{self._report.campaign}-{self._report.trials}"
            kept = programs.keep(evidence, name)
            self._report.violation(f"{cut} cut at {where}: {verdict.detail} ({kept})")
        self._report.trial()

    def _cut_again(self, left: Path, acked: int, where: str) -> tuple[int, Path, str]:
        """Recover from the first cut and lose the power once more meanwhile."""
        disk = Disk(left)
        entries = self._record(left, self._chance.randrange(1, 8))
        moment = self._chance.randrange(len(entries) + 1)
        for entry in entries[:moment]:
            disk.play(entry)
        again = _emptied(self._folder / "again")
        disk.write_to(again, self._chance.choice(CUTS), self._chance)
        self._report.count("second cuts in recovery")
        return max(acked, _acked(entries[:moment])), again, f"{where}, then {moment}"


def _acked(entries: list[Entry]) -> int:
    said = b"".join(entry.data for entry in entries if entry.op is Op.ACK)
    whole, _, _ = said.decode().rpartition("\n")
    return last_acked(whole.splitlines())


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
