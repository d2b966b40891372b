"""What users see of flow control: how much of each limit is used, and what a run waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ._codec import read_plain


if TYPE_CHECKING:
    from ._flow import Scope

Policy = Literal[
    "concurrency",
    "run_concurrency",
    "throttle",
    "rate_limit",
    "idempotency",
    "debounce",
    "batch",
    "singleton",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One value of one policy's key, and how much of its limit is used. What does not apply is `None`.

    Attributes:
        policy: the decorator's word for it.
        key: its CEL key as it is written; `None` where it has none.
        value: the key's value; `None` for all events without one together, and where there is no key.
        scope: who shares its slots.
        limit: how many: at one instant, in a period, or events in a batch.
        taken: slots that are taken.
        waiting: how much waits that counts against it: stretches and steps, runs' starts, gathered events.
        left: how many may still come at this moment.
        next_at: when the next may come, or when what is gathered starts.
        run_id: the run that gathers the events, or that is the singleton's.
    """

    policy: Policy
    key: str | None = None
    value: str | None = None
    scope: Scope | None = None
    limit: int | None = None
    taken: int | None = None
    waiting: int = 0
    left: int | None = None
    next_at: datetime | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOn:
    """One thing that a run waits for. What does not apply is `None`.

    Attributes:
        on: a policy by the decorator's word: `"concurrency"`, `"run_concurrency"`, `"throttle"`, `"debounce"`,
            `"batch"`; or `"sleep"`, `"signal"`, `"retry"`; `"event"`: its event lies in the future; `"paused"`: its
            function is; `"executor"`: no process executes its function; `"capacity"`: as much executes as
            `max_in_flight` allows; `"turn"`: others of its function, or other functions, go first.
        step: the step that waits; `None` for the code between steps.
        key: the policy's CEL key as it is written.
        value: the key's value for this run, or the signal's name.
        scope: who shares its slots.
        limit: its number.
        taken: slots that are taken.
        ahead: how many go before it that wait for the same.
        at: when it goes on, or can at the earliest.
    """

    on: str
    step: str | None = None
    key: str | None = None
    value: str | None = None
    scope: Scope | None = None
    limit: int | None = None
    taken: int | None = None
    ahead: int | None = None
    at: datetime | None = None


def read_limits(json: bytes) -> list[Limit]:
    """The limits of a function as the native module gives them."""
    rows: list[dict[str, Any]] = read_plain(json)
    return [
        Limit(run_id=row.pop("run"), next_at=_moment(row.pop("next_at_ms")), **row)
        for row in rows
    ]


def read_waits(json: bytes | None) -> tuple[WaitingOn, ...]:
    """What a run waits for as the native module gives it; nothing where it does not live."""
    rows: list[dict[str, Any]] = [] if json is None else read_plain(json)
    return tuple(WaitingOn(at=_moment(row.pop("at_ms")), **row) for row in rows)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
