"""A run's logger says whose line it is, and nothing twice."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from durable._run_logger import RunLogger


@pytest.mark.parametrize(
    ("unmet", "is_heard"), [(None, True), (set[str](), True), ({"charge"}, False)]
)
def test_it_is_silent_while_something_remembered_is_still_to_come(
    unmet: set[str] | None,
    is_heard: bool,  # noqa: FBT001  # a case
    caplog: pytest.LogCaptureFixture,
) -> None:
    run: Any = SimpleNamespace(
        id="01A", function=SimpleNamespace(id="fulfil"), unmet=unmet, attempt=2
    )
    caplog.set_level(logging.INFO)
    RunLogger(run).info("charged")
    own = [
        (one.run_id, one.function_id, one.step_id, one.attempt)
        for one in caplog.records
    ]  # type: ignore[attr-defined]
    assert own == [("01A", "fulfil", None, 2)] * is_heard
