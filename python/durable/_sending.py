"""Events on their way into the engine: whatever `send` was given, as the native module takes it, and those nobody hears."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import logging
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import BaseModel

from ._codec import write_object, write_plain
from ._errors import EventRefused
from ._events import EventType, flat, is_event
from ._setting import near


if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from ._bridge import NewEvent
    from ._events import Event
    from ._function import Function

_LOGGER: Final = logging.getLogger("durable")
_NOTICES: Final = logging.getLogger("durable.notices")
_MAX_TOLD: Final = 1000
_MAX_KNOWN: Final = 10_000
#: So many functions' code is read for what it waits for.
_MAX_READ: Final = 1000


class Unheard:
    """Tells, once for each name, of events that no function of this engine listens to, and no code of theirs waits for.

    Args:
        functions: those of this engine.
        level: at which it is logged.
    """

    __slots__ = (
        "_functions",
        "_known",
        "_level",
        "_prefixes",
        "_told_count",
        "_waited",
    )

    def __init__(
        self, functions: Iterable[Function[Any, Any]], level: int = logging.WARNING
    ) -> None:
        self._functions = tuple(functions)
        self._level = level
        triggers = {name for one in self._functions for name in one.triggers}
        #: Of which nothing is to be told any more: one look for each event.
        self._known = triggers
        self._prefixes = tuple(name[:-1] for name in triggers if name.endswith("*"))
        self._waited: set[str] | None = None
        self._told_count = 0

    def look(self, events: Iterable[NewEvent]) -> None:
        """Log those of these that are new."""
        known = self._known
        for name, *_ in events:
            if name not in known:
                self._look_at(name)

    def _look_at(self, name: str) -> None:
        if self._told_count >= _MAX_TOLD or not _LOGGER.isEnabledFor(self._level):
            return
        if not self._functions:
            return
        if name.startswith(self._prefixes):
            if len(self._known) < _MAX_KNOWN:
                self._known.add(name)
            return
        if self._waited is None:
            self._waited = waited_for(self._functions)
        self._known.add(name)
        self._told_count += 1
        if name in self._waited:
            return
        triggers = {one for function in self._functions for one in function.triggers}
        _LOGGER.log(
            self._level,
            "event '%s': no function of this engine listens to it; it is kept and starts none of them.%s",
            name,
            near(name, triggers),
        )


def waited_for(functions: Iterable[Function[Any, Any]]) -> set[str]:
    """Names of events that end runs of these, or that their code may wait for: texts and event types that it mentions."""
    found: set[str] = set()
    seen: set[int] = set()
    left: list[Any] = []
    for function in functions:
        ends = cast("list[dict[str, Any]]", function.flow.get("cancel_on", []))
        found.update(one["event"] for one in ends)
        left.append(inspect.unwrap(function.handler))
    while left and len(seen) < _MAX_READ:
        one = left.pop()
        if isinstance(one, FunctionType) and id(one) not in seen:
            seen.add(id(one))
            _read_code(one, found, left)
    return found


def _read_code(function: FunctionType, found: set[str], left: list[Any]) -> None:
    """What a function's code mentions: names of events, and other functions of its own module."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        found.update(one for one in code.co_consts if isinstance(one, str))
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
        named = [function.__globals__.get(name) for name in code.co_names]
        modules = [one for one in named if isinstance(one, ModuleType)]
        named += [vars(one).get(n) for one in modules for n in code.co_names]
        _take(named, function.__module__, (found, left))
    cells = function.__closure__ or ()
    held = [one for cell in cells for one in _content(cell)]
    _take(held, function.__module__, (found, left))


def _take(
    named: Iterable[object], module: str, into: tuple[set[str], list[Any]]
) -> None:
    found, left = into
    for one in named:
        if isinstance(one, EventType):
            found.add(one.name)
        elif isinstance(one, str):
            found.add(one)
        elif isinstance(one, FunctionType) and one.__module__ == module:
            left.append(one)


def _content(cell: CellType) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:  # it is empty yet
        return []


def encode_events(
    events: Iterable[Event[Any] | Iterable[Event[Any]]],
) -> list[NewEvent]:
    """Events as the native module takes them.

    Raises:
        EventRefused: something is no event.
        SerializationError: data is not JSON.
    """
    return [_encode(one) for one in flat(events)]


def encode_for_step(
    events: Event[Any] | Iterable[Event[Any]], run_id: str, step: str
) -> list[NewEvent]:
    """The events of a step: those without an id get one that is the same for each of its tries.

    So a try that is repeated, since nobody knows how far the last one came, starts nothing twice.

    Raises:
        EventRefused: something is no event.
        SerializationError: data is not JSON.
    """
    encoded = encode_events([events])
    own = ids_of_step(run_id, step)
    return [
        (name, data, sent_id or f"{own}/{place}", ts, version, user)
        for place, (name, data, sent_id, ts, version, user) in enumerate(encoded)
    ]


def ids_of_step(run_id: str, step: str) -> str:
    """What the ids of a step's events begin with; their place in the batch follows."""
    own = hashlib.blake2b(f"{run_id}:{step}".encode(), digest_size=16).hexdigest()
    return f"step/{own}"


def _encode(event: object) -> NewEvent:
    if not is_event(event):
        raise EventRefused(_why_none(event))
    name = event.name
    data = write_object(event.data, "data", f"event '{name}'")
    if data[:1] != b"{":
        text = f"event '{name}': its data is a {type(event.data).__name__}; it must be a JSON object"
        raise EventRefused(text)
    user = None
    if event.user is not None:
        user = write_plain(event.user, "user", f"event '{name}'")
    return (name, data, event.id, event.ts, event.v, user)


def _why_none(given: object) -> str:
    """What to tell of what is no event."""
    if isinstance(given, EventType):
        return f"{given!r} is an event's type, and no event: call it with the event's data, as in placed(order_id='o1')"
    if isinstance(given, BaseModel) or dataclasses.is_dataclass(given):
        return (
            f"{given!r:.200} is an event's data, and no event: send what an EventType makes of it, as in "
            "placed(order)"
        )
    return f"{given!r} is no event: send durable.Event(name, data) or what an EventType gives"


def tell_notices(store: str, notices: Iterable[str]) -> None:
    """What opening a store did or found that somebody is to know."""
    for notice in notices:
        _NOTICES.warning("the store %s: %s", store, notice)


def tell_of_strays(stats: Mapping[str, Any], known: Container[str]) -> None:
    """Runs of functions that no app of an engine has wait for ever: somebody is to know."""
    for name, one in stats["functions"].items():
        count = one["queued"] + one["running"] + sum(one["parked"].values())
        if count and name not in known:
            text = (
                "function '%s' has unfinished runs (%d), and no app of this engine has the function: "
                "they wait until it is back under this id"
            )
            _LOGGER.warning(text, name, count)
