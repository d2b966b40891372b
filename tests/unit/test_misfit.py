"""The words in which a run is told that its code no longer fits it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import durable
from durable._layers import Stack
from durable._misfit import error_of_kind, error_of_type


def call(kind: str) -> Any:
    function = SimpleNamespace(id="fulfil", stack=Stack([]))
    run = SimpleNamespace(id="R1", function=function)
    return SimpleNamespace(run=run, name="x", kind=kind, where=lambda: "shop.py:12")


@pytest.mark.parametrize(
    ("recorded", "kind", "was", "now"),
    [
        ("run", "sleep", "step.run", "step.sleep"),
        ("sleep", "run", "step.sleep_until", "step.run"),
        ("wait_for_signal", "invoke", "step.wait_for_signal", "step.invoke"),
        ("of the future", "wait_for_event", "of the future", "step.wait_for_event"),
    ],
)
def test_a_step_of_another_kind_is_told_with_both(
    recorded: str, kind: str, was: str, now: str
) -> None:
    error = error_of_kind(call(kind), recorded)
    assert isinstance(error, durable.NonDeterminismError)
    before, after = str(error).split("the code now has")
    assert was in before
    assert now in after
    assert "function 'fulfil'" in before
    assert "Step 'x' (shop.py:12)" in before
    assert "durable runs rerun R1 --from-step 'x'" in after


def test_a_value_that_does_not_fit_is_told_with_the_place_in_it() -> None:
    what = 'result.n was recorded as "x"; the code now expects int: no number'
    error = error_of_type(call("run"), durable.NonDeterminismError(what))
    assert what in str(error)
    assert "give the step another id" in str(error)
