"""A run's steps are drawn where they lie in time."""

from rich.console import Console

from durable.drawing.timeline import Bar, draw, legend


def drawn(bars: list[Bar], now_ms: int = 0, width: int = 100) -> list[str]:
    console = Console(width=width, force_terminal=False, legacy_windows=False)
    with console.capture() as caught:
        console.print(draw(bars, now_ms, width))
    return caught.get().splitlines()


def span(line: str, letters: str) -> tuple[int, int]:
    places = [n for n, letter in enumerate(line) if letter in letters]
    return places[0], places[-1]


def test_steps_in_a_row_do_not_overlap() -> None:
    _, first, second = drawn(
        [
            Bar("charge", "run", "completed", 0, 500),
            Bar("ship", "run", "completed", 500, 1000),
        ]
    )
    assert span(first, "█")[1] <= span(second, "█")[0]
    assert "500 ms" in first


def test_steps_in_parallel_begin_in_the_same_column() -> None:
    _, first, second = drawn(
        [Bar("a", "run", "completed", 0, 100), Bar("b", "run", "completed", 0, 1000)]
    )
    assert span(first, "█")[0] == span(second, "█")[0]
    assert span(first, "█")[1] < span(second, "█")[1]


def test_a_sleep_looks_unlike_work() -> None:
    _, line = drawn([Bar("cool off", "sleep", "completed", 0, 3_600_000)])
    assert "╌╌╌" in line
    assert "█" not in line
    assert "1 h" in line


def test_a_step_that_was_tried_again_shows_its_tries() -> None:
    _, line = drawn([Bar("ask", "run", "completed", 0, 1000, attempts=3)])
    assert "▒▒▒" in line
    assert " 3 " in line


def test_a_step_that_a_crash_cut_off_is_not_drawn_as_if_its_last_try_took_no_time() -> (
    None
):
    """When that try began is not recorded: the whole bar is that of all tries."""
    cut = Bar("work", "run", "completed", 0, 6000, attempts=2)
    _, line = drawn([cut])
    assert "█" not in line
    assert legend([cut]).plain == "▒ several tries, and the time between them"


def test_what_goes_on_reaches_to_now_and_is_open() -> None:
    lines = drawn(
        [
            Bar("done", "run", "completed", 0, 500),
            Bar("nap", "sleep", "sleeping", 500, None, note="until 06:00"),
        ],
        now_ms=2500,
    )
    assert "▸" in lines[2]
    assert "2.00 s …" in lines[2]
    assert "until 06:00" in lines[2]


def test_a_run_that_took_no_time_is_still_drawn() -> None:
    _, line = drawn([Bar("quick", "run", "completed", 7, 7)])
    assert line.count("█") >= 1


def test_no_line_is_wider_than_the_terminal() -> None:
    bars = [
        Bar(
            "a step with quite a long name indeed",
            "run",
            "failed",
            n * 10,
            n * 10 + 5,
            4,
            "x" * 90,
        )
        for n in range(5)
    ]
    for width in (60, 80, 120, 200):
        assert max(len(line) for line in drawn(bars, width=width)) <= width


def test_nothing_to_draw_gives_only_the_axis() -> None:
    assert len(drawn([])) == 1


def test_the_axis_begins_with_the_first_bar() -> None:
    def bars(at: int) -> list[Bar]:
        return [
            Bar("a", "run", "completed", at, at + 100),
            Bar("b", "run", "completed", at + 100, at + 400),
        ]

    assert drawn(bars(1_700_000_000_000)) == drawn(bars(0))


def test_the_axis_is_as_long_as_the_run() -> None:
    """Nothing executed it from its creation to what is recorded first: a kill cut that off."""
    late = [Bar("a", "run", "completed", 3000, 4000)]
    console = Console(width=100, force_terminal=False, legacy_windows=False)
    with console.capture() as caught:
        console.print(draw(late, 0, 100, within=(0, 8000)))
    axis, line = caught.get().splitlines()
    labels = axis.index("╷0"), axis.rindex("╷")
    first, last = span(line, "█")
    assert 0.3 < (first - labels[0]) / (last - labels[0]) < 0.9
    assert last < labels[1], "the axis goes on behind it"


def test_the_legend_says_what_is_drawn_and_nothing_else() -> None:
    work = Bar("a", "run", "completed", 0, 500)
    assert legend([work]).plain == "█ executes"
    again = Bar("b", "run", "completed", 0, 500, attempts=2)
    nap = Bar("nap", "sleep", "sleeping", 500, None)
    start = Bar("(waits for its start)", "wait", "queued", 0, 9)
    said = legend([work, again, nap, start]).plain
    for letter in "█▒╌·▸":
        assert f"{letter} " in said
