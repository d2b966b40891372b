"""Lengths, counts and clipped texts as people read them."""

from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.text import Text

from durable.cli.output import clip, count, length, moment, rows_table, to_ms


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1250, "1.25 s"),
        (10_000, "10 s"),
        (59_700, "1 m"),
        (200_000, "3 m 20 s"),
        (3_600_000, "1 h"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_a_length_has_at_most_two_units(ms: int, shown: str) -> None:
    assert length(ms) == shown


def test_a_count_says_one_or_many() -> None:
    assert [count(n, "run") for n in (0, 1, 2000)] == ["0 runs", "1 run", "2,000 runs"]


def test_a_clipped_text_is_one_line_of_the_asked_width() -> None:
    assert clip("two\n  lines", 20) == "two lines"
    assert clip("a long one", 6) == "a lon…"


def test_no_moment_is_shown_as_nothing() -> None:
    assert moment(None) == ""
    assert to_ms(None) is None


def test_a_moment_keeps_its_milliseconds() -> None:
    at = datetime.fromtimestamp(1_700_000_000.123, UTC)
    assert moment(at, with_ms=True).endswith(".123")
    assert to_ms(at) == 1_700_000_000_123


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_of_rows_gives_its_last_column_the_rest(width: int) -> None:
    rows = [(Text("01M7YC54XJDH5F5E4RAM3CT000"), Text("f"), Text("long " * 60))] * 2
    console = Console(width=width, force_terminal=False)
    with console.capture() as caught:
        console.print(rows_table(("run", "function", "outcome"), rows, width))
    header, first, _ = caught.get().splitlines()
    assert header.split() == ["run", "function", "outcome"]
    assert "01M7YC54XJDH5F5E4RAM3CT000" in first
    assert first.rstrip().endswith("…")
    assert len(first) <= width


def test_a_table_without_rows_has_its_titles() -> None:
    console = Console(width=60, force_terminal=False)
    with console.capture() as caught:
        console.print(rows_table(("run", "outcome"), [], 60))
    assert caught.get().split() == ["run", "outcome"]
