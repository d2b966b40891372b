"""The events of a bench and the moments at which they come: out of a file, or made up from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from durable._events import Event, is_reserved, make_event
from durable._sending import encode_events
from durable.cli.event_file import EventFile
from durable.cli.failure import CommandError
from durable.cli.output import count

from .chance import moments_us, read_rate, skewed_keys


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from durable._bridge import NewEvent

SYNTHETIC_NAME: Final = "bench/event"
SYNTHETIC_KEY: Final = "event.data.key"
DEFAULT_COUNT: Final = 10_000
DEFAULT_RATE: Final = 10.0

_BATCH_LINES: Final = 5000
_MOST_NAMES: Final = 10
_FIRST_MS: Final = 1_767_225_600_000  # 2026-01-01, for events that never happened


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events in order of their moments.

    Attributes:
        title: where they come from, in words.
        events: the events as they cross the border, each with an id.
        times_us: when each comes, in microseconds since the epoch.
        triggers: what their function listens to.
    """

    title: str
    events: Sequence[NewEvent]
    times_us: Sequence[int]
    triggers: Sequence[str]

    @property
    def span_us(self) -> int:
        """From the first to the last."""
        return self.times_us[-1] - self.times_us[0] if self.times_us else 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted, as the options say it.

    Attributes:
        file: recorded ones; `None`: synthetic ones.
        names: the names that start the function, a `*` at the end matching any ending; empty: all.
        most: how many at most; `None`: all of a file, or 10,000.
        rate: they come by chance, so many a second; `None`: as recorded, or 10.
        speed: how many times as fast as recorded.
        keys: how many keys synthetic ones have.
        skew: how much more often the first keys come than the last.
        seed: for all that is drawn by chance.
    """

    file: Path | None
    names: Sequence[str]
    most: int | None
    rate: str | None
    speed: float
    keys: int
    skew: float
    seed: int


def traffic_of(wanted: Wanted) -> Traffic:
    """The events that are wanted.

    Raises:
        CommandError: there is none, no moment is known for one, or an option is wrong.
    """
    if not wanted.speed > 0:
        text = f"--speed {wanted.speed:g} lets no time pass"
        raise CommandError(text, "Give a number above 0, as in --speed 1000.")
    if wanted.file is None:
        return _synthetic(wanted)
    return _recorded(wanted, wanted.file)


def _synthetic(wanted: Wanted) -> Traffic:
    number = DEFAULT_COUNT if wanted.most is None else wanted.most
    rate = DEFAULT_RATE if wanted.rate is None else read_rate(wanted.rate)
    keys = skewed_keys(number, (wanted.keys, wanted.skew), wanted.seed)
    made = (
        make_event(SYNTHETIC_NAME, {"key": f"key-{key}", "n": n}, id=f"bench-{n}")
        for n, key in enumerate(keys)
    )
    events = [one for event in made for one in _encoded([event])]
    moments = moments_us(number, rate, wanted.seed)
    times = [_FIRST_MS * 1000 + moment for moment in moments]
    title = (
        f"{count(number, 'synthetic event')}, {rate:,.3g} a second, "
        f"{count(wanted.keys, 'key')}, skew {wanted.skew:g}"
    )
    return Traffic(title, events, times, [SYNTHETIC_NAME])


def _recorded(wanted: Wanted, path: Path) -> Traffic:
    events = _read(wanted, path)
    if not events:
        names = ", ".join(wanted.names) or "any name"
        text = f"{path} has no event of {names}"
        raise CommandError(text, "Give another file, or other names with --on.")
    if wanted.rate is None:
        events.sort(key=_ts)  # stable
        first = _ts(events[0])
        times = [
            first * 1000 + round((_ts(event) - first) * 1000 / wanted.speed)
            for event in events
        ]
    else:
        rate = read_rate(wanted.rate)
        moments = moments_us(len(events), rate, wanted.seed)
        times = [_FIRST_MS * 1000 + moment for moment in moments]
    own = {name for name, *_ in events if not is_reserved(name)}  # others are refused
    triggers = list(wanted.names) or sorted(own) or [SYNTHETIC_NAME]
    if len(triggers) > _MOST_NAMES:
        text = f"{path} has events of {len(triggers)} names; a function has {_MOST_NAMES} triggers at most"
        hint = "Say which of them start it: --on shop/order.placed, or --on 'shop/*'."
        raise CommandError(text, hint)
    speed = f", {wanted.speed:,.12g} times as fast" if wanted.speed != 1 else ""
    title = f"{count(len(events), 'event')} of {path}{speed}"
    return Traffic(title, events, times, triggers)


def _ts(event: NewEvent) -> int:
    return event[3] or 0


def _read(wanted: Wanted, path: Path) -> list[NewEvent]:
    events: list[NewEvent] = []
    line = 0
    for batch in EventFile(path).batches(0, _BATCH_LINES):
        chosen: list[Event[Any]] = []
        for event in batch.events:
            line += 1
            if _is_wanted(event.name, wanted.names):
                _check_moment(event, wanted, f"{path}, event {line}")
                known = event.id or f"bench-{line}"
                chosen.append(event.model_copy(update={"id": known}))
        events += _encoded(chosen)
        if wanted.most is not None and len(events) >= wanted.most:
            break
    return events[: wanted.most]


def _encoded(events: Iterable[Event[Any]]) -> list[NewEvent]:
    """Events as they cross the border, each in no more memory than it needs: orjson's bytes hold 4 KiB."""
    return [
        (name, bytes(memoryview(data)), known, ts, version, user)
        for name, data, known, ts, version, user in encode_events(events)
    ]


def _check_moment(event: Event[Any], wanted: Wanted, where: str) -> None:
    if event.ts is None and wanted.rate is None:
        text = f"{where} has no ts: when it came is not known"
        hint = "Give each line a ts (ms since the epoch), or let the events come by chance with --rate."
        raise CommandError(text, hint)


def _is_wanted(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )
