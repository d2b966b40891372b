"""What a session shows while it lasts: two bars and a table of functions, or plain lines in a log."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .output import count, length


if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from .counts import Counts, FunctionCounts
    from .session import Progress

_RATE_WINDOW_S: Final = 3.0
_LINE_EVERY_S: Final = 2.0
_BAR_WIDTH: Final = 36
_COLUMNS: Final = (
    ("queued", "blue"),
    ("running", "cyan"),
    ("parked", "magenta"),
    ("done", "green"),
    ("failed", "red"),
)


class Rate:
    """Things a second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, seconds: float, number: int) -> float:
        """The rate, now that so many have been counted."""
        self._seen.append((seconds, number))
        while len(self._seen) > 2 and seconds - self._seen[0][0] > _RATE_WINDOW_S:  # noqa: PLR2004  # two moments make a rate
            self._seen.popleft()
        began, first = self._seen[0]
        return (number - first) / (seconds - began) if seconds > began else 0.0


class SessionScreen:
    """Shows a session on a console: live where it is a terminal, a line now and then where it is not.

    Args:
        console: where to.
        size: how much the source has in all: bytes of its file, or events.
        size_is_bytes: which of the two.
    """

    def __init__(self, console: Console, *, size: int, size_is_bytes: bool) -> None:
        self._console = console
        self._size = max(size, 1)
        self._size_is_bytes = size_is_bytes
        self._event_rate = Rate()
        self._run_rate = Rate()
        self._line_at = _LINE_EVERY_S
        self._said: object = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, progress: Progress) -> None:
        """Things stand so."""
        lines = self._lines(progress)
        if self._live is not None:
            self._live.update(self._picture(progress, lines), refresh=True)
        elif progress.waits or progress.seconds >= self._line_at:
            self._tell(progress, " · ".join(text for text, _ in lines))

    def _tell(self, progress: Progress, line: str) -> None:
        """A line of a log: none that says what the last has said."""
        total = progress.counts.total
        so_far = progress.event_count, total.ended, total.live
        said = progress.waits or so_far
        if said == self._said:
            return
        self._said = said
        self._line_at = progress.seconds + _LINE_EVERY_S
        self._console.print(progress.waits or line, soft_wrap=True, markup=False)

    def _lines(self, progress: Progress) -> list[tuple[str, float]]:
        """What the two bars say, each with how full it is."""
        reached = progress.bytes_read if self._size_is_bytes else progress.position
        fed = 1.0 if progress.is_fed else min(reached / self._size, 1.0)
        total, before = progress.counts.total, progress.counts_before.total
        ended = total.ended - before.ended
        share = ended / max(ended + total.live, 1)
        event_rate = self._event_rate.of(progress.seconds, progress.event_count)
        run_rate = self._run_rate.of(progress.seconds, ended)
        return [
            (f"{count(progress.event_count, 'event')} sent, {event_rate:,.0f}/s", fed),
            (
                f"{count(ended, 'run')} ended, {run_rate:,.0f}/s, {total.live:,} to go",
                share,
            ),
        ]

    def _picture(
        self, progress: Progress, lines: list[tuple[str, float]]
    ) -> RenderableType:
        bars = Table.grid(padding=(0, 1))
        for text, share in lines:
            bar = ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH)
            bars.add_row(bar, f"{share:4.0%}", Text(text))
        waits = [Text(progress.waits, style="dim")] if progress.waits else []
        return Group(bars, *waits, functions_table(progress.counts))


def functions_table(counts: Counts, before: Counts | None = None) -> Table:
    """A row for each function; with `before`, also what has been done since."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("function")
    for name, style in _COLUMNS:
        table.add_column(name, justify="right", style=style)
    if before is not None:
        table.add_column("this time", justify="right", style="dim")
    for name, one in sorted(counts.functions.items()):
        now = () if before is None else (f"{one.ended - before.of(name).ended:,}",)
        table.add_row(name, *_cells(one), *now)
    return table


def ending_line(progress: Progress) -> str:
    """A session in one line."""
    ended = progress.counts.total.ended - progress.counts_before.total.ended
    rate = ended / progress.seconds if progress.seconds else 0.0
    return (
        f"{count(progress.event_count, 'event')} sent, {count(ended, 'run')} ended "
        f"in {length(progress.seconds * 1000)}: {rate:,.0f} runs/s"
    )


def _cells(one: FunctionCounts) -> tuple[str, ...]:
    return tuple(
        f"{number:,}" if number else "·"
        for number in (one.queued, one.running, one.parked, one.done, one.failed)
    )
