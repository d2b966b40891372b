"""Durations as users write them: `"1h30m"`, 90, `timedelta(...)`, `"PT5M"`; one parser for all."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final, TypeAlias


Duration: TypeAlias = timedelta | float | str
"""A `timedelta`, a number of seconds, `"30s" "5m" "2h" "1d" "1w" "1h30m"`, or ISO 8601 as in `"PT5M"`."""

ACCEPTED: Final = (
    'a timedelta, a number of seconds, "30s", "5m", "2h", "1d", "1w", "1h30m", "250ms", '
    'or ISO 8601 as in "PT5M"'
)

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_ISO: Final = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
)
_LONGEST_S: Final = 366 * 86_400
#: Moments of 2001 to 2100 in seconds: as ms they are days of early 1970, which nobody means.
_LEAST_SECONDS: Final = 1_000_000_000
_MOST_SECONDS: Final = 4_102_444_800
_FAR_S: Final = 2 * _LONGEST_S


class DurationError(ValueError):
    """A duration could not be read.

    Attributes:
        position: where in the text reading stopped, or `None` where it is no text.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.position = position


def to_seconds(value: Duration) -> float:
    """How many seconds `value` is.

    Raises:
        DurationError: it is none of the accepted forms, negative, or longer than 366 days.
    """
    seconds = _read(value)
    if not 0 <= seconds <= _LONGEST_S:
        reason = "is not between 0 and 366 days"
        raise DurationError(reason)
    return seconds


def to_seconds_within(value: Duration, least: float, most: float) -> float:
    """The same, cut to what is between `least` and `most` seconds, however short or long it is.

    Raises:
        DurationError: it is none of the accepted forms.
    """
    seconds = _read(value)
    if math.isnan(seconds):
        reason = "is no number"
        raise DurationError(reason)
    return min(max(seconds, least), most)


def to_ms(value: Duration) -> int:
    """How many milliseconds `value` is, a started one counting whole: nothing ends early."""
    return -int(-round(to_seconds(value) * 1000, 6) // 1)


def seconds_for_ms(whose: str, moment: float) -> str | None:
    """What to tell of a moment in seconds where ms are meant; `None` where it is none. `whose` begins the message."""
    if not _LEAST_SECONDS <= moment < _MOST_SECONDS:
        return None
    return (
        f"{whose} ms since the epoch; {moment!r} is a day of early 1970 and looks like seconds: "
        "give a datetime with a time zone, or 1000 times as much"
    )


def is_duration(value: Duration) -> bool:
    """False for what `to_seconds` refuses."""
    try:
        to_seconds(value)
    except DurationError:
        return False
    return True


def _read(value: object) -> float:
    match value:
        case bool():
            pass
        case int() | float():
            return float(
                min(max(value, -_FAR_S), _FAR_S)
            )  # what is larger has no float
        case timedelta():
            return value.total_seconds()
        case str():
            return _read_text(value)
        case _:
            pass
    reason = f"is of type {type(value).__name__}"
    raise DurationError(reason)


def _read_text(text: str) -> float:
    stripped = text.strip()
    if stripped[:1].upper() == "P":
        return _read_iso(stripped)
    total, position = 0.0, 0
    while position < len(text) and (part := _PART.match(text, position)):
        follows = text[part.end() : part.end() + 1]
        if follows.isalpha():
            break
        total += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if position == 0 or text[position:].strip():
        skipped = len(text[position:]) - len(text[position:].lstrip())
        reason = "is not a duration"
        raise DurationError(reason, position + skipped)
    return total


def _read_iso(text: str) -> float:
    found = _ISO.fullmatch(text.upper())
    parts = {} if found is None else {k: v for k, v in found.groupdict().items() if v}
    if not parts or text.upper().endswith("T"):
        reason = "is not an ISO 8601 duration"
        raise DurationError(reason, 0)
    return sum(float(number) * _SECONDS[unit] for unit, number in parts.items())
