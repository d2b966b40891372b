"""One run as `durable runs show` draws it, with where more is said of its error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.drawing import run_picture

from .explain import engine_error


if TYPE_CHECKING:
    from rich.console import RenderableType

    from durable._views import ErrorInfo, Run


def picture_of(run: Run, now_ms: int, width: int) -> RenderableType:
    """The run, `width` columns wide."""
    return run_picture.picture_of(run, now_ms, width, code_of=_code_of)


def _code_of(error: ErrorInfo) -> str | None:
    return error.code or engine_error(error.name)
