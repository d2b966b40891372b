"""The command that lists runs knows all that a run may be."""

from typing import get_args

from durable._views import RunStatus
from durable.cli.runs import STATUSES


def test_every_status_that_a_run_may_have_can_be_asked_for() -> None:
    assert set(STATUSES) == set(get_args(RunStatus))
