"""Moments, lengths and values as people read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from datetime import datetime

_MS_IN: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000))
_SECOND_MS: Final = 1000
_TENS_OF_SECONDS_MS: Final = 10_000


def moment(at: datetime | None, *, with_ms: bool = False) -> str:
    """A moment as `2026-11-21 05:00:01`, in the local time zone; empty where there is none."""
    if at is None:
        return ""
    local = at.astimezone()
    shown = f"{local:%Y-%m-%d %H:%M:%S}"
    return f"{shown}.{local.microsecond // 1000:03}" if with_ms else shown


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


def clip(text: str, width: int) -> str:
    """The text in one line of at most `width` letters, with an ellipsis where it was longer."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"
