"""A pass is as large as its time allows."""

import pytest

from durable._pace import Pace


class Clock:
    """A clock that is told."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("durable._pace.time.monotonic", lambda: clock.now)
    return clock


def play(pace: Pace, clock: Clock, cost_s: float, passes: int = 40) -> None:
    for _ in range(passes):
        pace.begin(follows=True)
        pace.done = pace.limit
        clock.now += pace.done * cost_s
    pace.begin(follows=True)


@pytest.mark.parametrize("cost_s", [1e-6, 2e-5, 1e-4, 1e-3, 1e-2, 1.0])
def test_a_pass_takes_its_time_or_one_piece(clock: Clock, cost_s: float) -> None:
    pace = Pace()
    play(pace, clock, cost_s)
    assert 1 <= pace.limit <= 1024
    assert pace.limit == 1024 or pace.limit * cost_s >= 0.04 or pace.limit == 1
    assert pace.limit == 1 or pace.limit * cost_s <= 0.051


def test_code_that_grows_quick_again_gets_long_passes_again(clock: Clock) -> None:
    pace = Pace()
    play(pace, clock, 1.0)
    assert pace.limit == 1
    play(pace, clock, 1e-5)
    assert pace.limit == 1024


def test_time_that_the_loop_waited_is_not_held_against_the_work(clock: Clock) -> None:
    pace = Pace()
    play(pace, clock, 1e-5)
    pace.done = 1
    clock.now += 3600
    pace.begin(follows=False)
    assert pace.limit == 1024
