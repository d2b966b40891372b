"""Settings that say when and how often a function's code runs: `Retries`, `Backoff`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ._duration import Duration
from ._setting import Place


MAX_RETRIES: Final = 20
DEFAULT_RETRIES: Final = 4
MAX_CONCURRENCY: Final = 1_000_000

_DELAYS: Final = ("15s", "30s", "1m", "2m", "5m", "10m", "20m", "40m", "1h", "2h")


@dataclass(frozen=True, slots=True, init=False)
class Backoff:
    """How long a failed try waits: the delay after the first failure, the second, and so on.

    The last delay repeats; up to `jitter` more is added to each.
    """

    delays_ms: tuple[int, ...]
    jitter_ms: int

    def __init__(
        self,
        delays: Sequence[Duration] | Duration = _DELAYS,
        *,
        jitter: Duration = "30s",
    ) -> None:
        place = Place("Backoff", "delays")
        given: Sequence[Duration]
        given = (
            (delays,)
            if isinstance(delays, str) or not isinstance(delays, Sequence)
            else delays
        )
        if not given:
            reason = "is empty"
            raise place.error(delays, reason, "one or more durations")
        object.__setattr__(
            self, "delays_ms", tuple(place.duration_ms(one) for one in given)
        )
        object.__setattr__(self, "jitter_ms", place.at("jitter").duration_ms(jitter))


@dataclass(frozen=True, slots=True)
class Retries:
    """How many more tries each step, and each stretch of code between steps, gets, and how far apart."""

    count: int = DEFAULT_RETRIES
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        Place("Retries", "count").whole_number(self.count, 0, MAX_RETRIES)


def read_retries(place: Place, value: int | Retries) -> Retries:
    """What a decorator's `retries` means.

    Raises:
        ConfigError: it is neither a number from 0 to 20 nor a `Retries`.
    """
    if isinstance(value, Retries):
        return value
    return Retries(place.whole_number(value, 0, MAX_RETRIES))


def read_concurrency(place: Place, value: int | None) -> int | None:
    """What a decorator's `concurrency` means.

    Raises:
        ConfigError: it is not a number above 0.
    """
    return None if value is None else place.whole_number(value, 1, MAX_CONCURRENCY)
