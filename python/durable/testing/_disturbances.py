"""What is done to the runs of a test to find what depends on luck: chosen by a seed, or one by one.

A disturbance is a sentence, as in `crash after step 'charge' of fulfil #1`. Whether it is done follows from the seed
and the sentence alone: leaving one out changes no other, so that a failing schedule can be cut down.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

#: One in so many.
CRASH: Final = 6
HOLD: Final = 3
DELIVER: Final = 5

_LATE_MS: Final = (1, 50, 1000)


class Disturbances:
    """The disturbances of one test.

    Attributes:
        done: those that were done, in order: the schedule.
    """

    def __init__(
        self, seed: int | None = None, only: Collection[str] | None = None
    ) -> None:
        self._seed = seed
        self._only = only
        self._counts: dict[str, int] = {}
        self._engine_count = 0
        self.done: list[str] = []

    def of_engine(self) -> EngineDisturbances:
        """Those of one more engine of the test."""
        self._engine_count += 1
        number = self._engine_count
        return EngineDisturbances(self, "" if number == 1 else f" (engine {number})")

    @property
    def is_on(self) -> bool:
        """True where anything may be done."""
        return self._only is not None or self._seed is not None

    def undone(self) -> list[str]:
        """Those that were asked for by name and that the test has not come to."""
        return [one for one in self._only or () if one not in self.done]

    def does(self, sentence: str, odds: int) -> bool:
        """True where this is to be done: where it was asked for, or as one in `odds` is by the seed."""
        if self._only is not None:
            is_due = sentence in self._only
        else:
            is_due = self._seed is not None and draw(self._seed, sentence) % odds == 0
        if is_due and sentence not in self.done:
            self.done.append(sentence)
        return is_due


class EngineDisturbances:
    """Those of one engine: which step of which run is meant, and which event."""

    def __init__(self, whole: Disturbances, suffix: str) -> None:
        self._whole = whole
        self._suffix = suffix
        self._run_numbers: dict[str, dict[str, int]] = {}
        self._event_count = 0

    @property
    def is_on(self) -> bool:
        """True where anything may be done."""
        return self._whole.is_on

    def crashes_after(self, function: str, run: str, step: str) -> bool:
        """True where the engine crashes once this step is recorded."""
        return self._does(f"crash after {self._step(function, run, step)}", CRASH)

    def rank(self, function: str, run: str, step: str) -> int:
        """0: the step starts with those parallel to it; 1: behind them; 2: behind those of 1."""
        where = self._step(function, run, step)
        if self._does(f"hold back {where}", HOLD):
            return 1
        return 2 if self._does(f"hold back to the last {where}", HOLD) else 0

    def next_event(self, name: str, *, comes_once: bool) -> EventFate:
        """What becomes of the next event that the test sends."""
        self._event_count += 1
        what = f"event {self._event_count} ({name})"
        late = next(
            (ms for ms in _LATE_MS if self._does(f"{what} {ms} ms late", 3 * DELIVER)),
            0,
        )
        return EventFate(
            late,
            is_twice=not comes_once and self._does(f"{what} twice", DELIVER),
            is_again=not comes_once and self._does(f"{what} again later", DELIVER),
        )

    def _does(self, sentence: str, odds: int) -> bool:
        return self._whole.does(sentence + self._suffix, odds)

    def _step(self, function: str, run: str, step: str) -> str:
        numbers = self._run_numbers.setdefault(function, {})
        number = numbers.setdefault(run, len(numbers) + 1)
        return f"step '{step}' of {function} #{number}"


class EventFate:
    """What becomes of an event that a test sends.

    Attributes:
        late_ms: it is accepted so much later.
        is_twice: it comes twice at once.
        is_again: it comes once more when all that it started has been done.
    """

    __slots__ = ("is_again", "is_twice", "late_ms")

    def __init__(self, late_ms: int, *, is_twice: bool, is_again: bool) -> None:
        self.late_ms = late_ms
        self.is_twice = is_twice
        self.is_again = is_again


def draw(seed: int, text: str) -> int:
    """A number that follows from both, and looks like chance."""
    digest = hashlib.blake2b(f"{seed}/{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def smallest(
    schedule: Sequence[str],
    fails: Callable[[Sequence[str]], bool],
    most_tries: int = 100,
) -> list[str]:
    """The schedule without what the failure does not need: none of it can be left out alone.

    Halves are tried first, as in delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
    Failure-Inducing Input", 2002, section 3.2), then single ones.

    Args:
        schedule: a schedule that fails.
        fails: tries one.
        most_tries: where it ends in any case.
    """
    left, size, tries = [*schedule], len(schedule), 0
    while left and size and tries < most_tries:
        for start in range(0, len(left), size):
            without = left[:start] + left[start + size :]
            tries += 1
            if fails(without):
                left, size = without, min(size, len(without))
                break
            if tries >= most_tries:
                break
        else:
            size = size // 2 if size > 1 else 0
    return left
