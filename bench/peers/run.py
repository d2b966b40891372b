"""Measure DBOS, Restate and Celery with the same loads as ours: `python bench/peers/run.py [--rounds 3]`.

Round by round, system by system, in turn and never at the same time, on one folder of one disk; the disk's own
figures are read right before each. The result goes to bench/results/peers.json, the rows we lose included.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path


HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import environments  # noqa: E402 - found through the line above

import limits  # noqa: E402 - as above
from run import in_child, machine, real_folder  # noqa: E402 - as above


#: How many, for each system: as many as it does in about half a minute; the rates do not depend on it.
SIZES: dict[str, dict[str, int]] = {
    "durable": {"W1": 10_000, "W2": 2_000, "W4": 1_000, "W5": 300},
    "restate": {"W1": 10_000, "W2": 2_000, "W4": 1_000, "W5": 300},
    "dbos": {"W1": 200, "W2": 100, "W4": 100, "W5": 100},
    "celery": {"W1": 10_000, "W2": 2_000, "W4": 1_000, "W5": 300},
}
TIMEOUT_S = 600


def of_ours(folder: Path, sizes: dict[str, int]) -> list[dict[str, object]]:
    """Our loads, a process and a store for each."""
    return [
        {"load": load, "count": n, "figures": in_child(load, folder / load, n)}
        for load, n in sizes.items()
    ]


def of_peer(
    system: str, folder: Path, sizes: dict[str, int]
) -> list[dict[str, object]]:
    """A peer's loads, by its own program in its own environment."""
    settings = dict(os.environ)
    if system == "restate":
        settings["RESTATE_SERVER"] = environments.restate_server()
    if system == "celery":
        settings["REDIS_SERVER"] = environments.redis_server()
    words = [f"{load}={count}" for load, count in sizes.items()]
    program = str(HERE / f"{system}_load.py")
    done = subprocess.run(
        [environments.python_of(system), program, str(folder), *words],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    rows = [json.loads(x) for x in done.stdout.splitlines() if x.startswith("{")]
    if done.returncode:
        error = done.stderr.strip().splitlines()[-1:]
        print(f"{system}: {error}", file=sys.stderr)
        rows.append({"load": "error", "count": 0, "figures": {"error": error}})
    return rows


def measure(
    system: str, folder: Path, sizes: dict[str, int]
) -> list[dict[str, object]]:
    """All rows of one system in one round."""
    work = real_folder(folder)
    try:
        before: dict[str, object] = {
            "system": system,
            "loadavg": os.getloadavg()[0],
            "fdatasync_ms": limits.fdatasync_ms(work, 0.5),
        }
        if system == "durable":
            rows = of_ours(work, sizes)
        else:
            rows = of_peer(system, work, sizes)
        return [before | row for row in rows]
    finally:
        shutil.rmtree(work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("systems", nargs="*", default=list(SIZES), metavar="SYSTEM")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth, once")
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".state")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "results" / "peers.json"
    )
    parser.add_argument("--note", default="", help="what a reader should know of it")
    return parser.parse_args()


def main() -> None:
    """Make the environments, then round by round, system by system."""
    given = arguments()
    for system in given.systems:
        if system != "durable":
            environments.python_of(system)
    share = 10 if given.quick else 1
    result: dict[str, object] = {"machine": machine() | {"note": given.note}}
    folder = real_folder(given.folder)
    rows = []
    try:
        for number in range(1 if given.quick else given.rounds):
            for system in given.systems:
                sizes = {k: max(20, n // share) for k, n in SIZES[system].items()}
                for row in measure(system, folder, sizes):
                    rows.append(row | {"round": number})
                    print(json.dumps(rows[-1]), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result["rows"] = rows
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
