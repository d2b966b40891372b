"""What a session shows while it lasts."""

import io

from rich.console import Console

from durable.cli.counts import Counts, FunctionCounts
from durable.cli.screen import Rate, SessionScreen, ending_line, functions_table
from durable.cli.session import Progress


def progress(seconds: float, sent: int, done: int) -> Progress:
    counts = Counts(
        {"classify": FunctionCounts(queued=2, running=1, parked=3, done=done, failed=1)}
    )
    return Progress(
        position=sent,
        event_count=sent,
        counts=counts,
        seconds=seconds,
        bytes_read=sent * 10,
    )


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.of(0.0, 0) == 0
    assert rate.of(1.0, 100) == 100
    for second in range(2, 20):
        last = rate.of(float(second), 100 + second * 10)
    assert last == 10


def test_a_log_gets_a_line_now_and_then() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120)
    with SessionScreen(console, size=100, size_is_bytes=False) as screen:
        for tenth in range(50):
            screen.show(progress(tenth / 10, tenth, tenth))
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    assert "20 events sent, 10/s" in lines[0]
    assert "6 to go" in lines[0]


def test_a_log_gets_no_line_twice() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120)
    with SessionScreen(console, size=100, size_is_bytes=False) as screen:
        for second in range(20):
            screen.show(progress(second, 5, 5))
    assert len(text.getvalue().splitlines()) == 1


def test_what_is_waited_for_is_told_at_once_and_once() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120)
    with SessionScreen(console, size=100, size_is_bytes=False) as screen:
        for second in range(10):
            shown = progress(second / 10, 5, 5)
            shown.waits = "2 runs sleep" if second < 8 else "1 run sleeps"
            screen.show(shown)
    assert text.getvalue().splitlines() == ["2 runs sleep", "1 run sleeps"]


def test_a_terminal_gets_bars_and_a_table() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True, color_system=None)
    with SessionScreen(console, size=100, size_is_bytes=True) as screen:
        screen.show(progress(1.0, 5, 10))
    shown = text.getvalue()
    for part in ("50%", "5 events sent", "classify", "parked"):
        assert part in shown


def test_the_table_has_a_row_for_each_function() -> None:
    counts = Counts({"b": FunctionCounts(done=3), "a": FunctionCounts(failed=4)})
    console = Console(width=100)
    with console.capture() as caught:
        console.print(functions_table(counts, Counts({"b": FunctionCounts(done=1)})))
    header, first, second = caught.get().splitlines()
    assert "this time" in header
    assert first.split() == ["a", "·", "·", "·", "·", "4", "4"]
    assert second.split() == ["b", "·", "·", "·", "3", "·", "2"]


def test_the_last_line_says_how_fast_it_was() -> None:
    assert (
        ending_line(progress(2.0, 5, 19))
        == "5 events sent, 20 runs ended in 2.00 s: 10 runs/s"
    )
