"""The short form of every campaign; the long ones are commands, see docs/reliability.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from crash import (
    controls,
    corruption,
    disk_full,
    engine_faults,
    ext4_cut,
    io_errors,
    kill_loop,
    kill_points,
    leaving,
    power_cut,
    sharing,
)


if TYPE_CHECKING:
    from collections.abc import Callable

    from crash.report import Report

SEED = 20261121

SHORT: dict[str, tuple[Callable[[int, int], Report], int]] = {
    "controls": (controls.run, 12),
    "corruption": (corruption.run, 300),
    "disk-full": (disk_full.run, 3),
    "ext4-cut": (ext4_cut.run, 3),
    "engine-errors": (engine_faults.errors, 2),
    "engine-power-cut": (engine_faults.power_cuts, 2),
    "exits": (leaving.exits, 8),
    "forks": (sharing.forks, 10),
    "io-errors": (io_errors.run, 30),
    "kill-loop": (kill_loop.run, 5),
    "kill-points": (kill_points.run, 30),
    "power-cut": (power_cut.run, 60),
    "signals": (leaving.signals, 2),
    "two-openers": (sharing.openers, 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_nothing_that_was_promised_is_broken(name: str) -> None:
    run, count = SHORT[name]
    report = run(count, SEED)
    if report.skipped:
        pytest.skip(f"{name} CANNOT RUN HERE: {report.skipped}")
    assert report.violations == []
    assert report.trials >= (count if name != "controls" else 1)
