"""Every policy has a text form, and is checked as the decorator checks it."""

from dataclasses import asdict
from typing import Any

import pytest

from durable import ConfigError
from durable._flow_check import Flow
from durable.cli.bench.policies import FORMS, PolicyTexts, first_key, read_policies
from durable.cli.failure import CommandError


def fields(**texts: Any) -> Any:
    return read_policies(PolicyTexts(**texts))[1]


KEY = "event.data.who"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("run_concurrency", "5", {"limit": 5, "key": None, "scope": "fn"}),
        (
            "throttle",
            f"10/1m by {KEY}",
            {"limit": 10, "period_ms": 60_000, "burst": 0, "key": KEY},
        ),
        (
            "throttle",
            "10 / 500ms burst 3",
            {"limit": 10, "period_ms": 500, "burst": 3, "key": None},
        ),
        (
            "rate_limit",
            "10/1h",
            {"limit": 10, "period_ms": 3_600_000, "burst": 9, "key": None},
        ),
        (
            "rate_limit",
            f"10/1h burst 0 by {KEY}",
            {"limit": 10, "period_ms": 3_600_000, "burst": 0, "key": KEY},
        ),
        (
            "debounce",
            f"30s timeout 5m by {KEY}",
            {"period_ms": 30_000, "timeout_ms": 300_000, "key": KEY},
        ),
        (
            "batch",
            f"100/5s by {KEY}",
            {"max_size": 100, "timeout_ms": 5000, "key": KEY, "if": None},
        ),
        ("priority", f"{KEY} == 'a' ? 60 : 0", f"{KEY} == 'a' ? 60 : 0"),
        ("singleton", f"cancel by {KEY}", {"mode": "cancel", "key": KEY}),
        ("idempotency", KEY, KEY),
        (
            "timeouts",
            "start 10m finish 2h",
            {"start_ms": 600_000, "finish_ms": 7_200_000},
        ),
        ("timeouts", "finish 2h", {"start_ms": None, "finish_ms": 7_200_000}),
    ],
)
def test_each_form_is_read(name: str, text: str, expected: object) -> None:
    assert fields(**{name: text}) == {name: expected}


def test_concurrency_takes_one_limit_or_two() -> None:
    one = {"limit": 3, "key": None, "scope": "fn"}
    other = {"limit": 1, "key": KEY, "scope": "env"}
    assert fields(concurrency=["3"]) == {"concurrency": [one]}
    both = fields(concurrency=["3", f"1 in env by {KEY}"])
    assert both == {"concurrency": [one, other]}


def test_a_batch_may_have_a_condition() -> None:
    read = fields(batch="2/1s", batch_if="event.data.n > 1")
    assert read["batch"]["if"] == "event.data.n > 1"
    with pytest.raises(CommandError, match="without --batch"):
        fields(batch_if="true")


def test_every_policy_of_the_decorator_has_an_option() -> None:
    others = {"cancel_on"}  # it says nothing of when code runs
    assert set(FORMS) == set(asdict(Flow())) - others


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"throttle": "10/8d"}, "--throttle.period='8d' is too long"),
        ({"rate_limit": "0/1h"}, "--rate-limit.limit=0 is too small"),
        ({"concurrency": ["1 in env"]}, "--concurrency.key"),
        ({"concurrency": ["1", "2", "3"]}, "has 3 limits"),
        ({"singleton": "skop"}, "--singleton.mode='skop' is not known"),
        ({"timeouts": ""}, "has neither start nor finish"),
        ({"batch": "9/1s", "debounce": "1s"}, "cannot be combined"),
    ],
)
def test_the_decorators_checks_name_the_option(texts: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fields(**texts)
    assert words in str(caught.value)


def test_a_wrong_expression_has_carets() -> None:
    with pytest.raises(ConfigError) as caught:
        fields(throttle="10/1m by event.data..who")
    _, line, caret, *_ = str(caught.value).split("\n")
    assert line[caret.index("^")] == "."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("throttle", "10 1m"),
        ("throttle", "10/1x"),
        ("run_concurrency", "5x"),
        ("debounce", "often"),
        ("batch", "100"),
        ("timeouts", "finish"),
        ("timeouts", "finish 1s start 1s"),
    ],
)
def test_another_form_is_refused_with_an_example(name: str, text: str) -> None:
    with pytest.raises(CommandError) as caught:
        fields(**{name: text})
    option = f"--{name.replace('_', '-')}"
    assert caught.value.text.startswith(f"{option}: ")
    assert "^" in caught.value.text
    assert f'as in {option} "' in caught.value.hint


def test_the_first_key_is_the_one_that_tells_events_apart() -> None:
    assert first_key(fields()) is None
    assert first_key(fields(concurrency=["3", f"1 by {KEY}"])) == KEY
    assert first_key(fields(concurrency=["3"], throttle="1/1s by event.id")) == (
        "event.id"
    )
    assert first_key(fields(priority="1", idempotency=KEY)) == KEY
