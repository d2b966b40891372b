"""Measure the engine as a whole: `python bench/run.py [W1 W2 ...] [--rounds 3] [--quick]`.

Each load runs in a fresh process on a fresh store in a real folder; the loads take turns, round by round, and the
disk's own figures are read right before each. The result goes to bench/results/whole.json.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import limits  # noqa: E402 - found through the line above


SIZES: dict[str, list[int]] = {
    "W1": [10_000, 100_000],
    "W1L": [10_000, 100_000],
    "W2": [2_000, 20_000],
    "W3": [200_000],
    "W4": [10_000],
    "W5": [500],
    "W6": [1_000_000],
    "W7": [1_000, 10_000, 100_000, 1_000_000],
    "W8": [5_000, 50_000],
    "W9": [2_000, 20_000],
}
QUICK: dict[str, list[int]] = {
    "W1": [2_000],
    "W1L": [2_000],
    "W2": [400],
    "W3": [20_000],
    "W4": [1_000],
    "W5": [100],
    "W6": [50_000],
    "W7": [1_000, 20_000],
    "W8": [1_000],
    "W9": [400],
}
CHILD_TIMEOUT_S = 1_800


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    cpu = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "cpu": cpu[0] if cpu else platform.processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def real_folder(parent: Path) -> Path:
    """A new folder on a disk; refused where writes only go to memory."""
    parent.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(parent)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if kind in {"tmpfs", "ramfs"}:
        message = f"{parent} is on {kind}: a sync there measures nothing"
        raise SystemExit(message)
    return Path(tempfile.mkdtemp(prefix="bench-", dir=parent))


def in_child(load: str, store: Path, count: int) -> dict[str, object]:
    """Run one load in a process of its own and read its last line."""
    command = [sys.executable, str(HERE / "run.py"), "--child", load, str(store)]
    done = subprocess.run(
        [*command, str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHILD_TIMEOUT_S,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:] or ["no output"]}
    figures: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(load: str, count: int, folder: Path) -> dict[str, object]:
    """One row: the disk right before, the load, the machine's load average."""
    work = real_folder(folder)
    try:
        row: dict[str, object] = {"system": "durable", "load": load, "count": count}
        row["loadavg"] = os.getloadavg()[0]
        row["fdatasync_ms"] = limits.fdatasync_ms(work, 0.5)
        if load == "W6":
            row["build"] = in_child("W6-build", work / "store", count)
        row["figures"] = in_child(load, work / "store", count)
        return row
    finally:
        shutil.rmtree(work, ignore_errors=True)


def child(load: str, store: Path, count: int) -> None:
    """In the child: one load, its figures as a line of JSON."""
    from scenarios.loads import LOADS  # noqa: PLC0415 - only the child needs the engine

    figures = asyncio.run(LOADS[load](store, count))
    print(json.dumps(figures, default=str))


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loads", nargs="*", default=list(SIZES), metavar="W1..W9")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth, once")
    parser.add_argument("--folder", type=Path, default=HERE / ".state")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--note", default="", help="what a reader should know of it")
    parser.add_argument("--child", nargs=3, metavar=("LOAD", "STORE", "COUNT"))
    return parser.parse_args()


def main() -> None:
    """Round by round, load by load."""
    given = arguments()
    if given.child:
        load, store, count = given.child
        child(load, Path(store), int(count))
        return
    sizes, rounds = (QUICK, 1) if given.quick else (SIZES, given.rounds)
    result: dict[str, object] = {"machine": machine() | {"note": given.note}}
    folder = real_folder(given.folder)
    try:
        result["limits"] = [limits.all_limits(folder) for _ in range(rounds)]
        rows = []
        for number in range(rounds):
            for load in given.loads:
                for count in sizes[load]:
                    row = measure(load, count, folder) | {"round": number}
                    rows.append(row)
                    print(json.dumps(row), flush=True)
        result["rows"] = rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    name = "quick.json" if given.quick else "whole.json"
    out = given.out or HERE / "results" / name
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
