"""What a decorator says of when, how often and in what order a function's code runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ._duration import Duration
from ._setting import Place


if TYPE_CHECKING:
    from ._events import EventType


MAX_RETRIES: Final = 20
DEFAULT_RETRIES: Final = 4

_DELAYS: Final = ("15s", "30s", "1m", "2m", "5m", "10m", "20m", "40m", "1h", "2h")


Scope: TypeAlias = Literal["fn", "env", "account"]
"""Who shares the slots of a `Concurrency`: one function, or all that use the same value of its key."""


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
    """How many more tries each step, and each stretch of code between steps, gets, and how far apart.

    Attributes:
        count: how many, 0 to 20.
        backoff: how far apart; `None`: as the engine says, `Engine(backoff=...)`.
    """

    count: int = DEFAULT_RETRIES
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        Place("Retries", "count").whole_number(self.count, 0, MAX_RETRIES)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most so many at one instant: steps and stretches of code; as `run_concurrency`, whole runs.

    What executes holds a slot. What sleeps, waits, is queued or backs off holds none; of `run_concurrency`
    a run holds one from its start to its end, sleeps included. At no instant is a limit exceeded,
    restarts included.

    Attributes:
        limit: how many, 1 to 2,147,483,647.
        key: CEL over the event, as in `"event.data.customer_id"`: each of its values has slots of its
            own, and so have together the events that lack the field. By default all share the same.
        scope: who shares them: `"fn"`, the default, this function alone; `"env"` and `"account"` every
            function with the same value of the key, each applying its own limit. These two need a key.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    limit: int
    key: str | None = field(default=None, kw_only=True)
    scope: Scope = field(default="fn", kw_only=True)


@dataclass(frozen=True, slots=True)
class Throttle:
    """So many runs start in a period; the later ones wait, first come first served. None is dropped.

    `limit + burst` start at once, after that one every `period / limit`: no window that begins anew. Steps,
    retries and what wakes are not throttled. The algorithm is GCRA in its form of virtual scheduling
    (ITU-T Recommendation I.371, Annex A), with an interval of `period / limit`.

    Attributes:
        limit: how many, 1 to 2,147,483,647.
        period: in how long, 1 ms to 7 days, in whole milliseconds.
        burst: how many more may start at once, 0 to 2,147,483,647; 0 by default.
        key: CEL over the event: each of its values is counted alone, and so are together the events that
            lack the field. By default all count together.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    limit: int
    period: Duration
    burst: int = field(default=0, kw_only=True)
    key: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many events are taken in a period; the others are dropped, counted, and listed as skipped.

    `burst + 1` are taken at once, after that one every `period / limit`: no window that begins anew. An event
    that is dropped does not count. The algorithm is GCRA in its form of virtual scheduling (ITU-T
    Recommendation I.371, Annex A), with an interval of `period / limit`.

    Attributes:
        limit: how many, 1 to 2,147,483,647.
        period: in how long, 1 ms to 24 hours, in whole milliseconds.
        burst: how many beside the first may be taken at once, 0 to 2,147,483,647; `limit - 1` by default, so
            that `limit` are. (`Throttle` counts its burst on top of the limit.)
        key: CEL over the event: each of its values is counted alone; an event that lacks the field is
            not limited. By default all count together.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    limit: int
    period: Duration
    burst: int | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Debounce:
    """One run for a burst of events, with the last of them by `ts`, once `period` has passed without another.

    Attributes:
        period: how long it must be quiet, 1 ms to 7 days, in whole milliseconds.
        key: CEL over the event: each of its values is a burst of its own, and so are together the events
            that lack the field. By default all are one.
        timeout: how long after the first event the run starts at the latest, 1 ms to 366 days; by default
            events that keep coming put it off for ever.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    period: Duration
    key: str | None = field(default=None, kw_only=True)
    timeout: Duration | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """One run for many events, in order of their arrival: the handler reads `ctx.events`.

    Attributes:
        max_size: how many events make the run start at once, 2 to 1,000; 10 MiB of their data do so too.
        timeout: how long after the first event it starts with those that came, 1 ms to 366 days.
        key: CEL over the event: each of its values makes batches of its own, and so do together the events
            that lack the field. By default all go into one.
        if_: CEL over the event: one for which it is not true gets a run of its own, without waiting.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    max_size: int
    timeout: Duration
    key: str | None = field(default=None, kw_only=True)
    if_: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Priority:
    """A head start over the function's other runs, which go by their age.

    Attributes:
        expr: CEL over the event giving seconds, as in `"event.data.plan == 'paid' ? 120 : 0"`; fractions and
            what exceeds 43,200 (12 hours) either way are cut. Negative: a handicap. An error counts as 0.

    Raises:
        ConfigError: out of `app.function`, naming the function, where it is no expression.
    """

    expr: str


@dataclass(frozen=True, slots=True)
class Singleton:
    """One run at a time: none begins beside one that has not ended.

    Attributes:
        mode: what becomes of an event that comes meanwhile: `"skip"` lists it as skipped; `"cancel"` cancels
            the run, and the event's own starts.
        key: CEL over the event: one run at a time for each of its values; an event that lacks the field
            starts its run in any case. By default one for the function.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    mode: Literal["skip", "cancel"]
    key: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class CancelOn:
    """An event that cancels a run, also in the middle of a step; from the run's creation on.

    With neither `match` nor `if_` each such event cancels all of the function's runs, whatever they are about.

    Args:
        event: its type, or its name. Only events that come later than the run's own count.
        if_: CEL over `event`, which started the run, and `async`, the one that comes, without macros, as in
            `"async.data.order_id == event.data.order_id"`.
        match: a field that both must have with the same value, as in `"data.order_id"`. Where the run's own event
            has it not, nothing that has it cancels the run; the first such run of a function is logged.
        timeout: for how long after the run's creation; by default until its end.
    """

    event: EventType[Any] | str
    if_: str | None = field(default=None, kw_only=True)
    match: str | None = field(default=None, kw_only=True)
    timeout: Duration | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a run is cancelled, also in the middle of a step. At least one of the two is given.

    Attributes:
        start: how long from the moment when it could start (its creation, the end of its debounce or batch, its
            event's `ts` where that lies in the future) to its first execution at most, 1 ms to 366 days; what
            waits for a limit or a throttle could start. By default as long as it takes.
        finish: how long from its first execution to its end at most, 1 ms to 366 days; by default as long
            as it takes.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    start: Duration | None = None
    finish: Duration | None = None


def read_retries(place: Place, value: int | Retries) -> Retries:
    """What a decorator's `retries` means.

    Raises:
        ConfigError: it is neither a number from 0 to 20 nor a `Retries`.
    """
    if isinstance(value, Retries):
        return value
    return Retries(place.whole_number(value, 0, MAX_RETRIES))
