"""What is odd is told once, and not without bound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from durable._noticed import Noticed


def run(data: Any = None) -> Any:
    function = SimpleNamespace(id="f", cancel_matches=[("stop", "data.id")])
    return SimpleNamespace(id="R", function=function, own_data=lambda: data)


def test_each_step_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    noticed = Noticed()
    noticed.look_at_steps(run(), ["a", "b"], ["c"])
    noticed.look_at_steps(run(), ["b", "d"], [])
    noticed.look_at_steps(run(), ["a", "d"], [])
    first, second = [record.getMessage() for record in caplog.records]
    assert "'a', 'b'; it came to 'c' anew" in first
    assert "without coming to: 'd'. A step" in second


def test_many_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    noticed = Noticed()
    noticed.look_at_steps(run(), [str(n) for n in range(8)], [])
    assert "'4' and 3 more" in caplog.text
    noticed.look_at_steps(run(), [str(n) for n in range(5000)], [])
    caplog.clear()
    noticed.look_at_steps(run(), ["new"], [])
    assert caplog.text == ""


def test_a_field_that_is_there_is_no_oddity(caplog: pytest.LogCaptureFixture) -> None:
    noticed = Noticed()
    noticed.look_at_matches(run({"id": None}))
    assert caplog.text == ""
    noticed.look_at_matches(run({}))
    noticed.look_at_matches(run({}))
    assert len(caplog.records) == 1
