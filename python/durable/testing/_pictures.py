"""Runs as text, for the messages of tests that failed."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Final

from rich.console import Console

from durable.drawing.run_picture import picture_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable._views import Run

_WIDTH: Final = 100


def picture(run: Run, now_ms: int) -> str:
    """The run as `durable runs show` draws it, without colours."""
    text = StringIO()
    console = Console(file=text, width=_WIDTH, color_system=None, highlight=False)
    console.print(picture_of(run, now_ms, _WIDTH))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip()


def pictures(runs: Sequence[Run], now_ms: int) -> str:
    """Several runs, one below the other."""
    return "\n\n".join(picture(run, now_ms) for run in runs)
