"""The demo's events come from a git history or a file, in steps to watch, behind what was accepted."""

import json
import subprocess
from pathlib import Path

import pytest

from durable.cli.demo_feed import CommitFeed, commits_from_file, commits_from_git
from durable.cli.failure import CommandError


def commit_line(number: int) -> str:
    data = {
        "repo": "r",
        "author": "ada",
        "files": 1,
        "insertions": number,
        "deletions": 0,
    }
    return json.dumps(
        {"id": f"c{number}", "name": "repo/commit.pushed", "ts": number, "data": data}
    )


def written(folder: Path, *lines: str) -> Path:
    path = folder / "commits.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def numbers(feed: CommitFeed, accepted: int) -> list[str | None]:
    return [event.id for batch in feed.batches(accepted) for event in batch.events]


@pytest.mark.parametrize("accepted", [0, 1, 150, 299, 300])
def test_a_file_goes_on_behind_what_was_accepted(tmp_path: Path, accepted: int) -> None:
    feed = commits_from_file(written(tmp_path, *map(commit_line, range(1, 301))), 1000)
    assert numbers(feed, accepted) == [f"c{n}" for n in range(accepted + 1, 301)]
    assert feed.waiting(accepted) == 300 - accepted
    positions = [batch.position for batch in feed.batches(accepted)]
    assert positions == sorted(set(positions))
    assert not positions or positions[-1] == feed.last_position


def test_a_limit_takes_the_first_events_of_a_file(tmp_path: Path) -> None:
    feed = commits_from_file(written(tmp_path, *map(commit_line, range(1, 9))), 3)
    assert numbers(feed, 0) == ["c1", "c2", "c3"]


def test_a_few_commits_come_one_by_one(tmp_path: Path) -> None:
    feed = commits_from_file(written(tmp_path, *map(commit_line, range(1, 9))), 100)
    assert [len(batch.events) for batch in feed.batches(0)] == [1] * 8


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"name":"shop/order.placed"}', "repo/commit.pushed"),
        ('{"name":"repo/commit.pushed","data":{"repo":"r"}}', "data.author"),
    ],
)
def test_an_event_that_is_no_commit_is_named(
    tmp_path: Path, line: str, told: str
) -> None:
    with pytest.raises(CommandError) as caught:
        commits_from_file(written(tmp_path, commit_line(1), line), 10)
    assert "line 2" in caught.value.text
    assert told in caught.value.text


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="has no events"):
        commits_from_file(written(tmp_path), 10)


def test_no_repository_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        commits_from_git(tmp_path, 10)
    assert "--git PATH" in caught.value.hint
    assert "--events FILE" in caught.value.hint


def test_a_history_of_one_commit_is_enough(tmp_path: Path) -> None:
    identity = [
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=a@b.c",
        "-c",
        "commit.gpgsign=false",
    ]
    for arguments in (["init"], ["commit", "--allow-empty", "-m", "Begin"]):
        command = ["git", *identity, "-C", str(tmp_path), *arguments]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # git
    feed = commits_from_git(tmp_path, 10)
    assert feed.title.startswith("the one commit of")
    ((position, event),) = feed.events
    assert position == 1
    assert event.data == {
        "repo": tmp_path.name,
        "author": "Ada",
        "files": 0,
        "insertions": 0,
        "deletions": 0,
    }
