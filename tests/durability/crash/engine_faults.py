"""Power cuts and input/output errors under the whole engine, not only under its store."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

from . import programs, strace
from .disk_model import Cut, Disk, Entry, Op, read_record
from .report import Report
from .shop import Shop


if TYPE_CHECKING:
    from pathlib import Path

CUTS_PER_RUN = 12
CUTS: tuple[Cut, ...] = ("strict", "leaky", "leaky")
EVENTS = "10"
LIMIT_S = 120
# not openat: the interpreter itself could not start
FAILING = ("fdatasync", "pwrite64", "pwritev", "ftruncate", "rename", "fsync")


def power_cuts(count: int, seed: int) -> Report:
    """Cut the power `count` times at any operation of a shop at work, then let it go on."""
    report = Report("engine-power-cut", seed)
    chance = random.Random(seed)
    while report.trials < count and not report.violations:
        with programs.scratch() as folder:
            entries = _record(folder)
            wanted = min(CUTS_PER_RUN, count - report.trials)
            moments = sorted(chance.choices(range(len(entries) + 1), k=wanted))
            (folder / "nothing").mkdir()
            disk, at = Disk(folder / "nothing", seen_as=folder / "store"), 0
            for moment in moments:
                for entry in entries[at:moment]:
                    disk.play(entry)
                at = moment
                _go_on(
                    disk,
                    entries[:moment],
                    folder / "left",
                    chance=chance,
                    report=report,
                )
    return report


def _record(folder: Path) -> list[Entry]:
    """A shop's whole life, with its journal among its operations on files."""
    store, record = folder / "store", folder / "record"
    store.mkdir()
    environment = os.environ | {
        "LD_PRELOAD": str(programs.shim()),
        "CRASH_ROOT": str(store.resolve()),
        "CRASH_LOG": str(record),
    }
    command = [programs.PYTHON, str(programs.SUBJECTS / "shop.py"), str(store), "-"]
    command += ["--first", "1", "--events", EVENTS, "--until-idle"]
    out = subprocess.DEVNULL
    subprocess.run(command, env=environment, check=True, stdout=out, timeout=LIMIT_S)
    return list(read_record(record))


def _go_on(
    disk: Disk,
    entries: list[Entry],
    left: Path,
    *,
    chance: random.Random,
    report: Report,
) -> None:
    """Lay out the store and the journal as of the cut, and judge what comes of them."""
    shutil.rmtree(left, ignore_errors=True)
    disk.write_to(left / "store", chance.choice(CUTS), chance)
    said = b"".join(entry.data for entry in entries if entry.op is Op.ACK)
    (left / "journal").write_bytes(said)
    shop = Shop(left, report)
    shop.journal.read()
    shop.finish()
    report.trial()


def errors(count: int, seed: int) -> Report:
    """Let `count` shops meet an error of the disk; what was acknowledged is there afterwards."""
    report = Report("engine-errors", seed, skipped=strace.why_not())
    chance = random.Random(seed)
    while not report.skipped and report.trials < count and not report.violations:
        with programs.scratch() as folder:
            shop = Shop(folder, report)
            call, nth = chance.choice(FAILING), str(chance.randrange(1, 25))
            fault = f"error={chance.choice(('EIO', 'ENOSPC'))}"
            ever = "+" * (chance.random() < 0.5)
            under = strace.injecting(call, fault, nth + ever)
            process = shop.start("--until-idle", under=under)
            try:
                ended = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                report.violation(f"{under[-1]}: hangs: {shop.said()}")
                break
            _judge_end(shop, ended, under[-1], report=report)
            shop.journal.read()
            shop.finish()
        report.trial()
    return report


def _judge_end(shop: Shop, ended: int, where: str, *, report: Report) -> None:
    """Unharmed, or with an error of ours: never a crash of the interpreter."""
    report.count("unharmed" if ended == 0 else "stopped")
    if ended not in {0, 1}:
        report.violation(f"{where}: ended with {ended}: {shop.said()}")
