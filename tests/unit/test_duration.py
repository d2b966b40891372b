"""Durations are read in every form that is promised, and refused with the place in the text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durable._duration import DurationError, to_ms, to_seconds, to_seconds_within


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 250ms ", 0.25),
        ("1.5h", 5400),
        ("PT5M", 300),
        ("P1DT12H", 129_600),
        ("pt0.5s", 0.5),
        ("P2W", 1_209_600),
        (90, 90),
        (0.25, 0.25),
        (timedelta(minutes=3), 180),
        (0, 0),
        (366 * 86_400, 31_622_400),
    ],
)
def test_every_form_is_read(given: Any, seconds: float) -> None:
    assert to_seconds(given) == seconds


@pytest.mark.parametrize(
    ("given", "position"),
    [
        ("5 minutes", 0),
        ("soon", 0),
        ("1h3x", 2),
        ("1h 30", 3),
        ("", 0),
        ("PT", 0),
        ("P5", 0),
        ("-5s", 0),
    ],
)
def test_what_is_no_duration_is_refused_with_its_place(
    given: str, position: int
) -> None:
    with pytest.raises(DurationError) as caught:
        to_seconds(given)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "given",
    [
        None,
        True,
        [1],
        -1,
        timedelta(days=-1),
        "367d",
        366 * 86_400 + 0.001,
        float("nan"),
        float("inf"),
        10**400,
        -(10**400),
    ],
)
def test_what_is_out_of_range_or_of_another_type_is_refused(given: Any) -> None:
    with pytest.raises(DurationError):
        to_seconds(given)


def test_a_started_millisecond_counts_whole() -> None:
    assert to_ms(0.0001) == 1
    assert to_ms(0.1) == 100
    assert to_ms("1.0015s") == 1002


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(0, 1), (-(10**400), 1), ("2s", 2), (timedelta.max, 9), (10**400, 9)],
)
def test_a_length_may_be_cut_to_what_is_allowed(given: Any, seconds: float) -> None:
    assert to_seconds_within(given, 1, 9) == seconds


@pytest.mark.parametrize("given", [float("nan"), "soon", None])
def test_what_is_no_length_is_not_cut(given: Any) -> None:
    with pytest.raises(DurationError):
        to_seconds_within(given, 1, 9)
