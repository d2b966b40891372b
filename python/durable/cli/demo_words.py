"""What `durable demo` says: what it is about to do, what it found, what happens, what came of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from .output import clip, count
from .run_picture import picture_of
from .screen import ending_line, functions_table


if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType

    from durable._views import Run
    from durable.demo.ledger import Ledger

    from .counts import FunctionCounts
    from .session import Progress

_LINES_AT_ONCE: Final = 4
_LINE_WIDTH: Final = 100


class ShortLog(logging.Handler):
    """Shows what handlers log, a few lines each second; says how many it left out."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._second = 0.0
        self._shown = 0
        self._left_out = 0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        second = record.created // 1
        if second != self._second:
            self._second, self._shown = second, 0
        if self._shown >= _LINES_AT_ONCE:
            self._left_out += 1
            return
        self._shown += 1
        more = f"  (and {self._left_out} more)" if self._left_out else ""
        self._left_out = 0
        line = clip(record.getMessage(), _LINE_WIDTH)
        self._console.print(Text(f"  {line}{more}", style="dim"), soft_wrap=True)


def greeting(
    title: str, *, store: str, functions: Iterable[tuple[str, str]], pid: int
) -> Group:
    """What the demo will do."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, meaning in functions:
        table.add_row(Text(name, style="bold cyan"), Text(meaning))
    return Group(
        Text.assemble(("durable demo", "bold"), f": {title}"),
        table,
        Text("An hour passes in five seconds: sleeps and retries are real, but quick."),
        Text(
            f"Kill it at any moment (Ctrl-C, kill -9 {pid}), start it again: it goes on."
        ),
        Text(f"The store: {store}\n"),
    )


def found_again(waiting: int, accepted: int, live: FunctionCounts) -> Text:
    """What a second start found."""
    text = Text("Found what was here before: ", style="bold yellow")
    text.append(
        f"{count(accepted, 'commit')} accepted, {count(live.done, 'run')} done, "
        f"{live.queued + live.running} in the middle of something, {live.parked} asleep or "
        f"waiting to try again; {count(waiting, 'commit')} still to come. Going on.\n",
        style="not bold yellow",
    )
    return text


def goodbye(
    progress: Progress, ledger: Ledger, *, example: Run | None, width: int
) -> Group:
    """What came of it all."""
    kinds = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    kinds.add_column("kind of commit")
    for name in ("commits", "lines", "mean risk"):
        kinds.add_column(name, justify="right")
    for one in ledger.by_kind():
        kinds.add_row(
            one.kind,
            f"{one.commit_count:,}",
            f"{one.line_count:,}",
            f"{one.mean_risk:.2f}",
        )
    parts: list[RenderableType] = [Text(), kinds, Text()]
    parts += [functions_table(progress.counts, progress.counts_before), Text()]
    if example is not None:
        created = example.created_at.timestamp() * 1000 if example.created_at else 0
        parts += [
            Text("One run, drawn:", style="dim"),
            picture_of(example, int(created), width),
        ]
    parts.append(
        Text(
            f"\n{count(ledger.digest_count(), 'digest')} sent. {ending_line(progress)}"
        )
    )
    return Group(*parts)
