"""Where words go: results to stdout, what is said about them to stderr."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from rich.console import Console
from rich.table import Table

from durable.drawing.words import (
    as_text as as_text,
    clip as clip,
    length as length,
    moment as moment,
    to_ms as to_ms,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from rich.text import Text

    from durable._views import Page

T = TypeVar("T")

_LEAST_LAST_WIDTH: Final = 8
_PIPED_WIDTH: Final = 120


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


def short_moment(at: datetime | None) -> str:
    """A moment as `11-21 05:00:01`, for tables."""
    return moment(at).partition("-")[2]


def count(number: int, thing: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


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
