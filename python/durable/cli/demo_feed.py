"""The demo's events: the newest commits of a git history, or a file of events, at a pace to watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from durable.demo.commits import GitError, GitHistory

from .event_file import Batch, EventFile
from .failure import CommandError


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from durable import Event
    from durable.demo.commits import PushedCommit

_FEED_S: Final = 8.0
_BATCHES: Final = 80
_NAME: Final = "repo/commit.pushed"
_OTHER_SOURCES: Final = (
    "Start it in a git repository, or give one: durable demo --git PATH\n"
    "Or give events: durable demo --events FILE.jsonl[.gz]"
)


@dataclass(frozen=True, slots=True)
class CommitFeed:
    """Commits as a session's source, spread over a few seconds.

    Attributes:
        source: what names it to the engine.
        title: what it is, in words.
        events: each event with its position in the source.
    """

    source: str
    title: str
    events: Sequence[tuple[int, Event[Any]]]

    @property
    def pause_s(self) -> float:
        """So that the whole of it takes eight seconds."""
        return _FEED_S / _BATCHES

    @property
    def last_position(self) -> int:
        """The position of its last event; 0 where there is none."""
        return self.events[-1][0] if self.events else 0

    def waiting(self, accepted: int) -> int:
        """How many of its events are behind a position."""
        return sum(position > accepted for position, _ in self.events)

    def batches(self, accepted: int) -> Iterator[Batch]:
        """The events behind a position."""
        left = [one for one in self.events if one[0] > accepted]
        size = max(1, -(-len(self.events) // _BATCHES))
        for first in range(0, len(left), size):
            part = left[first : first + size]
            yield Batch([event for _, event in part], part[-1][0], 0)


def commits_from_git(folder: Path, limit: int) -> CommitFeed:
    """The newest commits of the branch that is checked out.

    Raises:
        CommandError: there is no repository, or it has no commits.
    """
    try:
        history = GitHistory(folder)
        commits = history.newest(limit)
    except GitError as error:
        raise CommandError(str(error), _OTHER_SOURCES) from None
    shown = (
        f"the {len(commits)} newest commits" if len(commits) > 1 else "the one commit"
    )
    return CommitFeed(
        source=f"git:{history.path}#{history.root}",
        title=f"{shown} of {history.path}",
        events=[(one.number, _event(one, history.name)) for one in commits],
    )


def commits_from_file(path: Path, limit: int) -> CommitFeed:
    """The first events of a file, all of which must be commits.

    Raises:
        CommandError: the file cannot be read, or something in it is no commit.
    """
    file = EventFile(path)
    events: list[tuple[int, Event[Any]]] = []
    for batch in file.batches(0, 1):
        for event in batch.events:
            _check(event, f"{path}, line {batch.position}")
            events.append((batch.position, event))
        if len(events) >= limit:
            break
    if not events:
        text = f"{path} has no events"
        raise CommandError(text, _OTHER_SOURCES)
    return CommitFeed(file.source, f"the first {len(events)} events of {path}", events)


def _event(commit: PushedCommit, repo: str) -> Event[Any]:
    from durable import Event  # noqa: PLC0415  # slow to import

    data = {
        "repo": repo,
        "author": commit.author,
        "files": commit.files,
        "insertions": commit.insertions,
        "deletions": commit.deletions,
    }
    return Event(_NAME, data, id=commit.sha, ts=commit.at)


def _check(event: Event[Any], where: str) -> None:
    from pydantic import ValidationError  # noqa: PLC0415  # slow to import

    from durable.demo.pipeline import Commit  # noqa: PLC0415  # makes the application

    if event.name != _NAME:
        text = f"{where}: the demo knows {_NAME!r} only, this is {event.name!r}"
        raise CommandError(
            text, "Other events go to an application of yours: durable run MODULE:APP"
        )
    try:
        Commit.model_validate(event.data)
    except ValidationError as error:
        first = error.errors()[0]
        text = f"{where}: data.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        form = 'Data is {"repo", "author", "files", "insertions", "deletions"}.'
        raise CommandError(text, form) from None
