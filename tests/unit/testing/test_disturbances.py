"""Which disturbances a seed chooses, and how a schedule is cut down to what a failure needs."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies

from durable.testing._disturbances import Disturbances, draw, smallest


def test_nothing_is_done_without_a_seed() -> None:
    own = Disturbances().of_engine()
    assert not own.is_on
    assert not own.crashes_after("f", "run", "a")
    assert own.rank("f", "run", "a") == 0
    fate = own.next_event("e", comes_once=False)
    assert (fate.late_ms, fate.is_twice, fate.is_again) == (0, False, False)


def test_what_a_seed_does_does_not_depend_on_what_was_asked_before() -> None:
    """So leaving one out changes no other."""
    one, other = Disturbances(3), Disturbances(3)
    sentences = [f"crash after step '{n}'" for n in range(100)]
    forth = {s for s in sentences if one.does(s, 6)}
    back = {s for s in reversed(sentences) if other.does(s, 6)}
    assert forth == back == set(one.done)
    assert 5 < len(forth) < 40


def test_seeds_choose_differently_and_evenly() -> None:
    drawn = [draw(seed, "hold back step 'a'") % 3 for seed in range(3000)]
    assert all(800 < drawn.count(n) < 1200 for n in range(3))


def test_of_named_ones_all_are_done_and_no_others() -> None:
    wanted = ["crash after step 'a' of f #2", "hold back to the last step 'a' of f #1"]
    chosen = Disturbances(1, wanted)
    own = chosen.of_engine()
    assert own.is_on
    assert not own.crashes_after("f", "first", "a")
    assert own.rank("f", "first", "a") == 2
    assert chosen.undone() == wanted[:1]
    assert own.crashes_after("f", "second", "a")
    assert own.rank("g", "third", "a") == 0
    assert chosen.undone() == []
    assert chosen.done == wanted[::-1]


def test_runs_are_counted_for_each_function_and_engine() -> None:
    chosen = Disturbances(None, ["crash after step 'a' of g #1 (engine 2)"])
    first, second = chosen.of_engine(), chosen.of_engine()
    assert not first.crashes_after("g", "run", "a")
    assert not second.crashes_after("f", "other", "a")
    assert second.crashes_after("g", "run", "a")


@pytest.mark.parametrize(
    ("sentence", "fate"),
    [
        ("event 2 (b) 50 ms late", (50, False, False)),
        ("event 2 (b) twice", (0, True, False)),
        ("event 2 (b) again later", (0, False, True)),
    ],
)
def test_events_are_counted_as_they_are_sent(
    sentence: str, fate: tuple[int, bool, bool]
) -> None:
    own = Disturbances(None, [sentence]).of_engine()
    fates = [own.next_event(name, comes_once=False) for name in "ab"]
    seen = [(one.late_ms, one.is_twice, one.is_again) for one in fates]
    assert seen == [(0, False, False), fate]


def test_what_comes_once_comes_once() -> None:
    own = Disturbances(None, ["event 1 (a) twice", "event 1 (a) again later"])
    fate = own.of_engine().next_event("a", comes_once=True)
    assert (fate.is_twice, fate.is_again) == (False, False)


@given(strategies.sets(strategies.integers(0, 30)), strategies.data())
def test_the_smallest_is_what_the_failure_needs(
    whole: set[int], data: strategies.DataObject
) -> None:
    needed = (
        data.draw(strategies.sets(strategies.sampled_from(sorted(whole))))
        if whole
        else set()
    )
    schedule = [str(n) for n in sorted(whole)]

    def fails(part: Sequence[str]) -> bool:
        return {str(n) for n in needed} <= set(part)

    found = smallest(schedule, fails, most_tries=10_000)
    assert found == [str(n) for n in sorted(needed)]


def test_one_of_two_that_suffice_is_left() -> None:
    found = smallest([*"abcdef"], lambda part: "b" in part or "e" in part)
    assert found in (["b"], ["e"])


def test_the_search_ends_and_what_it_gives_has_failed() -> None:
    tried: list[list[str]] = []

    def fails(part: Sequence[str]) -> bool:
        tried.append([*part])
        return len(part) >= 90

    found = smallest([str(n) for n in range(100)], fails, most_tries=20)
    assert len(tried) == 20
    assert len(found) >= 90
