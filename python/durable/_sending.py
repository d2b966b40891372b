"""Events on their way into the engine: whatever `send` was given, as the native module takes it, and those nobody hears."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

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
#: Of these the names are compared with all that are listened to.
_MAX_COMPARED: Final = 100
#: How like another a name is that was mistyped by a letter or two: "user/signed" and "user/subscribed" are less so.
_SLIP: Final = 0.85


class Unheard:
    """Tells, once for each name, of events that no function of this engine listens to.

    At DEBUG, as code may wait for them, or functions of other processes; at WARNING where a name is nearly one that is listened to.
    """

    __slots__ = ("_names", "_prefixes", "_told")

    def __init__(self, functions: Iterable[Function[Any, Any]]) -> None:
        triggers = {name for function in functions for name in function.triggers}
        self._names = triggers
        self._prefixes = tuple(name[:-1] for name in triggers if name.endswith("*"))
        self._told: set[str] = set()

    def look(self, events: Iterable[NewEvent]) -> None:
        """Log those of these that are new."""
        for name, *_ in events:
            if not (
                name in self._names
                or name in self._told
                or name.startswith(self._prefixes)
                or len(self._told) >= _MAX_TOLD
            ):
                self._told.add(name)
                self._tell(name)

    def _tell(self, name: str) -> None:
        is_early = len(self._told) <= _MAX_COMPARED
        meant = near(name, self._names, _SLIP) if is_early else ""
        _LOGGER.log(
            logging.WARNING if meant else logging.DEBUG,
            "event '%s': no function of this engine listens to it; it is kept and starts nothing.%s",
            name,
            meant,
        )


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
