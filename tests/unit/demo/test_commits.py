"""A git history is read in order, with numbers that stay as the branch grows."""

import subprocess
from pathlib import Path

import pytest

from durable.demo.commits import GitError, GitHistory


def git(folder: Path, *arguments: str) -> None:
    identity = [
        "-c",
        "user.name=Ada L",
        "-c",
        "user.email=a@b.c",
        "-c",
        "commit.gpgsign=false",
    ]
    command = ["git", *identity, "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # git


def commit(folder: Path, name: str, text: bytes) -> None:
    (folder / name).write_bytes(text)
    git(folder, "add", ".")
    git(folder, "commit", "-m", f"Change {name}\x1f with | odd \x1f letters")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "some repo"
    folder.mkdir()
    git(folder, "init", "-b", "main")
    commit(folder, "a.txt", b"one\ntwo\n")
    commit(folder, "a.txt", b"one\n")
    commit(folder, "picture.bin", b"\x00\x01\x02")
    return folder


def test_commits_come_oldest_first_with_what_they_touched(repository: Path) -> None:
    history = GitHistory(repository)
    first, second, third = history.newest(10)
    assert history.name == "some repo"
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert (first.files, first.insertions, first.deletions) == (1, 2, 0)
    assert (second.files, second.insertions, second.deletions) == (1, 0, 1)
    assert (third.files, third.insertions, third.deletions) == (1, 0, 0)
    assert first.author == "Ada L"


def test_a_limit_keeps_the_newest_and_their_numbers(repository: Path) -> None:
    whole = GitHistory(repository).newest(10)
    assert GitHistory(repository).newest(2) == whole[1:]
    commit(repository, "b.txt", b"more\n")
    assert GitHistory(repository).newest(4)[:3] == whole


def test_a_merge_is_one_commit_with_all_it_brought(repository: Path) -> None:
    git(repository, "checkout", "-b", "side")
    commit(repository, "c.txt", b"1\n2\n3\n")
    commit(repository, "d.txt", b"4\n")
    git(repository, "checkout", "main")
    git(repository, "merge", "--no-ff", "side", "-m", "Merge")
    merge = GitHistory(repository).newest(1)[0]
    assert (merge.number, merge.files, merge.insertions) == (4, 2, 4)


def test_a_folder_below_the_top_works_too(repository: Path) -> None:
    (repository / "below").mkdir()
    assert GitHistory(repository / "below").path == repository.resolve()


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="is in no git repository"):
        GitHistory(tmp_path)
    with pytest.raises(GitError, match="is not a folder"):
        GitHistory(tmp_path / "absent")


def test_an_empty_repository_is_told(tmp_path: Path) -> None:
    git(tmp_path, "init")
    with pytest.raises(GitError, match="has no commits yet"):
        GitHistory(tmp_path)
