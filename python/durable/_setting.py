"""How a wrong setting is told: which function, which argument, what is wrong where, what would do."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeVar

from ._duration import ACCEPTED, Duration, DurationError, to_ms
from ._errors import ConfigError


if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


_MAX_ID_BYTES: Final = 256


def wrong_id(what: str, noun: str, text: str) -> str | None:
    """What is wrong with the name of `what`, as a step's id, if anything is; `noun` is what it is called."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return (
            f"{what} {text!r}: {noun} is valid Unicode; this one has half a character"
        )
    if size > _MAX_ID_BYTES:
        return f"{what} '{text}': {noun} has at most {_MAX_ID_BYTES} bytes"
    return None


def near(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """What to add to a message about an unknown name: the one of these that may have been meant, like it to 1.0 at most."""
    found = get_close_matches(name, known, 1, likeness)
    return f" Did you mean '{found[0]}'?" if found else ""


class Place:
    """Where a setting stands, as in `function 'fulfil'`, `retries`; `is_text`: where all is text."""

    __slots__ = ("argument", "is_text", "owner")

    def __init__(self, owner: str, argument: str, *, is_text: bool = False) -> None:
        self.owner = owner
        self.argument = argument
        self.is_text = is_text

    def at(self, argument: str) -> Place:
        """The same owner's other argument."""
        return Place(self.owner, argument)

    def within(self, name: str) -> Place:
        """A part of this argument, as in `throttle.limit`."""
        return Place(self.owner, f"{self.argument}.{name}")

    def item(self, index: int) -> Place:
        """One of this argument's list, as in `concurrency[1]`."""
        return Place(self.owner, f"{self.argument}[{index}]")

    def error(
        self,
        value: object,
        reason: str,
        accepted: str,
        *,
        position: int | None = None,
    ) -> ConfigError:
        """The error to raise, with a caret under `position` where the value is text."""
        shown = repr(value)
        lead = f"{self.owner}: {self.argument}="
        lines = [f"{lead}{shown} {reason}" if position is None else f"{lead}{shown}"]
        if position is not None:
            lines.append(" " * (len(lead) + 1 + position) + "^ " + reason)
        lines.append(f"  accepted: {accepted}")
        return ConfigError("\n".join(lines))

    def duration_ms(self, value: Duration) -> int:
        """Milliseconds of a duration that was given here.

        Raises:
            ConfigError: it is none.
        """
        return self._read_ms(value, ACCEPTED)

    def duration_between_ms(self, value: Duration, least: str, most: str) -> int:
        """Milliseconds of a duration that was given here, from `least` to `most`, as in `"1ms"`, `"7d"`.

        Raises:
            ConfigError: it is none, or out of range.
        """
        accepted = f"from {least} to {most}: {ACCEPTED}"
        ms = self._read_ms(value, accepted)
        if not to_ms(least) <= ms <= to_ms(most):
            reason = "is too short" if ms < to_ms(least) else "is too long"
            raise self.error(value, reason, accepted)
        return ms

    def _read_ms(self, value: Duration, accepted: str) -> int:
        try:
            return to_ms(value)
        except DurationError as error:
            raise self.error(
                value, str(error), accepted, position=error.position
            ) from None

    def instance(self, value: object, kind: type[T], accepted: str) -> T:
        """A value of this type that was given here.

        Raises:
            ConfigError: it is of another.
        """
        if not isinstance(value, kind):
            reason = f"is of type {type(value).__name__}"
            raise self.error(value, reason, accepted)
        return value

    def whole_number(self, value: object, least: int, most: int) -> int:
        """A whole number from `least` to `most` that was given here.

        Raises:
            ConfigError: it is none, or out of range.
        """
        accepted = f"a whole number from {least} to {most}"
        if isinstance(value, bool) or not isinstance(value, int):
            reason = f"is of type {type(value).__name__}"
            if self.is_text:
                reason = "is no whole number"
            raise self.error(value, reason, accepted)
        if not least <= value <= most:
            reason = "is too small" if value < least else "is too large"
            raise self.error(value, reason, accepted)
        return value
