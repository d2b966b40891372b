"""How a wrong setting is told: which function, which argument, what is wrong where, what would do."""

from __future__ import annotations

from ._duration import ACCEPTED, Duration, DurationError, to_ms
from ._errors import ConfigError


class Place:
    """Where a setting stands, as in `function 'fulfil'`, `retries`."""

    __slots__ = ("argument", "owner")

    def __init__(self, owner: str, argument: str) -> None:
        self.owner = owner
        self.argument = argument

    def at(self, argument: str) -> Place:
        """The same owner's other argument."""
        return Place(self.owner, argument)

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
        try:
            return to_ms(value)
        except DurationError as error:
            raise self.error(
                value, str(error), ACCEPTED, position=error.position
            ) from None

    def whole_number(self, value: object, least: int, most: int) -> int:
        """A whole number from `least` to `most` that was given here.

        Raises:
            ConfigError: it is none, or out of range.
        """
        accepted = f"a whole number from {least} to {most}"
        if isinstance(value, bool) or not isinstance(value, int):
            reason = f"is of type {type(value).__name__}"
            raise self.error(value, reason, accepted)
        if not least <= value <= most:
            reason = "is too small" if value < least else "is too large"
            raise self.error(value, reason, accepted)
        return value
