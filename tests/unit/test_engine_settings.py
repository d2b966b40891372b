"""Each setting of an engine is checked wherever it is given, and has a default."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

import durable
from durable._engine_settings import (
    DEFAULTS,
    EngineSettings,
    Placed,
    ReadSettings,
    check,
    read_settings,
    told,
)
from durable._setting import Place


ELSEWHERE = Place("environment", "DURABLE_IT", is_text=True)


def test_every_setting_has_a_default_that_is_right() -> None:
    assert list(DEFAULTS) == list(get_type_hints(EngineSettings))
    read = read_settings({}, {})
    assert (read.store, read.grace_ms, read.blocked_after_ms) == (
        "./.durable",
        10_000,
        500,
    )
    assert (read.clock, read.forgets, read.retention_ms) == ("system", False, None)
    assert read.backoff == durable.Backoff()


def test_the_settings_as_read_stand_in_the_order_of_their_names() -> None:
    """They are made by position."""
    units = ("_ms", "_s")
    named = [one.removesuffix("_ms") for one in ReadSettings.__dataclass_fields__]
    assert not any(one.endswith(units) for one in named)
    assert [one.replace("forgets", "replay") for one in named] == list(DEFAULTS)


def test_what_is_given_goes_before_what_is_beside_it() -> None:
    beside = {
        "hot_runs": Placed(7, ELSEWHERE),
        "grace": Placed("1s", ELSEWHERE),
        "threads": Placed(3, ELSEWHERE),
        "blocked_after": Placed("1s", ELSEWHERE),
    }
    given = {"grace": "2s", "threads": None, "blocked_after": None}
    read = read_settings(given, beside)
    assert (read.hot_runs, read.grace_ms) == (7, 2000)
    assert read.threads == 3, "None stands for the default here"
    assert read.blocked_after_ms is None, "and is a value here"
    assert read_settings({}, beside).blocked_after_ms == 1000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", ""),
        ("max_in_flight", 0),
        ("max_in_flight", "5"),
        ("hot_runs", 10_000_001),
        ("sync", "61s"),
        ("clock", "sundial"),
        ("clock", "scaled:0"),
        ("clock", "scaled:4294967296"),
        ("clock", 5),
        ("grace", "soon"),
        ("retention", -1),
        ("backoff", "1s"),
        ("threads", 0),
        ("seed", -1),
        ("seed", 2**64),
        ("replay", "alway"),
        ("replay", True),
        ("blocked_after", "1ms"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(name: str, value: object) -> None:
    with pytest.raises(durable.ConfigError, match=f"^Engine: {name}=(.|\n)*accepted"):
        read_settings({name: value}, {})
    with pytest.raises(durable.ConfigError, match=r"^environment: DURABLE_IT="):
        read_settings({}, {name: Placed(value, ELSEWHERE)})


@pytest.mark.parametrize(
    "clock",
    ["system", "scaled:60", "virtual", "virtual:auto", "virtual:5", "virtual:auto:5"],
)
def test_the_clocks(clock: str) -> None:
    assert check("clock", clock, ELSEWHERE) == clock


def test_a_misspelt_argument_is_answered_with_the_right_name() -> None:
    with pytest.raises(TypeError, match=r"no setting 'max_inflight'.*'max_in_flight'"):
        read_settings({"max_inflight": 3}, {})
    engine: Any = durable.Engine
    with pytest.raises(TypeError, match=r"no setting 'max_inflight'"):
        engine(max_inflight=3)


def test_what_says_nothing_is_not_told() -> None:
    assert told({"store": None, "grace": 5, "blocked_after": None}) == [
        "grace",
        "blocked_after",
    ]
