"""One kind of store as a program: how it is written to, and how what is left is judged."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import programs


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIMIT_S = 30
USUAL = "durable:sled"


@dataclass(frozen=True)
class Verdict:
    """What was found: `word` is ok, lost, wrong, refused, panic or hang."""

    word: str
    detail: str

    @property
    def is_good(self) -> bool:
        """Nothing acknowledged is missing and nothing else is there."""
        return self.word == "ok"


@dataclass(frozen=True)
class Subject:
    """`kind` is a store of `store_writer`, or sqlite:MODE for the calibration."""

    kind: str

    @property
    def is_ours(self) -> bool:
        """Held to every promise; the others are controls."""
        return self.kind.startswith("durable:")

    def named(self, campaign: str) -> str:
        """The campaign's name, with the kind of store where it is not the usual one."""
        return (
            campaign
            if self.kind == USUAL
            else f"{campaign}-{self.kind}".replace(":", "-")
        )

    def _command(self, verb: str, folder: Path, number: int) -> list[str]:
        arguments = [verb, self.kind, str(folder), str(number)]
        if self.kind.startswith("sqlite:"):
            writer = programs.SUBJECTS / "sqlite_writer.py"
            return [programs.PYTHON, str(writer), *arguments]
        return [str(programs.example("store_writer")), *arguments]

    def write(
        self,
        folder: Path,
        count: int,
        *,
        under: Sequence[str] = (),
        record: Path | None = None,
    ) -> list[str]:
        """Append batches and give back the lines that came; `under` is strace and its like."""
        environment = dict(os.environ)
        if record is not None:
            environment |= {
                "LD_PRELOAD": str(programs.shim()),
                "CRASH_ROOT": str(folder.resolve()),
                "CRASH_LOG": str(record),
            }
        command = [*under, *self._command("write", folder, count)]
        done = subprocess.run(
            command,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )
        return done.stdout.decode().splitlines()

    def start(self, folder: Path, count: int, out: Path) -> subprocess.Popen[bytes]:
        """Append batches until somebody stops it; the lines go to a file."""
        with out.open("wb") as lines:
            return subprocess.Popen(
                self._command("write", folder, count),
                stdout=lines,
                stderr=subprocess.DEVNULL,
            )

    def verify(self, folder: Path, acked: int) -> Verdict:
        """Open what is left and compare it with what must be there."""
        try:
            done = subprocess.run(
                self._command("verify", folder, acked),
                check=False,
                capture_output=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return Verdict("hang", f"no answer within {LIMIT_S} s")
        line = done.stdout.decode(errors="replace").strip()
        if not line:
            return Verdict("panic", done.stderr.decode(errors="replace")[-400:])
        return Verdict(line.split()[0], line)


def last_acked(lines: Sequence[str]) -> int:
    """The newest batch that was promised to be there: acknowledged, or seen at the opening."""
    promised = [line.split()[1] for line in lines if line.startswith(("ack ", "open "))]
    return max(map(int, promised), default=0)
