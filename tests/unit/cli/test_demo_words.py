"""What the demo says stays readable however much happens."""

import io
import logging

from rich.console import Console

from durable.cli.counts import FunctionCounts
from durable.cli.demo_words import ShortLog, found_again


def record(text: str, at: float) -> logging.LogRecord:
    made = logging.LogRecord("durable.run", logging.INFO, "", 0, text, None, None)
    made.created = at
    return made


def test_a_few_lines_a_second_are_shown_and_the_rest_is_counted() -> None:
    shown = io.StringIO()
    log = ShortLog(Console(file=shown, width=100))
    for tenth in range(20):
        log.emit(record(f"commit {tenth}", tenth / 10))
    lines = [line.strip() for line in shown.getvalue().splitlines()]
    assert lines == [
        *("commit 0", "commit 1", "commit 2", "commit 3"),
        *("commit 10  (and 6 more)", "commit 11", "commit 12", "commit 13"),
    ]


def test_a_second_start_says_what_it_found() -> None:
    counts = FunctionCounts(queued=2, running=1, parked=30, done=400, failed=0)
    text = found_again(5, 120, counts).plain
    for part in (
        "120 commits accepted",
        "400 runs done",
        "3 in the middle",
        "30 asleep",
        "5 commits",
    ):
        assert part in text
