"""The example tells its story as it stands, and to the same end when it is killed in the middle."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251  # from a seed

import pytest

import durable


pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "examples/order_fulfilment.py"
TIMEOUT_S = 120

#: What is done outside for each order, each thing once.
STORY = {
    "o1": "placed, reserved, charged, sent, handed over, closed: delivered",
    "o2": "placed, reserved, charged, sent, handed over, closed: delivered",
    "o3": "placed, reserved, released, closed: failed",
    "o4": "placed, closed: withdrawn",
    "o5": "placed, reserved, charged, sent, released, refunded, closed: failed",
    "o6": "placed, closed: expired",
    "o7": "placed, closed: refused",
    "o8": "placed, reserved, charged, sent, released, refunded, closed: withdrawn",
}
#: How many runs of each function end in which way; reports are counted by themselves.
ENDED = {
    ("fulfil", "completed"): 4,
    ("fulfil", "failed"): 2,
    ("fulfil", "cancelled"): 2,
    ("ship", "completed"): 2,
    ("ship", "failed"): 1,
    ("ship", "cancelled"): 1,
    ("fulfil-failure", "completed"): 2,
    ("take_back", "completed"): 2,
}


def play(folder: Path, is_enough: Callable[[str], bool]) -> tuple[list[str], bool]:
    """The story's lines, to its end or until one is enough and it is killed; True if it was."""
    command = [sys.executable, str(PROGRAM), str(folder)]
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603  # ourselves
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        guard = threading.Timer(TIMEOUT_S, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.rstrip())
                if is_enough(line):
                    process.kill()
                    return said, True
        finally:
            guard.cancel()
    assert process.returncode == 0, "\n".join(said)
    return said, False


def rows(folder: Path) -> list[tuple[str, str, str, int]]:
    """The ledger: token, order, what was done, how often it was asked for."""
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger:
        query = "SELECT token, order_id, what, asked FROM done ORDER BY rowid"
        return ledger.execute(query).fetchall()


def asked(folder: Path) -> dict[str, int]:
    """How often each token was asked for."""
    return {token: times for token, _, _, times in rows(folder)}


async def runs_of(folder: Path) -> list[durable.Run]:
    """All runs of a copy of the store, with their steps."""
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    no_sockets = shutil.ignore_patterns("owner.sock")
    shutil.copytree(folder / "store", copy, ignore=no_sockets)
    async with durable.Engine(store=copy, clock="virtual") as engine:
        listed = await engine.runs.list(limit=1000)
        return [await engine.runs.get(run.id) for run in listed]


def recorded(runs: Iterable[durable.Run]) -> set[str]:
    """The tokens of the steps that have a result in the store."""
    return {
        f"{run.id}:{step.name}"
        for run in runs
        for step in run.steps.values()
        if step.kind == "run" and step.status in {"completed", "failed"}
    }


def check_the_end(folder: Path) -> None:
    """Every order ended as it must, and what was done for it was done once."""
    for order_id, story in STORY.items():
        done = [what for _, order, what, _ in rows(folder) if order == order_id]
        wanted = story.split(", ")  # what is done at once may come in either order
        assert sorted(done) == sorted(wanted), order_id
        assert (done[0], done[-1]) == (wanted[0], wanted[-1])
    runs = asyncio.run(runs_of(folder))
    assert all(run.is_ended for run in runs)
    found = Counter((run.function, run.status) for run in runs)
    assert found.pop(("nightly_report", "completed")) >= 2
    assert found == ENDED


def play_and_kill(folder: Path, moments: Iterable[Callable[[str], bool]]) -> int:
    """Play to the end, killed at each of these moments that comes: how often it was.

    What was recorded before a kill is not asked for again by any later process.
    """
    kept: dict[str, int] = {}
    for kills, is_enough in enumerate([*moments, never]):
        _, is_killed = play(folder, is_enough)
        now = asked(folder)
        assert {token: now[token] for token in kept} == kept, "repeated"
        if not is_killed:
            return kills
        for token in recorded(asyncio.run(runs_of(folder))) & now.keys():
            kept.setdefault(token, now[token])
    raise AssertionError


def never(_: str) -> bool:
    return False


def at(text: str) -> Callable[[str], bool]:
    return lambda line: text in line


def after(count: int) -> Callable[[str], bool]:
    left = iter(range(count, -1, -1))
    return lambda _: next(left) == 1


def test_the_story_is_told_as_it_stands(quick_folder: Path) -> None:
    """Each order ends as it must, a report comes at midnight, and started again it says so."""
    said, _ = play(quick_folder / "shop", never)
    check_the_end(quick_folder / "shop")
    assert set(asked(quick_folder / "shop").values()) == {1}
    reports = [line for line in said if line.startswith("--  report")]
    assert re.match(r"--  report, 20\d\d-\d\d-\d\dT00:00:00Z: ", reports[0])
    assert reports[-1].startswith("--  report, at the end: {'open': 0, 'delivered': 2,")
    again, _ = play(quick_folder / "shop", never)
    assert again[0].startswith("Found 15 events")
    assert reports[-1] in again
    check_the_end(quick_folder / "shop")


def test_killed_inside_of_steps_it_charges_and_refunds_once(quick_folder: Path) -> None:
    """The outside was asked, its answer not yet recorded: it is asked again, under the same token."""
    lines = [
        "o1  card is charged",
        "o4  is withdrawn",
        "o8  is on its way to the moon",
        "o5  card is given back",
        "o6  closed",
    ]
    assert play_and_kill(quick_folder / "shop", map(at, lines)) == len(lines)
    check_the_end(quick_folder / "shop")
    assert max(asked(quick_folder / "shop").values()) > 1


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_it_goes_on(quick_folder: Path, seed: int) -> None:
    chance = Random(seed)  # noqa: S311  # the same moments each time
    moments = [after(chance.randint(2, 16)) for _ in range(6)]
    assert play_and_kill(quick_folder / "shop", moments) >= 3
    check_the_end(quick_folder / "shop")
