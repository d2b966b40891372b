"""Small trials computed by hand under the simulated clock; in real time they come out the same."""

from __future__ import annotations

import signal
from collections import Counter
from itertools import pairwise
from typing import Any

import orjson
import pytest

from durable.cli.bench import real, virtual
from durable.cli.bench.figures import Figures, fates_of, figures_of
from durable.cli.bench.policies import PolicyTexts, read_policies
from durable.cli.bench.traffic import Traffic
from durable.cli.bench.trial import NONE, Outcome, Trial


MS = 1000
FIRST_US = 1_700_000_000_000 * MS


def trial(
    events: list[tuple[str, int]],
    *,
    length_ms: int,
    capacity: int = 100,
    stops: bool = False,
    **texts: Any,
) -> Trial:
    """Events of somebody at so many ms, each with a run of `length_ms`."""
    encoded = [
        (
            "test/start",
            orjson.dumps({"who": who}),
            f"id-{place}",
            FIRST_US // MS + ms,
            None,
            None,
        )
        for place, (who, ms) in enumerate(events)
    ]
    traffic = Traffic(
        "a few events",
        encoded,
        [FIRST_US + ms * MS for _, ms in events],
        ["test/start"],
    )
    policies, _ = read_policies(PolicyTexts(**texts))
    lengths = [length_ms * MS] * len(events)
    return Trial(policies, traffic, lengths, capacity, 0, stops)


def starts_ms(outcome: Outcome) -> list[int | None]:
    """When the run of each event began, in ms since the first event."""
    first = outcome.arrivals_us[0]
    moments = [
        NONE if run == NONE else outcome.run_starts_us[run]
        for run in outcome.event_runs
    ]
    return [None if at == NONE else round((at - first) / MS) for at in moments]


def figures(made: Trial, outcome: Outcome) -> Figures:
    keys = [orjson.loads(data)["who"] for _, data, *_ in made.traffic.events]
    return figures_of(outcome, keys)


def test_a_throttle_spreads_starts() -> None:
    made = trial([("a", 0)] * 5, length_ms=10, throttle="2/1s")
    assert starts_ms(virtual.play(made)) == [0, 0, 500, 1000, 1500]


def test_a_rate_limit_drops() -> None:
    events = [("a", 0), ("a", 0), ("a", 0), ("b", 0), ("a", 600)]
    made = trial(events, length_ms=10, rate_limit="2/1s by event.data.who")
    outcome = virtual.play(made)
    assert starts_ms(outcome) == [0, 0, None, 0, 600]
    assert list(fates_of(outcome))[2] == "rate_limit"


def test_a_key_goes_on_alone() -> None:
    events = [("a", 0), ("a", 0), ("b", 10), ("a", 10)]
    made = trial(events, length_ms=100, concurrency=["1 by event.data.who"])
    outcome = virtual.play(made)
    assert starts_ms(outcome) == [0, 100, 10, 200]
    told = figures(made, outcome)
    assert told.all.most_executing == 2
    assert told.keys["a"].most_executing == told.keys["b"].most_executing == 1
    assert told.lasted_us == 300 * MS


def test_priority_goes_before_age() -> None:
    made = trial(
        [("a", 0), ("a", 1), ("b", 2)],
        length_ms=100,
        concurrency=["1"],
        priority="event.data.who == 'b' ? 60 : 0",
    )
    assert starts_ms(virtual.play(made)) == [0, 200, 100]


def test_idempotency_takes_the_first_of_a_day() -> None:
    day = 24 * 3_600_000
    events = [("a", 0), ("a", 5), ("b", 5), ("a", day + 10)]
    made = trial(events, length_ms=1, idempotency="event.data.who")
    outcome = virtual.play(made)
    assert starts_ms(outcome) == [0, None, 5, day + 10]
    assert figures(made, outcome).all.dropped == {"idempotency": 1}


def test_what_waits_at_the_end_of_the_events_is_counted() -> None:
    made = trial(
        [("a", 0)] * 3 + [("a", 700)], length_ms=10, throttle="2/1s", stops=True
    )
    outcome = virtual.play(made)
    assert starts_ms(outcome) == [0, 0, 500, None]
    assert figures(made, outcome).all.waiting == 1
    assert outcome.ended_at_us == FIRST_US + 700 * MS


def test_an_event_of_the_future_starts_when_it_comes() -> None:
    """Faster than recorded, an event's own moment lies ahead of the moment at which it comes."""
    made = trial([("a", 0), ("a", 90_000)], length_ms=1)
    early = Traffic(
        "fast",
        made.traffic.events,
        [FIRST_US, FIRST_US + 9 * MS],
        made.traffic.triggers,
    )
    faster = Trial(made.flow, early, made.lengths_us, 100, 0, stops_at_end=False)
    assert starts_ms(virtual.play(faster)) == [0, 9]


def test_ctrl_c_is_heard_in_the_middle() -> None:
    """The simulated clock knows nothing of signals; the call that drives it asks for them."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    made = trial([("a", 0)] * 30_000, length_ms=1, throttle="1/1s")
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            virtual.play(made)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def both(made: Trial) -> tuple[Outcome, Outcome]:
    return virtual.play(made), real.play(made, "memory:")


@pytest.mark.slow
def test_in_real_time_the_same_is_dropped() -> None:
    events = [("a", 0), ("a", 0), ("a", 0), ("b", 0), ("a", 0), ("b", 0)]
    made = trial(events, length_ms=5, rate_limit="2/1h by event.data.who")
    simulated, lived = both(made)
    assert list(fates_of(lived)) == list(fates_of(simulated))
    assert Counter(fates_of(lived)) == {"started": 4, "rate_limit": 2}


@pytest.mark.slow
def test_in_real_time_the_limits_are_the_same() -> None:
    events = [("a", 0), ("a", 0), ("b", 0), ("a", 0), ("b", 1)]
    made = trial(events, length_ms=20, concurrency=["1 by event.data.who", "2"])
    for outcome in both(made):
        told = figures(made, outcome)
        assert told.runs["completed"] == 5
        assert told.all.most_executing <= 2
        assert told.keys["a"].most_executing == 1
        assert told.keys["a"].waits is not None
        assert told.keys["a"].waits.max_ms >= 39  # moments are whole milliseconds


@pytest.mark.slow
def test_in_real_time_a_throttle_spreads_starts_as_far() -> None:
    made = trial([("a", 0)] * 4, length_ms=1, throttle="1/50ms")
    simulated, lived = both(made)
    assert starts_ms(simulated) == [0, 50, 100, 150]
    gaps = [later - at for at, later in pairwise(lived.run_starts_us)]
    assert sum(gaps) >= 149 * MS  # never early


@pytest.mark.slow
def test_in_real_time_what_waits_at_the_end_is_counted() -> None:
    made = trial([("a", 0)] * 3, length_ms=1, throttle="1/1h", stops=True)
    told = [figures(made, outcome).all for outcome in both(made)]
    assert [one.started + one.waiting for one in told] == [3, 3]
    assert all(one.waiting >= 2 for one in told)
