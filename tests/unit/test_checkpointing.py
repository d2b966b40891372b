"""`checkpointing` as it is checked by the decorator."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

import pytest

import durable


def leeway(given: Any) -> Any:
    async def handler(_: durable.Context) -> None: ...

    made: Any = durable.App("t").function(checkpointing=given)(handler)
    return made.checkpointing


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (durable.Checkpointing(), None),
        (durable.Checkpointing(buffered_steps=1), (1, inf, inf)),
        (durable.Checkpointing(buffered_steps=1000, max_interval=2), (1000, 2, inf)),
        (
            durable.Checkpointing(
                buffered_steps=10, max_interval="1ms", max_runtime=timedelta(days=1)
            ),
            (10, 0.001, 86_400),
        ),
    ],
)
def test_what_is_accepted(given: Any, expected: Any) -> None:
    assert leeway(given) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (10, ["checkpointing=10 is of type int", "Checkpointing(buffered_steps=10)"]),
        (durable.Checkpointing(buffered_steps=-1), ["buffered_steps=-1 is too small"]),
        (durable.Checkpointing(buffered_steps=1001), ["is too large", "0 to 1000"]),
        (durable.Checkpointing(buffered_steps=True), ["is of type bool"]),
        (
            durable.Checkpointing(buffered_steps=1, max_interval="1x"),
            ["checkpointing.max_interval=", "^"],
        ),
        (
            durable.Checkpointing(buffered_steps=1, max_runtime="0s"),
            ["checkpointing.max_runtime='0s' is too short", "from 1ms to 1d"],
        ),
        (
            durable.Checkpointing(max_interval="1s"),
            ["buffered_steps=0 limits nothing", "1 or more"],
        ),
        (durable.Checkpointing(max_runtime="1s"), ["buffered_steps=0 limits nothing"]),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(given: Any, words: list[str]) -> None:
    with pytest.raises(durable.ConfigError, match="function 'handler'") as caught:
        leeway(given)
    for word in words:
        assert word in str(caught.value)
