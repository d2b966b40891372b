"""Which results say how much of a model was used, and what they say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies

from durable._usage import Usage, read_usage


JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.text(),
    lambda inner: (
        strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner)
    ),
)


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, (3, 4, 7)),
        ({"prompt_tokens": 3, "total_tokens": 3}, (3, 0, 3)),
        ({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}, (3, 4, 7)),
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4, 7)),
        (
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "cache_read_input_tokens": 50,
                "cache_creation_input_tokens": None,
            },
            (53, 4, 57),
        ),
    ],
)
def test_tokens_are_counted_as_each_api_writes_them(
    usage: dict[str, Any], used: tuple[int, int, int]
) -> None:
    assert read_usage({"usage": usage, "model": "m"}) == Usage(*used, "m")
    assert read_usage({"usage": usage}) == Usage(*used, None)
    assert read_usage({"usage": usage, "model_name": "m"}) == Usage(*used, "m")
    assert read_usage({"usage": usage, "model": 7}) == Usage(*used, None)


@pytest.mark.parametrize(
    "result",
    [
        None,
        "usage",
        [],
        {},
        {"usage": None},
        {"usage": 42},
        {"usage": {}},
        {"usage": {"disk": 3}},
        {"usage": {"input_tokens": 3}},
        {"usage": {"output_tokens": 3}},
        {"usage": {"prompt_tokens": "3", "completion_tokens": 4}},
        {"usage": {"input_tokens": True, "output_tokens": 4}},
        {"usage": {"input_tokens": -1, "output_tokens": 4}},
    ],
)
def test_what_says_nothing_of_tokens_has_none(result: object) -> None:
    assert read_usage(result) is None


@given(
    strategies.dictionaries(
        strategies.sampled_from(
            [
                "prompt_tokens",
                "completion_tokens",
                "input_tokens",
                "output_tokens",
                "cache_read_input_tokens",
            ]
        ),
        JSON,
    ),
    JSON,
)
def test_no_result_breaks_the_reading_of_a_run(usage: object, model: object) -> None:
    used = read_usage({"usage": usage, "model": model})
    assert used is None or used.total == used.input_tokens + used.output_tokens
