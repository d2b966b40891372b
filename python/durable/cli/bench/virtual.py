"""A trial under a simulated clock: the scheduler itself, without disk, and years in seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from durable._bridge import public_errors, rehearse
from durable._function import flow_json

from .trial import FUNCTION, NONE, Outcome, Trial, app_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable import Context

_NO_DELAYS: Final = (1000,)


def play(trial: Trial) -> Outcome:
    """Play it through; Ctrl-C is heard.

    Raises:
        ConfigError: the scheduler does not take the function.
        EventRefused: it does not take an event.
    """
    function = app_of(trial, _nothing).functions[FUNCTION]
    triggers = list(function.triggers)
    described = (FUNCTION, triggers, 0, _NO_DELAYS, 0, flow_json(function))
    traffic = trial.traffic
    arrivals = list(
        zip(traffic.events, traffic.times_us, trial.lengths_us, strict=True)
    )
    began_at = time.perf_counter()
    with public_errors():
        of_events, of_runs, ended_at_us = rehearse(
            described,
            arrivals,
            capacity=trial.capacity,
            seed=trial.seed,
            stop_at_us=traffic.times_us[-1] if trial.stops_at_end else None,
        )
    took_s = time.perf_counter() - began_at
    event_runs, skips, words = of_events
    run_events, run_starts, run_ends, run_endings = map(_column, of_runs)
    skipped = [None if skip == NONE else words[skip] for skip in _column(skips)]
    came = len(skipped)  # fewer than were sent where it stopped early
    return Outcome(
        arrivals_us=traffic.times_us[:came],
        event_runs=_column(event_runs),
        event_skips=skipped,
        run_events=run_events,
        run_starts_us=run_starts,
        run_ends_us=run_ends,
        run_endings=run_endings,
        ended_at_us=ended_at_us,
        took_s=took_s,
    )


async def _nothing(_: Context[Any]) -> None:
    """Stands for the handler, which the scheduler alone does not call."""


def _column(numbers: bytes) -> Sequence[int]:
    return memoryview(numbers).cast("q").tolist()
