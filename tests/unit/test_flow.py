"""Retries and back-off are checked where they are written; flow control is plain data until a decorator reads it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

import durable
from durable._flow import read_retries
from durable._setting import Place


PLACE = Place("function 'f'", "retries")


def test_the_standard_table_is_the_default() -> None:
    backoff = durable.Backoff()
    assert backoff.delays_ms[:3] == (15_000, 30_000, 60_000)
    assert backoff.delays_ms[-1] == 7_200_000
    assert backoff.jitter_ms == 30_000


def test_one_delay_or_several() -> None:
    assert durable.Backoff("1m", jitter=0).delays_ms == (60_000,)
    assert durable.Backoff([1, "2s"]).delays_ms == (1000, 2000)


@pytest.mark.parametrize("delays", [[], "soon", [None]])
def test_delays_that_are_none_are_refused(delays: Any) -> None:
    with pytest.raises(durable.ConfigError, match="Backoff: delays"):
        durable.Backoff(delays)


@pytest.mark.parametrize("count", [-1, 21, 1.5, True, "3"])
def test_retries_are_0_to_20(count: Any) -> None:
    with pytest.raises(durable.ConfigError, match="whole number from 0 to 20"):
        read_retries(PLACE, count)
    with pytest.raises(durable.ConfigError):
        durable.Retries(count)


def test_a_number_or_retries() -> None:
    assert read_retries(PLACE, 3) == durable.Retries(3)
    given = durable.Retries(2, durable.Backoff("1s"))
    assert read_retries(PLACE, given) is given


DECLARED = [
    (
        durable.Concurrency(5, key="event.data.a", scope="env"),
        "Concurrency(limit=5, key='event.data.a', scope='env')",
    ),
    (
        durable.Throttle(5, "1m"),
        "Throttle(limit=5, period='1m', burst=0, key=None)",
    ),
    (
        durable.RateLimit(5, 60),
        "RateLimit(limit=5, period=60, burst=None, key=None)",
    ),
    (
        durable.Debounce("30s", timeout="5m"),
        "Debounce(period='30s', key=None, timeout='5m')",
    ),
    (
        durable.Batch(100, "5s", if_="event.data.small"),
        "Batch(max_size=100, timeout='5s', key=None, if_='event.data.small')",
    ),
    (durable.Priority("60"), "Priority(expr='60')"),
    (durable.Singleton("skip"), "Singleton(mode='skip', key=None)"),
    (durable.Timeouts(finish="1h"), "Timeouts(start=None, finish='1h')"),
]


@pytest.mark.parametrize(("declared", "shown"), DECLARED)
def test_a_declaration_shows_what_was_written(declared: Any, shown: str) -> None:
    assert repr(declared) == shown


@pytest.mark.parametrize("declared", [one for one, _ in DECLARED])
def test_a_declaration_never_changes(declared: Any) -> None:
    name = next(iter(type(declared).__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(declared, name, 1)
    assert not hasattr(declared, "__dict__")
    assert {declared: 1}[declared] == 1


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (durable.Concurrency, (5, "key")),
        (durable.Throttle, (5, "1m", 1)),
        (durable.RateLimit, (5, "1m", 1)),
        (durable.Debounce, ("1m", "key")),
        (durable.Batch, (5, "1m", "key")),
        (durable.Singleton, ("skip", "key")),
    ],
)
def test_what_refines_a_declaration_is_given_by_name(make: Any, given: Any) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        make(*given)
