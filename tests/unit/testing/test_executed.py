"""A run that a test has executed is the run itself, with a result that has a type."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

import durable
from durable.testing._executed import Executed, executed


def test_it_has_all_that_the_run_has() -> None:
    run = durable.Run("r1", "f", "completed", ("e1",), result=7)
    known: Executed[Any] = executed("f", run)
    assert isinstance(known, durable.Run)
    assert known.is_ended
    for one in fields(run):
        assert getattr(known, one.name) == getattr(run, one.name)
    with pytest.raises(FrozenInstanceError):
        known.result = 8  # type: ignore[misc]
