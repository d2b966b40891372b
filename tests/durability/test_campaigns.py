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
    "controls": (controls.run, 20),
    "corruption": (corruption.run, 300),
    "disk-full": (disk_full.run, 3),
    "ext4-cut": (ext4_cut.run, 3),
    "engine-errors": (engine_faults.errors, 3),
    "engine-power-cut": (engine_faults.power_cuts, 4),
    "exits": (leaving.exits, 8),
    "forks": (sharing.forks, 10),
    "io-errors": (io_errors.run, 40),
    "kill-loop": (kill_loop.run, 6),
    "kill-points": (kill_points.run, 40),
    "power-cut": (power_cut.run, 80),
    "signals": (leaving.signals, 4),
    "two-openers": (sharing.openers, 8),
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
