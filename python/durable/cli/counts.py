"""What the runs of each function are doing, as the engine counts it, in the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class FunctionCounts:
    """Runs of one function, by state.

    Attributes:
        queued: something of them is ready and waits for a slot.
        running: something of them executes.
        parked: they wait for a moment or a retry.
        done: they completed, since the store was made.
        failed: they failed or were cancelled, since the store was made.
    """

    queued: int = 0
    running: int = 0
    parked: int = 0
    done: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """Runs that have ended."""
        return self.done + self.failed

    @property
    def live(self) -> int:
        """Runs that have not."""
        return self.queued + self.running + self.parked

    def plus(self, other: FunctionCounts) -> FunctionCounts:
        """Both together."""
        return FunctionCounts(
            self.queued + other.queued,
            self.running + other.running,
            self.parked + other.parked,
            self.done + other.done,
            self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Runs by function and state."""

    functions: Mapping[str, FunctionCounts] = field(
        default_factory=dict[str, FunctionCounts]
    )

    @property
    def total(self) -> FunctionCounts:
        """Those of all functions together."""
        total = FunctionCounts()
        for one in self.functions.values():
            total = total.plus(one)
        return total

    def of(self, function: str) -> FunctionCounts:
        """Those of one function; nothing where it has none yet."""
        return self.functions.get(function, FunctionCounts())


def counts_of(stats: Mapping[str, Any]) -> Counts:
    """What `Engine.stats()` says of the functions."""
    return Counts({name: _of(one) for name, one in stats["functions"].items()})


def _of(one: Mapping[str, Any]) -> FunctionCounts:
    return FunctionCounts(
        queued=one["queued"],
        running=one["running"],
        parked=sum(one["parked"].values()),
        done=one["completed"],
        failed=one["failed"] + one["cancelled"],
    )
