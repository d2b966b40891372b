"""Where words go: results to stdout, what is said about them to stderr; moments and lengths in words."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from rich.console import Console
from rich.table import Table


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from rich.text import Text

    from durable._views import Page

T = TypeVar("T")

_MS_IN: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000))
_LEAST_LAST_WIDTH: Final = 8
_PIPED_WIDTH: Final = 120
_SECOND_MS: Final = 1000
_TENS_OF_SECONDS_MS: Final = 10_000


@cache
def results() -> Console:
    """The screen for what was asked for: stdout."""
    is_piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_PIPED_WIDTH if is_piped else None)


@cache
def messages() -> Console:
    """The screen for progress and errors: stderr."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """One JSON text on stdout, indented where a person looks at it."""
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    sys.stdout.write(text + "\n")


def print_page(
    what: str,
    page: Page[T],
    *,
    as_json: bool,
    to_json: Callable[[T], object],
    to_table: Callable[[list[T], int], Table],
) -> None:
    """A page of a list: a table and how to go on, or one JSON text."""
    if as_json:
        print_json({what: [to_json(one) for one in page], "cursor": page.cursor})
        return
    results().print(to_table(page, results().width))
    if page.cursor is not None:
        results().print(f"More: --cursor {page.cursor}", style="dim")


def moment(at: datetime | None, *, with_ms: bool = False) -> str:
    """A moment as `2026-11-21 05:00:01`, in the local time zone; empty where there is none."""
    if at is None:
        return ""
    local = at.astimezone()
    shown = f"{local:%Y-%m-%d %H:%M:%S}"
    return f"{shown}.{local.microsecond // 1000:03}" if with_ms else shown


def short_moment(at: datetime | None) -> str:
    """A moment as `11-21 05:00:01`, for tables."""
    return moment(at).partition("-")[2]


def to_ms(at: datetime | None) -> int | None:
    """Ms since the epoch, as JSON output has moments."""
    return None if at is None else round(at.timestamp() * 1000)


def as_text(value: object) -> str:
    """A value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def length(ms: float) -> str:
    """A length of time with two units at most: `4 ms`, `1.25 s`, `3 m 20 s`, `2 d 4 h`."""
    if ms < _SECOND_MS:
        return f"{ms:.0f} ms"
    if ms < _TENS_OF_SECONDS_MS:
        return f"{ms / 1000:.2f} s"
    parts: list[str] = []
    left = round(ms / 1000) * 1000
    for unit, unit_ms in (*_MS_IN, ("s", 1000)):
        count, left = divmod(left, unit_ms)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def count(number: int, thing: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def clip(text: str, width: int) -> str:
    """The text in one line of at most `width` letters, with an ellipsis where it was longer."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def rows_table(
    titles: Sequence[str], rows: Sequence[Sequence[Text]], width: int
) -> Table:
    """A table whose last column takes what is left of the width; every row is one line."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    widths = [
        max(len(title), *(len(row[n]) for row in rows), 0)
        for n, title in enumerate(titles[:-1])
    ]
    left = max(width - sum(widths) - len(titles), _LEAST_LAST_WIDTH)
    for title, taken in zip(titles, [*widths, left], strict=True):
        table.add_column(title, no_wrap=True, width=taken, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table
