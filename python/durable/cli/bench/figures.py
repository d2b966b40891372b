"""An outcome in figures: what started, what waits, what was dropped, how long it took, how evenly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .trial import CANCELLED, COMPLETED, FAILED, NONE, Outcome


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

STARTED: Final = "started"
WAITING: Final = "waiting"
NOT_STARTED: Final = "cancelled"
REPLACED: Final = "debounced"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long events waited from their arrival to the first execution of their run, in ms.

    Percentiles are by nearest rank: the least wait that so many of a hundred do not exceed.
    """

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(slots=True)
class Group:
    """Events of one key, or all.

    Attributes:
        events: how many came.
        started: how many of them went into a run that began.
        waiting: how many wait for one.
        dropped: how many were dropped, by reason.
        waits: of those that started; `None` where none did.
        pace: of the time from their arrival to the end of their runs, the share in which these executed: 1 where
            none waited; `None` where none started.
        most_executing: how many runs executed at one instant at most.
        most_waiting: how many events waited at one instant at most.
    """

    events: int = 0
    started: int = 0
    waiting: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    waits: Waits | None = None
    pace: float | None = None
    most_executing: int = 0
    most_waiting: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """A whole outcome in figures.

    Attributes:
        all: all events.
        keys: those of each key, the busiest first; `None` is the key of events that lack it.
        fairness: Jain's index over the paces of the keys; `None` where there are no two keys to compare.
        fates: what became of each event.
        runs: how many runs began, and of these how many completed, failed, were cancelled.
        lasted_us: from the first event to the end.
    """

    all: Group
    keys: Mapping[str | None, Group]
    fairness: float | None
    fates: Sequence[str]
    runs: Mapping[str, int]
    lasted_us: int


def figures_of(
    outcome: Outcome, keys: Sequence[str | None] | None, *, has_debounce: bool = False
) -> Figures:
    """The figures of an outcome.

    Args:
        outcome: what became of events and runs.
        keys: the key of each event; `None` where none was asked for.
        has_debounce: whether of the events of a run one alone was kept.
    """
    fates = list(fates_of(outcome, has_debounce=has_debounce))
    whole = (range(len(fates)), range(len(outcome.run_events)))
    everything = _group(outcome, fates, whole)
    groups: dict[str | None, Group] = {}
    if keys is not None:
        events_of: dict[str | None, list[int]] = defaultdict(list)
        runs_of: dict[str | None, list[int]] = defaultdict(list)
        for event in range(len(fates)):
            events_of[keys[event]].append(event)
        for run, event in enumerate(outcome.run_events):
            runs_of[keys[event]].append(run)
        busiest = sorted(events_of, key=lambda key: (-len(events_of[key]), key or ""))
        groups = {
            key: _group(outcome, fates, (events_of[key], runs_of[key]))
            for key in busiest
        }
    paces = [group.pace for group in groups.values() if group.pace is not None]
    first = min(outcome.arrivals_us, default=outcome.ended_at_us)
    return Figures(
        all=everything,
        keys=groups,
        fairness=jain(paces) if len(paces) > 1 else None,
        fates=fates,
        runs=_runs(outcome),
        lasted_us=outcome.ended_at_us - first,
    )


def fates_of(outcome: Outcome, *, has_debounce: bool = False) -> Iterator[str]:
    """What became of each event: `started`, `waiting`, or why it was dropped."""
    rows = zip(outcome.event_runs, outcome.event_skips, strict=True)
    for event, (run, skip) in enumerate(rows):
        if skip is not None or run == NONE:
            yield skip or WAITING
        elif outcome.run_starts_us[run] != NONE:
            is_kept = outcome.run_events[run] == event or not has_debounce
            yield STARTED if is_kept else REPLACED
        else:
            yield WAITING if outcome.run_ends_us[run] == NONE else NOT_STARTED


def jain(values: Sequence[float]) -> float:
    """How evenly something is shared: 1 where all get the same, 1/n where one of n gets all.

    `(sum x)^2 / (n * sum x^2)`, after Jain, Chiu and Hawe, "A Quantitative Measure of Fairness and
    Discrimination for Resource Allocation in Shared Computer Systems", DEC-TR-301 (1984). Keys ask for different
    amounts, so x is what a key got relative to what it asked for: its pace, not its runs.
    """
    squares = math.fsum(value * value for value in values)
    return math.fsum(values) ** 2 / (len(values) * squares) if squares else 1.0


def waits_of(waits_us: Iterable[int]) -> Waits | None:
    """Waits in figures; `None` where there is none."""
    ordered = sorted(waits_us)
    if not ordered:
        return None

    def rank(percent: int) -> float:
        return ordered[-(-percent * len(ordered) // 100) - 1] / 1000

    mean_ms = math.fsum(ordered) / len(ordered) / 1000
    return Waits(
        len(ordered), mean_ms, rank(50), rank(90), rank(99), ordered[-1] / 1000
    )


def most_at_once(spans: Iterable[tuple[int, int]]) -> int:
    """How many spans of time lie over one instant at most.

    One that ends at a moment and one that begins at it do not meet. Of spans without a length, which a clock of
    milliseconds gives, one alone counts.
    """
    steps: list[tuple[int, int]] = []
    has_any = False
    for start, end in spans:
        has_any = True
        if end > start:
            steps += [(start, 1), (end, -1)]
    most = now = 0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return max(most, int(has_any))


def executions(outcome: Outcome, runs: Iterable[int]) -> Iterator[tuple[int, int]]:
    """From when to when these runs executed."""
    for run in runs:
        start, end = outcome.run_starts_us[run], outcome.run_ends_us[run]
        if start != NONE:
            yield start, outcome.ended_at_us if end == NONE else end


def queuings(
    outcome: Outcome, fates: Sequence[str], events: Iterable[int]
) -> Iterator[tuple[int, int]]:
    """From when to when these events waited, where they did at all."""
    for event in events:
        arrival = outcome.arrivals_us[event]
        end = arrival
        if fates[event] == STARTED:
            end = outcome.run_starts_us[outcome.event_runs[event]]
        elif fates[event] == WAITING:
            end = outcome.ended_at_us
        if end > arrival:
            yield arrival, end


def _group(
    outcome: Outcome,
    fates: Sequence[str],
    members: tuple[Sequence[int], Sequence[int]],
) -> Group:
    events, runs = members
    counted = Counter(fates[event] for event in events)
    group = Group(events=len(events))
    group.started = counted.pop(STARTED, 0)
    group.waiting = counted.pop(WAITING, 0)
    group.dropped = counted
    started = [event for event in events if fates[event] == STARTED]
    spans = list(executions(outcome, (outcome.event_runs[event] for event in started)))
    waits = [
        start - outcome.arrivals_us[event]
        for event, (start, _) in zip(started, spans, strict=True)
    ]
    group.waits = waits_of(waits)
    if started:
        executed = sum(end - start for start, end in spans)
        total = executed + sum(waits)
        group.pace = executed / total if total else 1.0
    group.most_executing = most_at_once(executions(outcome, runs))
    group.most_waiting = most_at_once(queuings(outcome, fates, events))
    return group


def _runs(outcome: Outcome) -> Mapping[str, int]:
    began = [run for run, at in enumerate(outcome.run_starts_us) if at != NONE]
    endings = Counter(outcome.run_endings[run] for run in began)
    return {
        "started": len(began),
        "completed": endings[COMPLETED],
        "failed": endings[FAILED],
        "cancelled": endings[CANCELLED],
        "executing": endings[NONE],
    }
