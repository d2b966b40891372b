"""A run drawn in the terminal: a bar for each step on one axis of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from .words import clip, length


if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "cancelled": "red",
    "running": "cyan",
    "queued": "blue",
    "backing_off": "yellow",
    "sleeping": "magenta",
    "waiting": "magenta",
    "parked": "magenta",
}
_SLEEP_LETTER: Final = "╌"
_WAIT_LETTER: Final = "·"
_BAR_LETTER: Final = "█"
_RETRIED_LETTER: Final = "▒"
_OPEN_LETTER: Final = "▸"
#: What only waits, for a moment or for something to happen.
_WAITS: Final = frozenset({"sleep", "wait_for_signal", "wait_for_event", "invoke"})
_MEANINGS: Final = {
    _BAR_LETTER: "executes",
    _RETRIED_LETTER: "several tries, and the time between them",
    _SLEEP_LETTER: "sleeps or waits",
    _WAIT_LETTER: "waits for its turn",
    _OPEN_LETTER: "goes on",
}
_LEAST_WIDTH: Final = 16
_NAME_WIDTH: Final = 28
_SIDE_WIDTH: Final = 34
_SHARE_OF_TICKS: Final = 14


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that takes time in a run.

    Attributes:
        name: the step's name.
        kind: `run`, `sleep`, `wait_for_signal`, or `wait` for the time before the handler was first called.
        status: `completed`, `failed`, `queued`, `running`, `backing_off`, `sleeping` or `waiting`.
        began_at: when it was asked for, ms since the epoch.
        ended_at: when it ended; `None` while it goes on.
        attempts: how often it was started.
        note: what is said beside it: an error, when it goes on.
    """

    name: str
    kind: str
    status: str
    began_at: int
    ended_at: int | None
    attempts: int = 1
    note: str = ""


def draw(
    bars: Sequence[Bar],
    now_ms: int,
    width: int,
    *,
    within: tuple[int, int | None] | None = None,
) -> Table:
    """The bars on one axis, from the first beginning to the last end (or to now where one goes on).

    `within`: when the run began and ended, `None` where it goes on: the axis is at least as long as that, so that time in
    which no process executed it is to be seen.
    """
    moments = [(bar.began_at, bar.ended_at) for bar in bars]
    moments += [] if within is None else [within]
    began = min((one for one, _ in moments), default=now_ms)
    ends = (now_ms if end is None else end for _, end in moments)
    ended = max(ends, default=now_ms)
    scale = _Scale(began, max(ended - began, 1), _axis_width(bars, width))
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    table.add_column("step", no_wrap=True, max_width=_NAME_WIDTH)
    table.add_column("tries", justify="right")
    table.add_column(Text(scale.ticks()), no_wrap=True, width=scale.width)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for bar in bars:
        table.add_row(
            Text(clip(bar.name, _NAME_WIDTH)),
            "" if bar.kind != "run" else _tries(bar),
            scale.bar(bar, now_ms),
            _took(bar, now_ms),
            Text(bar.note, style="red" if bar.status == "failed" else "dim"),
        )
    return table


def legend(bars: Sequence[Bar]) -> Text:
    """What the letters mean that these bars are drawn with."""
    letters = {_letter_of(bar) for bar in bars}
    if any(bar.ended_at is None for bar in bars):
        letters.add(_OPEN_LETTER)
    said = [f"{one} {text}" for one, text in _MEANINGS.items() if one in letters]
    return Text("   ".join(said), style="dim")


def style_of(status: str) -> str:
    """The colour of a status, the same in every table."""
    return _STYLES.get(status, "white")


@dataclass(frozen=True, slots=True)
class _Scale:
    """Columns of the screen for moments."""

    began_at: int
    span_ms: int
    width: int

    def column(self, at_ms: int) -> int:
        return min(self.width - 1, (at_ms - self.began_at) * self.width // self.span_ms)

    def ticks(self) -> str:
        """The axis: as many labelled moments as fit."""
        count = max(self.width // _SHARE_OF_TICKS, 1)
        axis = ""
        for number in range(count):
            column = number * self.width // count
            label = length(self.span_ms * column / self.width) if column else "0"
            axis = axis.ljust(column) + f"╷{label} "
        return axis[: self.width].ljust(self.width)

    def bar(self, bar: Bar, now_ms: int) -> Text:
        first = self.column(bar.began_at)
        last = max(first, self.column(max(_end(bar, now_ms), bar.began_at)))
        drawn = _letter_of(bar) * (last - first + 1)
        if bar.ended_at is None:
            drawn = drawn[:-1] + _OPEN_LETTER
        return Text(" " * first + drawn, style=style_of(bar.status))


def _letter_of(bar: Bar) -> str:
    if bar.kind in _WAITS:
        return _SLEEP_LETTER
    if bar.kind == "wait" or bar.status == "queued":
        return _WAIT_LETTER
    # Recorded is when a step was first asked for, not when its last try began: no part of the bar is that try alone.
    return _RETRIED_LETTER if bar.attempts > 1 else _BAR_LETTER


def _axis_width(bars: Sequence[Bar], width: int) -> int:
    names = max((len(bar.name) for bar in bars), default=0)
    side = max((len(bar.note) for bar in bars), default=0)
    taken = (
        min(names, _NAME_WIDTH) + min(side, _SIDE_WIDTH) + len(" tries took  2 d 23 h ")
    )
    return max(_LEAST_WIDTH, width - taken)


def _end(bar: Bar, now_ms: int) -> int:
    return now_ms if bar.ended_at is None else bar.ended_at


def _took(bar: Bar, now_ms: int) -> str:
    took = length(max(0, _end(bar, now_ms) - bar.began_at))
    return took if bar.ended_at is not None else f"{took} …"


def _tries(bar: Bar) -> Text:
    return Text(str(bar.attempts), style="yellow" if bar.attempts > 1 else "")
