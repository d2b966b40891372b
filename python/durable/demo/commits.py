"""A git history as commits in order, read with `git log --numstat`."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD: Final = "\x1e"
_FIELD: Final = "\x1f"
_COUNT_FIELDS: Final = 3


@dataclass(frozen=True, slots=True)
class PushedCommit:
    """One commit as git tells it.

    Attributes:
        number: which commit of the branch it is, from 1 on; stays as the branch grows.
        sha: its hash.
        author: who wrote it.
        at: when it was committed, ms since the epoch.
        files: how many files it touched.
        insertions: lines it added.
        deletions: lines it took away.
    """

    number: int
    sha: str
    author: str
    at: int
    files: int
    insertions: int
    deletions: int


class GitError(Exception):
    """A folder has no git history that can be read: the text says why and what to do."""


class GitHistory:
    """The branch that is checked out in a folder, seen along its first parents.

    Attributes:
        path: the top folder of the repository.
        name: that folder's name.
        root: the hash of the branch's first commit, shortened.
        commit_count: how many commits the branch has.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            text = f"{folder} is not a folder"
            raise GitError(text)
        self.path = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
        self.name = self.path.name
        listed = _git(folder, "rev-list", "--first-parent", "HEAD").split()
        self.commit_count = len(listed)
        self.root = listed[-1][:12]

    def newest(self, limit: int) -> list[PushedCommit]:
        """The newest commits, the oldest of them first."""
        log = _git(
            self.path,
            *("log", "--first-parent", "-m", "--numstat", "--no-renames"),
            f"--max-count={limit}",
            f"--format={_RECORD}%H{_FIELD}%an{_FIELD}%ct{_FIELD}",
        )
        records = log.split(_RECORD)[1:]
        first = self.commit_count - len(records) + 1
        return list(_parsed(reversed(records), first))


def _parsed(records: Iterator[str], first: int) -> Iterator[PushedCommit]:
    for number, record in enumerate(records, first):
        sha, author, seconds, numstat = record.split(_FIELD, 3)
        counts = [_counts(line) for line in numstat.splitlines() if line.strip()]
        yield PushedCommit(
            number=number,
            sha=sha,
            author=author,
            at=int(seconds) * 1000,
            files=len(counts),
            insertions=sum(added for added, _ in counts),
            deletions=sum(deleted for _, deleted in counts),
        )


def _counts(line: str) -> tuple[int, int]:
    """Lines added and deleted; git writes `-` for files that are not text."""
    added, deleted, *_ = line.split("\t", _COUNT_FIELDS - 1)
    return (
        int(added) if added.isdigit() else 0,
        int(deleted) if deleted.isdigit() else 0,
    )


def _git(folder: Path, *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        text = "git is not installed, or not on the PATH"
        raise GitError(text)
    done = subprocess.run(  # noqa: S603  # git, with arguments of our own
        [program, "-C", str(folder), *arguments],
        env={**os.environ, "LC_ALL": "C"},  # its reasons are read below
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode == 0:
        return done.stdout
    raise GitError(_reason(folder, done.stderr))


def _reason(folder: Path, said: str) -> str:
    if "not a git repository" in said:
        return f"{folder.resolve()} is in no git repository"
    if "ambiguous argument 'HEAD'" in said or "unknown revision" in said:
        return f"the git repository at {folder.resolve()} has no commits yet"
    lines = said.strip().splitlines()
    return f"git cannot read {folder.resolve()}: {lines[-1] if lines else 'no reason given'}"
