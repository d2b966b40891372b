"""Retries and back-off are checked where they are written."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._flow import read_concurrency, read_retries
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


@pytest.mark.parametrize("limit", [0, -1, 2.0, "many"])
def test_a_concurrency_that_lets_nothing_run_is_refused(limit: Any) -> None:
    with pytest.raises(durable.ConfigError):
        read_concurrency(PLACE, limit)


def test_no_concurrency_is_no_limit() -> None:
    assert read_concurrency(PLACE, None) is None
    assert read_concurrency(PLACE, 5) == 5
