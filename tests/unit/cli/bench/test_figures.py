"""The figures of outcomes small enough to be counted by hand."""

import pytest

from durable.cli.bench.figures import figures_of, jain, most_at_once, waits_of
from durable.cli.bench.trial import CANCELLED, COMPLETED, NONE, Outcome


S = 1_000_000


def outcome() -> Outcome:
    """Two runs of `a` in turn, one of `b` that is cancelled, one that waits, one dropped."""
    return Outcome(
        arrivals_us=[0, 0, 1 * S, 5 * S, 6 * S],
        event_runs=[0, 1, 2, 3, NONE],
        event_skips=[None, None, None, None, "rate_limit"],
        run_events=[0, 1, 2, 3],
        run_starts_us=[0, 4 * S, 1 * S, NONE],
        run_ends_us=[4 * S, 8 * S, 3 * S, NONE],
        run_endings=[COMPLETED, COMPLETED, CANCELLED, NONE],
        ended_at_us=9 * S,
        took_s=0.5,
    )


def test_events_are_counted_by_what_became_of_them() -> None:
    figures = figures_of(outcome(), ["a", "a", "b", "a", None])
    everything = figures.all
    assert (everything.events, everything.started, everything.waiting) == (5, 3, 1)
    assert everything.dropped == {"rate_limit": 1}
    assert (everything.most_executing, everything.most_waiting) == (2, 1)
    assert figures.lasted_us == 9 * S
    assert figures.runs == {
        "started": 3,
        "completed": 2,
        "failed": 0,
        "cancelled": 1,
        "executing": 0,
    }


def test_each_key_has_figures_of_its_own_the_busiest_first() -> None:
    keys = figures_of(outcome(), ["a", "a", "b", "a", None]).keys
    assert list(keys) == ["a", None, "b"]
    a, b = keys["a"], keys["b"]
    assert (a.events, a.started, a.waiting, a.most_executing) == (3, 2, 1, 1)
    assert a.waits is not None
    assert (a.waits.p50_ms, a.waits.max_ms, a.waits.mean_ms) == (0, 4000, 2000)
    assert a.pace == pytest.approx(8 / 12)  # 8 s of executing in 12 s
    assert b.pace == 1
    assert keys[None].waits is None


def test_fairness_compares_how_little_each_key_was_held_up() -> None:
    figures = figures_of(outcome(), ["a", "a", "b", "a", None])
    assert figures.fairness == pytest.approx(jain([8 / 12, 1]))
    assert figures_of(outcome(), None).fairness is None


def test_jains_index() -> None:
    assert jain([3, 3, 3]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([0, 0]) == 1
    assert jain([1, 3]) == pytest.approx(16 / 20)


def test_percentiles_are_by_nearest_rank() -> None:
    waits = waits_of(n * 1000 for n in range(10, 0, -1))
    assert waits is not None
    assert (waits.count, waits.mean_ms, waits.max_ms) == (10, 5.5, 10)
    assert (waits.p50_ms, waits.p90_ms, waits.p99_ms) == (5, 9, 10)
    assert waits_of([]) is None


def test_spans_that_touch_do_not_meet() -> None:
    assert most_at_once([(0, 2), (2, 4), (1, 3)]) == 2
    assert most_at_once([(1, 1), (1, 1)]) == 1
    assert most_at_once([]) == 0


def test_a_run_cancelled_before_it_began_is_not_waiting() -> None:
    made = outcome()
    ended = Outcome(
        **{
            **{name: getattr(made, name) for name in made.__slots__},
            "run_ends_us": [*made.run_ends_us[:3], 8 * S],
        }
    )
    assert figures_of(ended, None).all.dropped == {"rate_limit": 1, "cancelled": 1}


def test_an_event_without_a_run_waits() -> None:
    lone = Outcome([0], [NONE], [None], [], [], [], [], S, 1.0)
    assert figures_of(lone, None).all.waiting == 1


def test_of_the_events_of_a_run_a_debounce_keeps_one_and_a_batch_all() -> None:
    made = Outcome([0, S], [0, 0], [None, None], [1], [2 * S], [3 * S], [0], 3 * S, 1.0)
    assert figures_of(made, None).all.started == 2
    debounced = figures_of(made, None, has_debounce=True).all
    assert (debounced.started, debounced.dropped) == (1, {"debounced": 1})
