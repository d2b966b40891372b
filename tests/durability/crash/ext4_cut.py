"""Power cuts on a real file system: ext4 in a file, copied under a stopped writer, mounted again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import programs
from .report import Report
from .subject import USUAL, Subject, Verdict, last_acked


if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE_BYTES = 192 << 20
ENDLESS = 10_000_000


def why_not() -> str:
    """The reason why this machine cannot do it, or nothing."""
    if os.geteuid() != 0:
        return "mounting an image needs root"
    if shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 is missing"
    with programs.scratch() as folder:
        try:
            with _mounted(_image(folder)):
                return ""
        except subprocess.CalledProcessError as error:
            return f"no loop mount here: {error.stderr.decode().strip()}"


def run(count: int, seed: int, kind: str = USUAL) -> Report:
    """Cut the power `count` times, each in a fresh image."""
    report = Report(Subject(kind).named("ext4-cut"), seed, skipped=why_not())
    chance = random.Random(seed)
    if report.skipped:
        return report
    subject = Subject(kind)
    while report.trials < count:
        with programs.scratch() as folder:
            acked, verdict = _cut(folder, subject, 0.05 + 0.6 * chance.random())
        report.count(verdict.word)
        report.count("acknowledged batches judged", acked)
        if not verdict.is_good:
            report.violation(
                f"cut {report.trials} with {acked} acknowledged: {verdict.detail}"
            )
        report.trial()
    return report


def _cut(folder: Path, subject: Subject, seconds: float) -> tuple[int, Verdict]:
    image, said = _image(folder), folder / "said"
    with _mounted(image) as disk:
        subject.write(disk, 1)
        subprocess.run(["sync", "--file-system", disk], check=True)
        writer = subject.start(disk, ENDLESS, said)
        time.sleep(seconds)
        writer.send_signal(signal.SIGSTOP)
        time.sleep(0.02)
        # before the copy: all that is judged was acknowledged before the cut
        acked = last_acked(_whole_lines(said))
        after = folder / "after"
        subprocess.run(["cp", "--sparse=always", image, after], check=True)
        writer.kill()
        writer.wait()
    with _mounted(after) as disk:
        return acked, subject.verify(disk, acked)


def _whole_lines(said: Path) -> list[str]:
    whole, _, _ = said.read_text().rpartition("\n")
    return whole.splitlines()


def _image(folder: Path) -> Path:
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    return image


@contextmanager
def _mounted(image: Path) -> Iterator[Path]:
    point = Path(f"{image}.mounted")
    point.mkdir()
    command = ["mount", "-o", "loop,commit=600", image, point]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True, capture_output=True)
