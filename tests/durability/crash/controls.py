"""The same harness on stores whose losses are known: one that finds nothing anywhere proves nothing.

SQLite documents what its settings keep; what plain sled loses was measured before this project began.
"""

from __future__ import annotations

from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from . import corruption, ext4_cut, power_cut
from .report import Report


if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Control:
    """One store in one campaign; `loses` is what is known of it."""

    run: Callable[[int, int, str], Report]
    kind: str
    loses: bool


TRIES = 5

CONTROLS = (
    Control(power_cut.run, "sqlite:wal-full", loses=False),
    Control(power_cut.run, "sqlite:wal-normal", loses=True),
    Control(power_cut.run, "redb", loses=False),
    Control(power_cut.run, "sled", loses=True),
    Control(ext4_cut.run, "sqlite:wal-full", loses=False),
    Control(ext4_cut.run, "sqlite:wal-normal", loses=True),
    Control(ext4_cut.run, "redb", loses=False),
    Control(ext4_cut.run, "sled", loses=True),
    Control(corruption.run, "sled", loses=True),
    Control(corruption.run, "redb", loses=True),
)


def run(count: int, seed: int) -> Report:
    """Run each control `count` times (a fifth of it on ext4); what is known must show."""
    report = Report("controls", seed)
    for control in CONTROLS:
        found = _tried(control, count, seed)
        if found.skipped:
            report.count(f"{found.campaign} skipped: {found.skipped}")
            continue
        report.count(f"{found.campaign}, trials", found.trials)
        report.count(f"{found.campaign}, with loss", len(found.violations))
        if bool(found.violations) != control.loses:
            known = "loses" if control.loses else "loses nothing"
            report.violation(
                f"{found.campaign} is known to be one that {known}: {found.line()}"
            )
        report.trial()
    return report


def _tried(control: Control, count: int, seed: int) -> Report:
    """One control; where it is known to lose, again until it does, a few times at most."""
    trials = count
    if control.run is ext4_cut.run:
        trials = max(4, count // 5)
    elif control.run is corruption.run:
        trials = 10 * count  # redb loses in one of ten
    tries = TRIES if control.loses else 1
    with redirect_stderr(StringIO()):  # each loss would be told as if it were ours
        for more in range(tries):
            found = control.run(trials, seed + more, control.kind)
            if found.violations or found.skipped:
                break
    return found
