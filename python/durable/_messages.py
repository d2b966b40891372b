"""Messages of channels: what a subscriber is given, where it goes on from, and what a run's own records say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ._codec import read_plain, write_plain
from ._errors import ConfigError
from ._failure import read_error
from ._setting import wrong_id


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._bridge import MessagePage, RunTuple, StepTuple

#: The topics of a run's own channel, and of the sign that messages are gone.
STEP: Final = "$step"
RUN: Final = "$run"
MISSED: Final = "$missed"

_MAX_TOPIC_BYTES: Final = 128
_ID: Final = re.compile(r"(\d{1,19})-(\d{1,9})", re.ASCII)
_RUN_ID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a subscriber is given it.

    Attributes:
        id: where to go on behind it: `engine.subscribe(channel, after=message.id)`. Opaque; on a run's channel its part
            before the `-` is that of the id that `publish` returned.
        channel: where it was published.
        topic: what it is about. `"$step"` and `"$run"` are a run's own, `"$missed"` stands for messages that are gone.
        data: as JSON has it.
        at: when it was published or recorded.
    """

    id: str
    channel: str
    topic: str
    data: Any
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How far a subscriber has got: the last message's number, and how much of a run it was given."""

    number: int = 0
    records: int = 0

    @property
    def id(self) -> str:
        """As an id."""
        return f"{self.number}-{self.records}"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one look at a channel found.

    Attributes:
        messages: in their order.
        position: how far one is behind them.
        is_whole: nothing more is there now.
        is_over: nothing more will come: its run has ended.
    """

    messages: tuple[Message, ...]
    position: Position
    is_whole: bool
    is_over: bool


def read_position(after: str) -> Position:
    """The position that a message's id stands for.

    Raises:
        ConfigError: it is no such id.
    """
    found = _ID.fullmatch(after)
    if found is None:
        text = f"subscribe: after={after!r}; accepted is the id of a message, or 'now'"
        raise ConfigError(text)
    return Position(int(found[1]), int(found[2]))


def is_run_id(channel: str) -> bool:
    """Whether a name has the form of a run's id, a ULID."""
    return _RUN_ID.fullmatch(channel) is not None


def check_names(channel: str, topics: Iterable[str]) -> None:
    """Refuse names that no channel or topic can have.

    Raises:
        ConfigError: one is empty or too long.
    """
    named = [("channel", channel), *(("topic", topic) for topic in topics)]
    for what, name in named:
        problem = wrong_id(what, "a name", name) if name else "a name is not empty"
        if not problem and what == "topic" and len(name.encode()) > _MAX_TOPIC_BYTES:
            problem = f"topic '{name}': a name has at most {_MAX_TOPIC_BYTES} bytes"
        if problem:
            text = f"{what}={name!r}: {problem}"
            raise ConfigError(text)


def _check_own(topic: str) -> None:
    """Refuse topics that only the engine publishes under.

    Raises:
        ConfigError: it is one of them.
    """
    if topic.startswith("$"):
        text = f"topic='{topic}': those that begin with '$' are the engine's own: leave it out"
        raise ConfigError(text)


def encode(channel: str, topic: str, data: object) -> bytes:
    """A message's data, its names checked.

    Raises:
        ConfigError: a name is not accepted.
        SerializationError: the data is not JSON.
    """
    check_names(channel, [topic])
    _check_own(topic)
    return write_plain(data, "data", f"channel '{channel}'")


def read_batch(
    channel: str,
    position: Position,
    *,
    page: MessagePage,
    run: RunTuple | None,
    most: int,
) -> Batch:
    """What is new on a channel behind a position.

    Args:
        channel: its name.
        position: how far one is.
        page: what was published behind it, `most` messages at most.
        run: the run that the channel is named by, read before `page`.
        most: see `page`.
    """
    published, missed, _ = page
    is_whole = len(published) < most
    messages: list[Message] = []
    if missed:
        first = published[0][0] if published else position.number + 1 + missed
        position = Position(first - 1, position.records)
        messages.append(Message(position.id, channel, MISSED, {"count": missed}))
    steps = [] if run is None else _recorded(run)
    news = [
        *((at, 0, number, topic, json) for number, topic, json, at in published),
        *_of_steps(steps, position.records),
    ]
    for at, is_record, number, topic, data in sorted(news, key=lambda new: new[:2]):
        position = (
            Position(position.number, number)
            if is_record
            else Position(number, position.records)
        )
        value = data if is_record else read_plain(data)
        messages.append(Message(position.id, channel, topic, value, _moment(at)))
    if run is None or run[3] not in _ENDED or not is_whole:
        return Batch(tuple(messages), position, is_whole, is_over=False)
    if position.records <= len(steps):
        position = Position(position.number, len(steps) + 1)
        ended = _moment(run[6] or run[4])
        messages.append(Message(position.id, channel, RUN, _of_run(run), ended))
    return Batch(tuple(messages), position, is_whole, is_over=True)


def newest_position(run: RunTuple | None, following: int) -> Position:
    """Behind all that there is; `following`: the number of the channel's next message."""
    records = 0 if run is None else len(_recorded(run)) + (run[3] in _ENDED)
    return Position(max(following - 1, 0), records)


_RECORDED: Final = frozenset({"completed", "failed"})


def _recorded(run: RunTuple) -> list[StepTuple]:
    return [step for step in run[10] if step[2] in _RECORDED]


def _of_steps(
    steps: list[StepTuple], seen: int
) -> Iterator[tuple[int, int, int, str, Any]]:
    """The records of a run's steps behind those seen; each counts as one."""
    for number, step in enumerate(steps[seen:], seen + 1):
        name, kind, status, json, _, asked_at, ended_at, _ = step
        data = {"step": name, "kind": kind, "status": status, **_outcome(status, json)}
        yield ended_at or asked_at, 1, number, STEP, data


def _of_run(run: RunTuple) -> dict[str, Any]:
    status, result, error = run[3], run[7], run[8]
    return {"status": status, **_outcome(status, error or result)}


def _outcome(status: str, json: bytes | None) -> dict[str, Any]:
    if status == "completed":
        return {"result": None if json is None else read_plain(json)}
    error = read_error(json or b"{}")
    return {"error": {"name": error["name"], "message": error["message"]}}


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
