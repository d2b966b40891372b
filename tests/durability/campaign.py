"""One command for every campaign: `python tests/durability/campaign.py NAME --count N [--seed S]`.

`table` puts the kept results into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parent))

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
    server_kills,
    sharing,
)
from crash.report import result_rows


DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
HEAD = """| campaign | trials | broken promises | what came of them | time | command |
|---|---|---|---|---|---|
"""

CAMPAIGNS = {
    "controls": controls.run,
    "corruption": corruption.run,
    "disk-full": disk_full.run,
    "ext4-cut": ext4_cut.run,
    "engine-errors": engine_faults.errors,
    "engine-power-cut": engine_faults.power_cuts,
    "exits": leaving.exits,
    "forks": sharing.forks,
    "io-errors": io_errors.run,
    "kill-loop": kill_loop.run,
    "kill-points": kill_points.run,
    "power-cut": power_cut.run,
    "server-kills": server_kills.run,
    "signals": leaving.signals,
    "two-openers": sharing.openers,
}


def table() -> None:
    """Write the table of the last runs."""
    before, rest = DOCUMENT.read_text().split("<!-- table -->\n")
    _, after = rest.split("<!-- /table -->\n")
    rows = "".join(result_rows())
    DOCUMENT.write_text(f"{before}<!-- table -->\n{HEAD}{rows}<!-- /table -->\n{after}")


def main() -> int:
    """Run one campaign; the exit status says whether a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*sorted(CAMPAIGNS), "table"])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--save", action="store_true", help="keep for docs/reliability.md"
    )
    chosen = parser.parse_args()
    if chosen.name == "table":
        table()
        return 0
    seed = random.randrange(2**32) if chosen.seed is None else chosen.seed
    print(f"{chosen.name}: seed {seed}", file=sys.stderr)
    report = CAMPAIGNS[chosen.name](chosen.count, seed)
    if chosen.save:
        report.save(
            f"python tests/durability/campaign.py {chosen.name} --count {chosen.count}"
        )
    print(report.line())
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
