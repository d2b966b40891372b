"""Processes that end with work in flight, in every way a Python program ends."""

from __future__ import annotations

import random
import signal
import subprocess
import time

from . import programs
from .report import Report
from .shop import Shop


LIMIT_S = 2.0
HANG_S = 30.0

# The ways of subjects/leaving.py, and the exit status of each.
WAYS = {
    "return": 0,
    "sys-exit": 3,
    "exception": 1,
    "os-exit": 7,
    "daemon-thread": 0,
    "loop-closed": 0,
}
SIGNALS = {signal.SIGINT: {-signal.SIGINT, 130}, signal.SIGTERM: {-signal.SIGTERM}}


def exits(count: int, seed: int) -> Report:
    """Leave `count` times, in eight ways in turn: the six above and two signals."""
    report = Report("exits", seed)
    chance = random.Random(seed)
    ways: list[str | signal.Signals] = [*WAYS, *SIGNALS]
    with programs.scratch() as folder:
        shop = Shop(folder, report)
        while report.trials < count and not report.violations:
            way = ways[report.trials % len(ways)]
            if isinstance(way, str):
                _leave(shop, way, chance, report=report)
            else:
                _interrupt(shop, way, chance, report=report)
            report.trial()
        shop.finish()
    return report


def signals(count: int, seed: int) -> Report:
    """Interrupt `count` times at any moment; one SIGINT in four comes twice."""
    report = Report("signals", seed)
    chance = random.Random(seed)
    with programs.scratch() as folder:
        shop = Shop(folder, report)
        while report.trials < count and not report.violations:
            _interrupt(shop, chance.choice(list(SIGNALS)), chance, report=report)
            report.trial()
        shop.finish()
    return report


def _leave(shop: Shop, way: str, chance: random.Random, *, report: Report) -> None:
    after = f"{chance.random() * 0.2:.3f}"
    process = shop.start("--way", way, "--after", after, program="leaving.py")
    if not shop.wait_for(process, "leaving"):
        report.violation(f"{way}: did not come to leave: {shop.said()}")
    _judge(shop, process, way, report=report)
    if process.returncode != WAYS[way]:
        report.violation(f"{way}: ended with {process.returncode}: {shop.said()}")


def _interrupt(
    shop: Shop, number: signal.Signals, chance: random.Random, *, report: Report
) -> None:
    process = shop.start()
    if not shop.wait_until_open(process):
        process.kill()
        return
    time.sleep(chance.random() * 0.2)
    process.send_signal(number)
    if number == signal.SIGINT and chance.random() < 0.25:
        time.sleep(chance.random() * 0.05)
        process.send_signal(number)
        report.count("interrupted twice")
    _judge(shop, process, number.name, report=report)
    if process.returncode not in SIGNALS[number]:
        report.violation(
            f"{number.name}: ended with {process.returncode}: {shop.said()}"
        )


def _judge(
    shop: Shop, process: subprocess.Popen[bytes], way: str, *, report: Report
) -> None:
    """It ends, soon; the next process finds the store in order."""
    began = time.monotonic()
    try:
        process.wait(HANG_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler tells where each thread is
        process.wait()
        report.violation(f"{way}: hangs: {shop.said()}")
    took = time.monotonic() - began
    report.count(f"by {way}")
    report.tally["slowest, ms"] = max(
        report.tally.get("slowest, ms", 0), int(took * 1000)
    )
    if took > LIMIT_S * programs.patience():
        report.violation(f"{way}: took {took:.1f} s to end")
    shop.journal.read()
