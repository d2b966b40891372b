"""How far a run's code is ahead of the disk: results it has gone on with that are not confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable

    from ._checkpointing import Leeway


class Ahead:
    """Results of one stretch of code that are not on disk yet, by the number of their report."""

    __slots__ = ("_began_at", "_clock", "_gone_on", "_leeway", "_returned_at")

    def __init__(self, leeway: Leeway, clock: Callable[[], float]) -> None:
        self._leeway = leeway
        self._clock = clock  # in seconds, from anywhere
        self._returned_at: dict[int, float] = {}  # in order
        self._gone_on: set[int] = set()
        self._began_at = clock()

    def rest(self) -> None:
        """The code has waited until all was on disk, or begins."""
        self._began_at = self._clock()

    def add(self, number: int) -> None:
        """A step has returned, and is reported under this number."""
        self._returned_at[number] = self._clock()

    def confirm(self, number: int) -> None:
        """That is on disk."""
        self._returned_at.pop(number, None)
        self._gone_on.discard(number)

    def admit(self, number: int) -> bool:
        """True where the code may go on with this result now: then it has."""
        leeway, now = self._leeway, self._clock()
        oldest_at = next(iter(self._returned_at.values()), now)
        may_go_on = (
            len(self._gone_on) < leeway.steps
            and now - oldest_at < leeway.interval_s
            and now - self._began_at < leeway.runtime_s
        )
        if may_go_on:
            self._gone_on.add(number)
        return may_go_on
