"""Events from a file: one JSON object a line, plain or gzipped, read from any line on."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final, cast

import orjson
from pydantic import ValidationError

from durable._events import Event

from .failure import CommandError
from .output import clip


if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_FIELDS: Final = frozenset({"id", "name", "data", "ts", "v", "user"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_FORM: Final = (
    'A line is one JSON object: {"name": "shop/order.placed", "data": {...}}, '
    'and "id", "ts" (ms since the epoch), "v" and "user" where wanted.\n'
    "Correct it and start again: what was accepted before stays accepted."
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events in the order of their lines.

    Attributes:
        events: the events.
        position: how many lines of the file have been read with this batch.
        bytes_read: how far into the file (as it lies on disk) reading has come.
    """

    events: list[Event[Any]]
    position: int
    bytes_read: int


class EventFile:
    """A file of events. Its `source` names it to the engine: its path and the beginning of its text.

    A file that has grown is the same source; one that was replaced under the same name is not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = _size(path)
        with _opened(path) as (text, _):
            first = b"".join(_next_lines(text, 1, (path, 0)))
        mark = hashlib.sha256(first).hexdigest()[:16]
        self.source = f"file:{path.resolve()}#{mark}"

    def batches(self, skip: int, size: int) -> Iterator[Batch]:
        """The events behind the first `skip` lines, at most `size` lines a batch.

        Raises:
            CommandError: a line is no event, the file cannot be read, or it has fewer than `skip` lines.
        """
        position = 0
        with _opened(self.path) as (text, raw):
            while position < skip:
                wanted = min(size, skip - position)
                passed = len(_next_lines(text, wanted, (self.path, position)))
                position += passed
                if not passed:
                    raise _shrunk(self.path, position, skip)
            while lines := _next_lines(text, size, (self.path, position)):
                events, good_count, fault = self._read_all(lines, position)
                position += good_count
                if good_count:
                    yield Batch(events, position, raw.tell())
                if fault is not None:
                    raise fault

    def _read_all(
        self, lines: list[bytes], before: int
    ) -> tuple[list[Event[Any]], int, CommandError | None]:
        """The events of these lines, how many lines are good, and what is wrong with the next."""
        events: list[Event[Any]] = []
        for count, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                events.append(self._read(line, before + count + 1))
            except CommandError as fault:
                return events, count, fault
        return events, len(lines), None

    def _read(self, line: bytes, number: int) -> Event[Any]:
        where = f"{self.path}, line {number}"
        try:
            parsed: object = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            shown = clip(line.decode(errors="replace"), 60)
            text = f"{where} is not JSON: {error}\n  {shown}"
            raise CommandError(text, _FORM) from None
        if not isinstance(parsed, dict):
            text = f"{where} is not a JSON object"
            raise CommandError(text, _FORM)
        return _event(cast("dict[str, Any]", parsed), where)


def _event(fields: dict[str, Any], where: str) -> Event[Any]:
    if unknown := sorted(fields.keys() - _FIELDS):
        text = f"{where} has {_listed(unknown)}, which no event has"
        raise CommandError(text, _FORM)
    if "name" not in fields:
        text = f"{where} has no name"
        raise CommandError(text, _FORM)
    if not isinstance(fields.get("data", {}), dict):
        text = f"{where}: data is not a JSON object"
        raise CommandError(text, _FORM)
    try:
        return Event(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        text = f"{where}: {place}: {first['msg']}"
        raise CommandError(text, _FORM) from None


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            text = f"{path} is a folder"
            raise CommandError(text, "Give one file: events.jsonl or events.jsonl.gz.")
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> CommandError:
    text = f"{path} cannot be read: {error.strerror or error}"
    return CommandError(text, "Give the path of a file with --events FILE.")


def _shrunk(path: Path, lines: int, skip: int) -> CommandError:
    text = (
        f"{path} has {lines} lines, but {skip} of it were accepted before: "
        "it is not the file it was"
    )
    hint = "Give the whole file, or other events as a file with a name of its own."
    return CommandError(text, hint)


@contextmanager
def _opened(path: Path) -> Generator[tuple[IO[bytes], IO[bytes]], None, None]:
    """The file's lines, unpacked where they are gzipped, and the file as it lies on disk."""
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            packed = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
            yield packed, raw
    except OSError as error:
        raise _unreadable(path, error) from None


def _next_lines(text: IO[bytes], size: int, place: tuple[Path, int]) -> list[bytes]:
    try:
        return list(islice(text, size))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        path, before = place
        told = f"{path} is damaged behind line {before}: {error}"
        raise CommandError(told, "Compress it again; gzip -t checks it.") from None
