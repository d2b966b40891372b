"""A run of a list does not pass for one without steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import durable
from durable._unread import UnreadSteps, UnreadWaits


@pytest.mark.parametrize(
    "look",
    [
        len,
        bool,
        list,
        lambda steps: steps["a"],
        lambda steps: "a" in steps,
        lambda steps: steps.get("a"),
        lambda steps: steps.values(),
    ],
)
def test_whoever_looks_at_its_steps_is_told_where_they_are(
    look: Callable[[Any], Any],
) -> None:
    with pytest.raises(durable.UsageError, match=r"await engine\.runs\.get\('R'\)"):
        _ = [*look(UnreadSteps("R"))]


@pytest.mark.parametrize(
    "look", [len, bool, list, lambda waits: waits[0], lambda waits: 1 in waits]
)
def test_and_at_what_it_waits_for(look: Callable[[Any], Any]) -> None:
    with pytest.raises(durable.UsageError, match=r"get\('R'\).*run\.waiting_on"):
        look(UnreadWaits("R"))


def test_it_is_printed_compared_and_copied_as_any_value() -> None:
    steps, waits = UnreadSteps("R"), UnreadWaits("R")
    assert repr(steps) == repr(waits) == "<not read in lists>"
    assert steps == UnreadSteps("S")
    assert steps != {}
    assert copy.deepcopy(steps) == steps
    assert repr(copy.deepcopy(waits)) == repr(waits)
