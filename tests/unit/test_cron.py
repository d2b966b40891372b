"""Crons are checked where they are written, and told with the place of what is wrong."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

import durable
from durable._cron import read_crons
from durable._function import flow_json
from durable._setting import Place


def refused(*on: Any) -> str:
    """What a decorator says of these triggers."""
    app = durable.App("a")

    async def report(ctx: durable.Context) -> None:
        del ctx

    with pytest.raises(durable.ConfigError) as raised:
        app.function(on=on[0] if len(on) == 1 else list(on))(report)
    return str(raised.value)


def test_a_mistake_is_told_with_function_argument_and_place() -> None:
    lines = refused(durable.Cron("0 25 * * *")).splitlines()
    assert lines[0] == "function 'report': on.expression='0 25 * * *'"
    assert lines[1].index("^") == lines[0].index("25")
    assert "the hour is a number from 0 to 23" in lines[1]
    assert "accepted: five fields" in lines[2]
    assert "on[1].expression" in refused("shop/a", durable.Cron("61 * * * *"))


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        (durable.Cron("0 0 30 2 *"), "never comes"),
        (durable.Cron("0 0 9 * * 1"), "there are no seconds"),
        (durable.Cron("0 9 * *"), "this one has 4"),
        (durable.Cron("@noon"), "@daily"),
        (durable.Cron(""), "five fields"),
        (durable.Cron(9), "is of type int"),  # type: ignore[arg-type]
        (durable.Cron("@daily", tz="Europe/Pari"), "did you mean 'Europe/Paris'?"),
        (durable.Cron("@daily", tz="Mars"), "no time zone"),
        (durable.Cron("@daily", jitter="10m"), "is too long"),
        (durable.Cron("@daily", jitter="5m 1ms"), "is too long"),
        (durable.Cron("@daily", jitter="0.5s"), "is too short"),
        (durable.Cron("@daily", jitter="999ms"), "is too short"),
        (durable.Cron("@daily", jitter=0), "is too short"),
        (durable.Cron("@daily", catch_up="first"), '"last", "all", "none"'),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_is_refused(cron: durable.Cron, words: str) -> None:
    told = refused(cron)
    assert words in told
    assert "function 'report'" in told


def test_one_cron_twice_is_refused_even_with_another_jitter() -> None:
    cron = durable.Cron("@daily")
    assert "stands there twice" in refused(cron, durable.Cron("@daily", jitter="1m"))
    both = [cron, durable.Cron("@daily", tz="Europe/Paris")]
    assert len(read_crons(Place("f", "on"), both)) == 2


def test_triggers_are_ten_at_most_crons_included() -> None:
    crons = [durable.Cron(f"{minute} * * * *") for minute in range(10)]
    assert len(read_crons(Place("f", "on"), crons)) == 10
    assert "has 11 triggers" in refused("shop/a", *crons)


def test_it_crosses_the_border_with_its_settings() -> None:
    app = durable.App("a")

    @app.function(on=["shop/a", durable.Cron("@daily", tz="Asia/Tokyo", jitter="90s")])
    async def report(ctx: durable.Context) -> None:
        del ctx

    assert list(report.triggers) == ["shop/a"]
    fields = {"text": "@daily", "tz": "Asia/Tokyo", "jitter_ms": 90_000}
    assert orjson.loads(flow_json(report)) == {
        "crons": [{**fields, "catch_up": "last"}]
    }
    assert repr(durable.Cron("@daily")) == "Cron('@daily', tz='UTC')"


@pytest.mark.parametrize(("jitter", "ms"), [("1s", 1_000), ("5m", 300_000)])
def test_a_jitter_is_from_a_second_to_five_minutes(jitter: str, ms: int) -> None:
    (cron,) = read_crons(Place("f", "on"), [durable.Cron("@daily", jitter=jitter)])
    assert cron["jitter_ms"] == ms
