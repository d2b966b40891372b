"""What a campaign has done and found."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator

TOLD_LIMIT = 10
RESULTS = Path(__file__).parent.parent / "results"


@dataclass
class Report:
    """Counts, and every broken promise with what is needed to look at it again."""

    campaign: str
    seed: int
    trials: int = 0
    tally: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic, repr=False)
    _told: float = field(default_factory=time.monotonic, repr=False)

    def count(self, what: str, amount: int = 1) -> None:
        """Add to one of the figures."""
        self.tally[what] = self.tally.get(what, 0) + amount

    def violation(self, what: str) -> None:
        """A promise was broken."""
        self.violations.append(what)
        if len(self.violations) <= TOLD_LIMIT:
            print(f"VIOLATION {self.campaign}: {what}", file=sys.stderr, flush=True)

    def trial(self) -> None:
        """One more; now and then say how far it is."""
        self.trials += 1
        self.seconds = time.monotonic() - self._started
        if time.monotonic() - self._told > 10:
            self._told = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """One line for people."""
        if self.skipped:
            return f"{self.campaign}: SKIPPED, {self.skipped}"
        figures = ", ".join(f"{what} {n:,}" for what, n in sorted(self.tally.items()))
        return (
            f"{self.campaign}: {self.trials:,} trials in {self.seconds:.0f} s, "
            f"{len(self.violations)} violations ({figures}), seed {self.seed}"
        )

    def save(self, command: str) -> None:
        """Keep it for the table in docs/reliability.md."""
        self.seconds = time.monotonic() - self._started
        RESULTS.mkdir(exist_ok=True)
        kept = {
            "command": command,
            "trials": self.trials,
            "violations": self.violations[:20],
            "violation_count": len(self.violations),
            "tally": dict(sorted(self.tally.items())),
            "skipped": self.skipped,
            "seconds": round(self.seconds),
            "seed": self.seed,
        }
        path = RESULTS / f"{self.campaign}.json"
        path.write_text(json.dumps(kept, indent=2) + "\n")


def result_rows() -> Iterator[str]:
    """A row of the table for each campaign that was kept."""
    for path in sorted(RESULTS.glob("*.json")):
        kept = json.loads(path.read_text())
        tally = "; ".join(f"{what} {n:,}" for what, n in kept["tally"].items())
        told = f"SKIPPED: {kept['skipped']}" if kept["skipped"] else tally
        yield (
            f"| {path.stem} | {kept['trials']:,} | {kept['violation_count']:,} | {told} "
            f"| {kept['seconds']:,} s | `{kept['command']}` |\n"
        )
