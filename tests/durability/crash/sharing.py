"""Two processes on one store: by opening it twice, and by forking."""

from __future__ import annotations

import random
import re
import subprocess
import time

from . import programs
from .report import Report
from .shop import Shop


OPENERS = 4
REFUSAL_LIMIT_MS = 1000
FORKS_PER_LIFE = 25
FORKED_WELL = "0"
PROBLEMS = {
    "10": "a call was allowed",
    "11": "a call took too long",
    "12": "another error",
}


def openers(count: int, seed: int) -> Report:
    """Let `count` processes race for one store, a few at a time."""
    report = Report("two-openers", seed)
    chance = random.Random(seed)
    with programs.scratch() as folder:
        command = [
            programs.PYTHON,
            str(programs.SUBJECTS / "opener.py"),
            str(folder / "store"),
        ]
        while report.trials < count:
            racing = []
            for _ in range(OPENERS):
                racing.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                    )
                )
                time.sleep(chance.random() * 0.1)
            # whoever holds it lets go when asked: mostly the first, so it is asked last
            told = [process.communicate(timeout=60) for process in reversed(racing)]
            _judge_race([out.decode() + err.decode() for out, err in told], report)
    return report


def _judge_race(told: list[str], report: Report) -> None:
    """Some win, one after the other; the others are told at once by whom it is held."""
    winners = {line.split()[1] for line in told if line.startswith("open ")}
    if not winners:
        report.violation(f"nobody could open it: {told}")
    for line in told:
        report.trial()
        report.count(line.split()[0] if line else "silence")
        if line.startswith("open "):
            continue
        if not line.startswith("locked "):
            report.violation(f"an untyped end: {line[-400:]}")
            continue
        if int(line.split()[1]) > REFUSAL_LIMIT_MS * programs.patience():
            report.violation(f"the refusal took long: {line}")
        if not winners.intersection(re.findall(r"\d+", line)):
            report.violation(f"the holder is not named: {line}")


def forks(count: int, seed: int) -> Report:
    """Fork `count` times under load; each child gets a typed error, the parent notices nothing."""
    report = Report("forks", seed)
    with programs.scratch() as folder:
        shop = Shop(folder, report)
        while report.trials < count and not report.violations:
            wanted = str(min(FORKS_PER_LIFE, count - report.trials))
            process = shop.start("--forks", wanted, program="forking.py")
            if process.wait(300) != 0:
                report.violation(
                    f"the parent ended with {process.returncode}: {shop.said()}"
                )
            shop.journal.read()
            _judge_children(shop, report)
        shop.finish()
    return report


def _judge_children(shop: Shop, report: Report) -> None:
    for status in shop.journal.taken("forked"):
        report.trial()
        report.count(
            "refused in the child" if status == FORKED_WELL else f"status {status}"
        )
        if status != FORKED_WELL:
            report.violation(f"in a child: {PROBLEMS.get(status, f'status {status}')}")
