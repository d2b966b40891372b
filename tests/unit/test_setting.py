"""A wrong setting is told with its owner, its argument, its value, its place and what would do."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._duration import ACCEPTED
from durable._setting import Place


def test_text_is_pointed_into() -> None:
    with pytest.raises(durable.ConfigError) as caught:
        Place("function 'f'", "debounce").duration_ms("1h 3x")
    lines = str(caught.value).splitlines()
    assert lines[0] == "function 'f': debounce='1h 3x'"
    assert lines[0][lines[1].index("^")] == "3"
    assert '"1h30m"' in lines[2]


def test_what_is_no_text_is_told_in_one_line() -> None:
    with pytest.raises(durable.ConfigError) as caught:
        Place("Engine", "hot_runs").whole_number(0, 1, 5)
    assert str(caught.value).startswith("Engine: hot_runs=0 is too small\n")


def test_another_argument_of_the_same_owner() -> None:
    place = Place("Engine", "store").at("sync")
    assert (place.owner, place.argument) == ("Engine", "sync")


def test_a_part_and_an_item_of_an_argument() -> None:
    place = Place("function 'f'", "concurrency").item(1).within("limit")
    assert (place.owner, place.argument) == ("function 'f'", "concurrency[1].limit")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "period=0 is too short"),
        ("8d", "period='8d' is too long"),
        (-1, "period=-1 is not between 0 and 366 days"),
        (None, "period=None is of type NoneType"),
    ],
)
def test_a_duration_out_of_its_range_is_told_the_range(value: Any, shown: str) -> None:
    with pytest.raises(durable.ConfigError) as caught:
        Place("f", "period").duration_between_ms(value, "1ms", "7d")
    assert str(caught.value) == f"f: {shown}\n  accepted: from 1ms to 7d: {ACCEPTED}"


def test_a_duration_may_be_as_long_as_either_end_of_its_range() -> None:
    place = Place("f", "period")
    assert place.duration_between_ms("1ms", "1ms", "7d") == 1
    assert place.duration_between_ms("1w", "1ms", "7d") == 604_800_000


def test_a_value_of_another_type_is_told_its_type() -> None:
    place = Place("f", "key")
    assert place.instance("a", str, "text") == "a"
    with pytest.raises(durable.ConfigError) as caught:
        place.instance(5, str, "text")
    assert str(caught.value) == "f: key=5 is of type int\n  accepted: text"
