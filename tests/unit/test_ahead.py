"""How far code may go on before its results are on disk: so many, so old, so long."""

from __future__ import annotations

from math import inf
from typing import Any

from durable._ahead import Ahead
from durable._checkpointing import Leeway


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def ahead(steps: int = 3, interval: float = inf, runtime: float = inf) -> Any:
    clock = Clock()
    return Ahead(Leeway(steps, interval, runtime), clock), clock


def test_it_goes_on_with_so_many_and_with_another_once_one_is_confirmed() -> None:
    it, _ = ahead(steps=2)
    for number in range(3):
        it.add(number)
    assert [it.admit(0), it.admit(1), it.admit(2)] == [True, True, False]
    it.confirm(0)
    assert it.admit(2)
    assert not it.admit(3)


def test_a_result_that_is_older_than_the_interval_holds_it_up() -> None:
    it, clock = ahead(interval=5)
    it.add(0)
    assert it.admit(0)
    clock.now += 4.9
    it.add(1)
    assert it.admit(1)
    clock.now += 0.1
    it.add(2)
    assert not it.admit(2)
    it.confirm(0)
    assert it.admit(2), "the oldest is of 0.1 s ago"


def test_after_the_runtime_it_waits_until_it_has_rested() -> None:
    it, clock = ahead(runtime=60)
    clock.now += 60
    it.add(0)
    assert not it.admit(0)
    it.confirm(0)
    it.add(1)
    assert not it.admit(1)
    it.rest()
    assert it.admit(1)
