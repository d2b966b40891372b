"""Runs in the messages of tests that failed: plain text, without trailing spaces."""

from datetime import UTC, datetime

import durable
from durable.testing._pictures import picture, pictures


AT = datetime(2026, 1, 1, tzinfo=UTC)
RUN = durable.Run("r1", "fulfil", "completed", ("e1",), AT, AT, AT, result="[b]x[/b]")


def test_a_run_is_drawn_as_plain_text() -> None:
    drawn = picture(RUN, 0)
    assert drawn.startswith("fulfil completed  run r1\n")
    assert drawn.endswith('returned "[b]x[/b]"')
    assert "\x1b" not in drawn
    assert all(line == line.rstrip() for line in drawn.splitlines())


def test_several_are_drawn_one_below_the_other() -> None:
    assert pictures([RUN, RUN], 0) == f"{picture(RUN, 0)}\n\n{picture(RUN, 0)}"
    assert pictures([], 0) == ""
