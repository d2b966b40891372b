"""A trial and its outcome: what both the simulated and the real clock are given, and what both give back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from durable._flow_check import Flow


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from durable import App, Context

    from .traffic import Traffic

FUNCTION: Final = "flow"

NONE: Final = -1
"""Stands for what is not there, in every column."""

COMPLETED: Final = 0
FAILED: Final = 1
CANCELLED: Final = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """Events for one function with this flow control.

    Attributes:
        flow: its policies.
        traffic: the events and their moments.
        lengths_us: how long the run of each event executes.
        capacity: how many runs execute at one instant at most.
        seed: for the engine's chance.
        stops_at_end: it is over when the last event has come, whatever waits.
    """

    flow: Flow
    traffic: Traffic
    lengths_us: Sequence[int]
    capacity: int
    seed: int
    stops_at_end: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the events and the runs. Moments are microseconds since the epoch.

    Attributes:
        arrivals_us: when each event came.
        event_runs: the place of the run that it started or went into.
        event_skips: why it started none; `None` where it did, or may yet.
        run_events: the place of the event that a run was made for.
        run_starts_us: when it first executed.
        run_ends_us: when it ended.
        run_endings: how: completed, failed, cancelled.
        ended_at_us: the last moment of it all.
        took_s: how long it took by the wall.
    """

    arrivals_us: Sequence[int]
    event_runs: Sequence[int]
    event_skips: Sequence[str | None]
    run_events: Sequence[int]
    run_starts_us: Sequence[int]
    run_ends_us: Sequence[int]
    run_endings: Sequence[int]
    ended_at_us: int
    took_s: float


def app_of(trial: Trial, handler: Callable[[Context[Any]], Awaitable[None]]) -> App:
    """An application of one function with the trial's flow control."""
    from durable import App  # noqa: PLC0415  # slow to import

    flow: dict[str, Any] = {
        field.name: getattr(trial.flow, field.name)
        for field in dataclasses.fields(Flow)
    }
    app = App("bench")
    triggers: list[Any] = list(trial.traffic.triggers)
    app.function(FUNCTION, on=triggers, retries=0, **flow)(handler)
    return app
