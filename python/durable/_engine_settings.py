"""An engine's settings: what each may be and what it is where nobody says, whoever gives it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypedDict

from ._duration import ACCEPTED, Duration, to_ms
from ._flow import Backoff
from ._setting import Place, near
from ._store_setting import DEFAULT_STORE, read_store, read_sync


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LEAST_RETENTION: Final = "1d"
_MAX_CAPACITY: Final = 100_000
_MAX_HOT_RUNS: Final = 10_000_000
_MAX_THREADS: Final = 10_000
_MAX_SEED: Final = 2**64 - 1
_MAX_FACTOR: Final = 2**32 - 1
_CLOCK: Final = re.compile(r"system|scaled:(\d+)|virtual(:auto)?(:\d+)?")


def default_threads() -> int:
    """How many threads plain handlers and blocking steps share, where nobody says it."""
    return min(32, (os.cpu_count() or 1) + 4)


class EngineSettings(TypedDict, total=False):
    """What `Engine` takes by name; its docstring says what each is."""

    store: str | os.PathLike[str] | None
    max_in_flight: int
    hot_runs: int
    sync: Duration
    clock: str | None
    grace: Duration
    retention: Duration | None
    backoff: Backoff | None
    threads: int | None
    seed: int | None
    replay: Literal["needed", "always"]
    blocked_after: Duration | None


DEFAULTS: Final[Mapping[str, Any]] = {
    "store": DEFAULT_STORE,
    "max_in_flight": 1000,
    "hot_runs": 10_000,
    "sync": "always",
    "clock": "system",
    "grace": "10s",
    "retention": None,
    "backoff": None,
    "threads": None,
    "seed": None,
    "replay": "needed",
    "blocked_after": "500ms",
}
#: Those for which `None` is no value of their own: it stands for the default.
NONE_IS_DEFAULT: Final = frozenset(
    {"store", "clock", "retention", "backoff", "threads", "seed"}
)


class Placed(NamedTuple):
    """A value, and where somebody wrote it."""

    value: object
    place: Place


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """The settings as an engine uses them, all checked."""

    store: str
    max_in_flight: int
    hot_runs: int
    sync: str
    clock: str
    grace_ms: int
    retention_ms: int | None
    backoff: Backoff
    threads: int | None
    seed: int | None
    forgets: bool
    blocked_after_ms: int | None


def read_settings(
    given: Mapping[str, object], beside: Mapping[str, Placed]
) -> ReadSettings:
    """What an engine is to use: what is given by name, then what is beside it, then the defaults.

    Raises:
        ConfigError: a value is wrong: where it stands, and what would do.
        TypeError: an argument has a name that no setting has.
    """
    own = {name: Placed(given[name], Place("Engine", name)) for name in told(given)}
    read: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        unsaid = Placed(default, Place("Engine", name))
        value, place = own.get(name) or beside.get(name) or unsaid
        read[name] = check(name, value, place)
    return ReadSettings(*read.values())


def told(given: Mapping[str, object]) -> list[str]:
    """The settings that are given by name and say something.

    Raises:
        TypeError: there is no setting of this name.
    """
    for name in given:
        if name not in DEFAULTS:
            text = f"Engine has no setting {name!r}.{near(name, DEFAULTS)}"
            raise TypeError(text)
    return [
        name
        for name, value in given.items()
        if not (value is None and name in NONE_IS_DEFAULT)
    ]


def check(name: str, value: object, place: Place) -> object:
    """A setting's value as an engine uses it.

    Raises:
        ConfigError: it is wrong.
    """
    if value is None and name in NONE_IS_DEFAULT:
        value = DEFAULTS.get(name)
    return _READERS[name](place, value)


def in_force(name: str, value: object) -> object:
    """What an engine uses where a setting is this, as it may be written; of a seed that nobody says: `None`."""
    if value is not None or name not in NONE_IS_DEFAULT:
        return value
    make = _IN_FORCE.get(name)
    return DEFAULTS[name] if make is None else make()


def _read_clock(place: Place, clock: object) -> str:
    accepted = '"system", "scaled:60" (60 times as fast) or "virtual" (for tests)'
    text = place.instance(clock, str, accepted)
    found = _CLOCK.fullmatch(text)
    if found is None or (found[1] and not 1 <= int(found[1]) <= _MAX_FACTOR):
        raise place.error(text, "is no clock", accepted)
    return text


def _read_retention(place: Place, retention: Duration | None) -> int | None:
    if retention is None:
        return None
    ms = place.duration_ms(retention)
    if ms < to_ms(_LEAST_RETENTION):
        reason = "is too short: senders' event ids count for a day"
        raise place.error(retention, reason, f"from 1d to 366d: {ACCEPTED}")
    return ms


def _read_backoff(place: Place, backoff: object) -> Backoff:
    if backoff is None:
        return Backoff()
    accepted = 'a Backoff, as in Backoff(["1s", "10s", "1m"])'
    return place.instance(backoff, Backoff, accepted)


def _read_optional_number(most: int, least: int) -> Callable[[Place, object], object]:
    def read(place: Place, number: object) -> int | None:
        return None if number is None else place.whole_number(number, least, most)

    return read


def _read_replay(place: Place, replay: object) -> bool:
    if replay not in {"needed", "always"}:
        raise place.error(replay, "is neither", '"needed" or "always"')
    return replay == "always"


def _read_blocked_after(place: Place, after: Duration | None) -> int | None:
    if after is None:
        return None
    return place.duration_between_ms(after, "10ms", "1h")


#: What stands behind defaults of `None`: of the retention durable-runtime's config.rs says it.
_IN_FORCE: Final[Mapping[str, Callable[[], object]]] = {
    "retention": lambda: "7d",
    "backoff": Backoff,
    "threads": default_threads,
}
_READERS: Final[Mapping[str, Callable[[Place, Any], object]]] = {
    "store": read_store,
    "max_in_flight": lambda place, it: place.whole_number(it, 1, _MAX_CAPACITY),
    "hot_runs": lambda place, it: place.whole_number(it, 1, _MAX_HOT_RUNS),
    "sync": read_sync,
    "clock": _read_clock,
    "grace": lambda place, it: place.duration_ms(it),
    "retention": _read_retention,
    "backoff": _read_backoff,
    "threads": _read_optional_number(_MAX_THREADS, 1),
    "seed": _read_optional_number(_MAX_SEED, 0),
    "replay": _read_replay,
    "blocked_after": _read_blocked_after,
}
