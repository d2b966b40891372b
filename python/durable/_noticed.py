"""What is odd about runs and no error: logged as a warning, once for each function and thing."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from ._errors import PAST_MOMENT
from ._expression import has_field


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._bridge import EventTuple
    from ._function import Function

_LOGGER: Final = logging.getLogger("durable")
#: So many runs of a function are looked at for fields that they lack, and so many of its steps are named.
_MAX_LOOKED_AT: Final = 100
_MAX_STEPS: Final = 5
_MAX_CHANNELS: Final = 100
_MAX_NAMED: Final = 5


class Run(Protocol):
    """Whose oddity it is."""

    id: str
    function: Function[Any, Any]

    def own_data(self) -> Any:
        """The data of the event that started it."""


class Sleeper(Run, Protocol):
    """Whose sleep it is."""

    event_tuples: tuple[EventTuple, ...]


class Sleep(Protocol):
    """A step that sleeps until a moment."""

    name: str

    @property
    def run(self) -> Sleeper: ...
    def where(self) -> str:
        """The line that made it."""
        ...


class Left(Protocol):
    """A step that nobody waits for any more."""

    name: str
    task: object

    @property
    def run(self) -> Run: ...
    @property
    def is_wait(self) -> bool:
        """True where it only waits."""
        ...

    def where(self) -> str:
        """The line that made it."""
        ...


class Noticed:
    """What one engine has warned of, so that nobody is told the same for each of a million runs."""

    __slots__ = (
        "_ahead_ms",
        "_channels",
        "_left",
        "_looked_at",
        "_matches",
        "_moments",
        "_steps",
    )

    def __init__(self, ahead_ms: Callable[[], int] = lambda: 0) -> None:
        """`ahead_ms`: how far the engine's time, in which events come, is ahead of the clock that users read."""
        self._ahead_ms = ahead_ms
        self._looked_at: Counter[str] = Counter()
        self._matches: set[tuple[str, str, str]] = set()
        self._steps: defaultdict[str, set[str]] = defaultdict(set)
        self._moments: defaultdict[str, set[str]] = defaultdict(set)
        self._channels: set[str] = set()
        self._left: defaultdict[str, set[str]] = defaultdict(set)

    def look_at_matches(self, run: Run) -> None:
        """Warn where no event that has the field can cancel this run: its own event has it not."""
        function = run.function
        if self._looked_at[function.id] >= _MAX_LOOKED_AT:
            return
        self._looked_at[function.id] += 1
        data = run.own_data()
        for event, match in function.cancel_matches:
            what = (function.id, event, match)
            if what in self._matches or has_field(data, match):
                continue
            self._matches.add(what)
            _LOGGER.warning(
                "function '%s', run %s: cancel_on=CancelOn('%s', match='%s'): the event that started the run has "
                "no %s, so no '%s' that has one cancels it; send it in both, or say in if_= which event cancels",
                function.id,
                run.id,
                event,
                match,
                match,
                event,
            )

    def look_at_moment(self, call: Sleep, moment_ms: int) -> None:
        """Warn where a step would sleep until before its run's event came: where time passed meanwhile is no oddity."""
        run = call.run
        came_at = run.event_tuples[0][4]
        if moment_ms >= came_at or moment_ms + self._ahead_ms() >= came_at:
            return
        where = call.where()
        if not _is_new(where, self._moments[run.function.id], _MAX_STEPS):
            return
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=moment_ms)
        _LOGGER.warning(
            "function '%s', run %s: step '%s' (%s) sleeps until %s, which had passed before the run's event came: it does "
            "not sleep at all. Is it the right day, in the right time zone? (%s)",
            run.function.id,
            run.id,
            call.name,
            where,
            moment.isoformat(),
            PAST_MOMENT,
        )

    def look_at_steps(self, run: Run, unmet: Sequence[str], new: Sequence[str]) -> None:
        """Warn of recorded steps that a handler has ended without coming to; `new`: what it came to instead."""
        told = self._steps[run.function.id]
        fresh = [name for name in unmet if name not in told]
        if not fresh or len(told) >= _MAX_STEPS:
            return
        told.update(fresh[:_MAX_STEPS])
        instead = f"; it came to {_named(new)} anew" if new else ""
        _LOGGER.warning(
            "function '%s', run %s: recorded are steps that its handler ended without coming to: %s%s. A step is "
            "found by its id: what was renamed was done again. Where the code is as it was, what it decides by is not: "
            "data that a rerun replaced, or something outside of steps",
            run.function.id,
            run.id,
            _named(fresh),
            instead,
        )

    def look_at_left(self, call: Left, *, is_late: bool = False) -> None:
        """Warn of a step in a task that its handler has left behind; `is_late`: it was come to after the handler's end.

        What was cancelled was not left behind, nor is a wait alone in its task: it has lost a race.
        """
        task: Any = call.task if not is_late else None
        if task is not None and (
            task.cancelling() or (call.is_wait and task.get_coro() is call)
        ):
            return
        run, where = call.run, call.where()
        if not _is_new(where, self._left[run.function.id], _MAX_STEPS):
            return
        _LOGGER.warning(
            "function '%s', run %s: its handler returned, and step '%s' (%s) %s in a task that nobody had awaited: it is not done, nor "
            "what comes behind it. Await the task, as asyncio.TaskGroup and asyncio.gather do, or cancel it where it is not "
            "wanted any more",
            run.function.id,
            run.id,
            call.name,
            where,
            "was come to after that" if is_late else "was under way",
        )

    def is_new_channel(self, channel: str) -> bool:
        """Whether to warn of this one."""
        return _is_new(channel, self._channels, _MAX_CHANNELS)


def _is_new(what: str, told: set[str], most: int) -> bool:
    if what in told or len(told) >= most:
        return False
    told.add(what)
    return True


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
