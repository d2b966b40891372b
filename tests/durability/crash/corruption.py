"""Damaged files: every store is opened in the program `corruption`, thousands a second."""

from __future__ import annotations

import subprocess

from . import programs
from .report import Report
from .subject import USUAL, Subject


def run(count: int, seed: int, kind: str = USUAL) -> Report:
    """Damage `count` copies of a store; each is refused with an error, or holds all records."""
    report = Report(Subject(kind).named("corruption"), seed)
    with programs.scratch() as folder:
        command = [str(programs.example("corruption")), kind, str(folder)]
        command += [str(count), str(seed)]
        done = subprocess.run(command, check=False, capture_output=True)
    for line in done.stdout.decode(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        if word == "violation":
            report.violation(rest)
        elif rest.endswith(" trials"):
            report.trials = int(rest.split()[0])
        else:
            amount, what = rest.split(" ", 1)
            report.count(what, int(amount))
    if done.returncode != 0:
        report.violation(f"ended with {done.returncode}: {done.stderr.decode()[-400:]}")
    return report
