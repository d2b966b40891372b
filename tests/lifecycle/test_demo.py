"""The demo's pipeline on the real engine, in virtual time."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import durable
from durable.demo.ledger import Ledger
from durable.demo.pipeline import Commit, app, commit_pushed, ledger


HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def fresh_ledger() -> Iterator[Ledger]:
    ledger.close()
    ledger.path = ":memory:"
    yield ledger
    ledger.close()


def commit(
    number: int, *, author: str = "ada", lines: int = 10
) -> durable.Event[Commit]:
    data = Commit(repo="r", author=author, files=1, insertions=lines, deletions=0)
    return commit_pushed.event(data, id=f"c{number}", ts=number * HOUR_MS // 2)


@pytest.mark.asyncio
async def test_every_commit_is_classified_and_scored_and_every_author_gets_digests() -> (
    None
):
    commits = [commit(n, author=author) for author in ("ada", "bob") for n in range(4)]
    commits = [one.model_copy(update={"id": f"{n}"}) for n, one in enumerate(commits)]
    async with durable.Engine(app, store="memory:", clock="virtual:auto") as engine:
        await engine.send(commits)
        await engine.join()
        ended = [run async for run in _all_runs(engine)]
    assert {run.status for run in ended} == {"completed"}
    by_function = [run.function for run in ended]
    assert {name: by_function.count(name) for name in by_function} == {
        "classify": 8,
        "score": 8,
        "review": 8,
        "digest": 4,
    }
    assert sum(line.commit_count for line in ledger.by_kind()) == 8
    assert ledger.digest_count() == 4


@pytest.mark.asyncio
async def test_a_review_succeeds_on_its_third_try() -> None:
    async with durable.Engine(app, store="memory:", clock="virtual:auto") as engine:
        await engine.send(commit(1, lines=500))
        await engine.join()
        (listed,) = await engine.runs.list(function="review")
        run = await engine.runs.get(listed.id)
    assert run.result == "asked on try 3"
    assert run.steps["ask for a review"].attempts == 3


@pytest.mark.asyncio
async def test_a_digest_comes_an_hour_later() -> None:
    async with durable.Engine(app, store="memory:", clock="virtual:auto") as engine:
        began = engine.now_ms()
        await engine.send(commit(1))
        await engine.join()
        (run,) = await engine.runs.list(function="digest")
    assert run.ended_at is not None
    assert run.ended_at.timestamp() * 1000 >= began + HOUR_MS


async def _all_runs(engine: durable.Engine) -> AsyncIterator[durable.Run]:
    cursor = None
    while True:
        page = await engine.runs.list(limit=7, cursor=cursor)
        for run in page:
            yield run
        cursor = page.cursor
        if cursor is None:
            return


@pytest.mark.slow
def test_it_is_killed_and_goes_on(quick_folder: Path) -> None:
    """Killed in the middle, started again: every commit is in the ledger, every run has ended."""
    lines = [
        {
            "id": f"c{n}",
            "name": "repo/commit.pushed",
            "ts": n * HOUR_MS,
            "data": {
                "repo": "r",
                "author": "ada",
                "files": 1,
                "insertions": 150,
                "deletions": 0,
            },
        }
        for n in range(10)
    ]
    events = quick_folder / "commits.jsonl"
    events.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    kept = Ledger(quick_folder / "store-ledger.sqlite3")
    command = [sys.executable, "-m", "durable", "demo", "--json"]
    command += ["--events", str(events), "--store", str(quick_folder / "store")]
    quiet = subprocess.DEVNULL
    first = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603  # ourselves
    while sum(line.commit_count for line in kept.by_kind()) < 4:
        with contextlib.suppress(subprocess.TimeoutExpired):
            first.wait(timeout=0.02)
            pytest.fail("it ended too early")
    first.kill()
    first.wait()
    again = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ourselves
    assert "Found what was here before" in again.stderr
    functions = json.loads(again.stdout)["functions"]
    assert {name: one["done"] for name, one in functions.items()} == {
        "classify": 10,
        "score": 10,
        "review": 10,
        "digest": 10,
    }
    assert [(line.kind, line.commit_count) for line in kept.by_kind()] == [
        ("new code", 10)
    ]
    assert kept.digest_count() == 10
    kept.close()
