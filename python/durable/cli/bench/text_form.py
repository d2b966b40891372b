"""Settings in one line of text, read from left to right; what is wrong is shown under the text with a caret."""

from __future__ import annotations

import re
from typing import Final, NoReturn

from durable._duration import DurationError, to_seconds
from durable.cli.failure import CommandError


_SPACE: Final = re.compile(r"\s*")


class TextForm:
    """One option's text and how far it is read.

    Args:
        option: the option's name, as in `--throttle`.
        text: what was given.
        accepted: the form and an example, for whoever gave something else.
    """

    def __init__(self, option: str, text: str, accepted: str) -> None:
        self._option = option
        self._text = text
        self._accepted = accepted
        self._at = 0

    def find(self, pattern: str) -> str | None:
        """What comes next, where it is this."""
        start = self._after_space()
        found = re.compile(pattern).match(self._text, start)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def take(self, pattern: str, expected: str) -> str:
        """What comes next, which must be this.

        Raises:
            CommandError: it is something else.
        """
        found = self.find(pattern)
        if found is None:
            self.fail(f"expected {expected}")
        return found

    def number(self) -> int:
        """A whole number."""
        return int(self.take(r"\d+(?![\w.])", "a whole number"))

    def length(self, pattern: str = r"\S+") -> str:
        """A length of time, as it was written.

        Raises:
            CommandError: it is none.
        """
        start = self._after_space()
        text = self.take(pattern, "a length of time, as in 30s")
        try:
            to_seconds(text)
        except DurationError as error:
            self.fail(f"{text!r} {error}", start + (error.position or 0))
        return text

    def seconds(self, pattern: str = r"\S+") -> float:
        """The same, as a number."""
        return to_seconds(self.length(pattern))

    def key(self) -> str | None:
        """`by` and all that is left, or nothing where nothing is.

        Raises:
            CommandError: something else is left.
        """
        if self.find(r"by\b") is None:
            self.end()
            return None
        self.take(r"(?=\S)", "a CEL expression, as in event.data.customer_id")
        key, self._at = self._text[self._at :].strip(), len(self._text)
        return key

    def end(self) -> None:
        """Nothing more comes.

        Raises:
            CommandError: something does.
        """
        self._at = self._after_space()
        if self._at < len(self._text):
            self.fail("this does not belong here")

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Say what is wrong, by default with what comes next.

        Raises:
            CommandError: always.
        """
        place = self._after_space() if at is None else at
        line = f"{self._option} "
        text = (
            f"{self._option}: {reason}\n    {line}{self._text!r}\n"
            f"    {' ' * (len(line) + 1 + place)}^"
        )
        raise CommandError(text, f"accepted: {self._accepted}")

    def _after_space(self) -> int:
        found = _SPACE.match(self._text, self._at)
        return self._at if found is None else found.end()
