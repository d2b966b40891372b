"""`kill -9` for ever on one store: a real engine with events, steps, sleeps and retries in flight."""

from __future__ import annotations

import random
import signal
import time

from . import programs
from .report import Report
from .shop import Shop


def run(count: int, seed: int) -> Report:
    """Kill `count` processes, one after the other, then let the last one finish everything."""
    report = Report("kill-loop", seed)
    chance = random.Random(seed)
    with programs.scratch() as folder:
        shop = Shop(folder, report)
        while report.trials < count and not report.violations:
            _live_and_die(shop, chance, report)
            report.trial()
        shop.finish()
    return report


def _live_and_die(shop: Shop, chance: random.Random, report: Report) -> None:
    """Half are killed at any moment from the start of the interpreter on, half once at work."""
    process = shop.start()
    if chance.random() < 0.5:
        shop.wait_until_open(process)
        time.sleep(chance.random() * 0.25)
    else:
        time.sleep(chance.random() * 0.6)
    ended = process.poll()
    process.send_signal(signal.SIGKILL)
    process.wait()
    if ended is not None:
        report.violation(f"ended by itself with {ended}: {shop.said()}")
    shop.journal.read()
    report.count("killed at work" if shop.journal.is_open else "killed while opening")
