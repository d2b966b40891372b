"""A wrong setting is told with its owner, its argument, its value, its place and what would do."""

from __future__ import annotations

import pytest

import durable
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
