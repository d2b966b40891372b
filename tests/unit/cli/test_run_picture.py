"""One run, drawn whole."""

from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from durable import ErrorInfo, Run, Step, WaitingOn
from durable.cli.run_picture import picture_of
from durable.drawing.run_picture import _reason


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(1_700_000_000 + ms / 1000, UTC)


NOW = 1_700_000_000_000 + 5000

DONE = Run(
    id="01HF00000000000000000000AA",
    function="fulfil",
    status="completed",
    event_ids=("01HF00000000000000000000EE",),
    created_at=at(0),
    started_at=at(3),
    ended_at=at(4000),
    result={"parcel": 7},
    steps={
        "charge": Step("charge", "run", "completed", 3, "ok", None, at(3), at(1500)),
        "cool off": Step(
            "cool off", "sleep", "completed", 0, None, None, at(1500), at(4000)
        ),
    },
)


def drawn(run: Run, width: int = 100) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as caught:
        console.print(picture_of(run, NOW, width))
    return caught.get()


def test_an_ended_run_shows_its_steps_and_its_result() -> None:
    text = drawn(DONE)
    for shown in (
        "fulfil completed",
        DONE.id,
        "charge",
        "cool off",
        '{"parcel": 7}',
        "4.00 s",
    ):
        assert shown in text
    assert "so far" not in text


def test_tokens_stand_beside_the_step_that_took_them() -> None:
    answer = {
        "model": "gpt-5",
        "usage": {"prompt_tokens": 1200, "completion_tokens": 3},
    }
    ask = Step("ask", "run", "completed", 1, answer, None, at(3), at(9))
    text = " ".join(drawn(replace(DONE, steps={"ask": ask}), 140).split())
    assert "gpt-5: 1,200 tokens in, 3 out" in text


def test_a_failed_run_shows_its_error_and_where_it_is_explained() -> None:
    error = ErrorInfo("StepError", "step 'charge' failed", "Traceback ...", "DUR-0402")
    failed = Step(
        "charge", "run", "failed", 5, None, ErrorInfo("OSError", "gone"), at(3), at(9)
    )
    run = replace(
        DONE, status="failed", error=error, result=None, steps={"charge": failed}
    )
    text = drawn(run)
    assert "OSError: gone" in text
    assert "durable explain DUR-0402" in text
    assert "Traceback ..." in text


def test_a_sleeping_run_shows_until_when() -> None:
    nap = Step("nap", "sleep", "sleeping", 0, None, None, at(3), None, at(90_000))
    run = replace(DONE, status="parked", ended_at=None, result=None, steps={"nap": nap})
    text = drawn(run)
    assert "so far" in text
    assert "until 20" in text
    assert "▸" in text


def test_a_step_that_backs_off_says_when_it_is_tried_again() -> None:
    step = Step("ask", "run", "backing_off", 2, None, None, at(3), None, at(90_000))
    run = replace(
        DONE, status="parked", ended_at=None, result=None, steps={"ask": step}
    )
    assert "tried again at" in drawn(run)


def test_a_run_that_has_not_begun_shows_that_it_waits() -> None:
    run = replace(
        DONE, status="queued", started_at=None, ended_at=None, steps={}, result=None
    )
    assert "(waits for its start)" in drawn(run)


def test_what_is_waited_for_is_named() -> None:
    rows = [
        ("signal", "approve", "for the signal 'approve'"),
        ("wait_for_event", "shop/paid", "for the event 'shop/paid'"),
        ("invoke", "01M8", "for run 01M8, which it invoked"),
    ]
    for on, value, expected in rows:
        assert _reason(WaitingOn(on=on, value=value)) == expected


FAILED = ErrorInfo("ZeroDivisionError", "division by zero", "File shop.py, line 5")


def test_a_failed_run_shows_where_its_step_raised() -> None:
    """Not the line at which the handler was told of it."""
    step = Step("charge", "run", "failed", 2, None, FAILED, at(3), at(1500))
    message = "step 'charge' failed: ZeroDivisionError: division by zero"
    own = ErrorInfo("StepError", message, "File handler.py, line 9", "DUR-0402")
    run = replace(DONE, status="failed", error=own, steps={"charge": step})
    text = drawn(run)
    assert text.count("File shop.py, line 5") == 1
    assert "handler.py" not in text


def test_a_step_whose_error_was_caught_shows_where_it_raised() -> None:
    step = Step("ask", "run", "failed", 2, None, FAILED, at(3), at(1500))
    text = drawn(replace(DONE, steps={"ask": step}))
    assert "step 'ask' failed: ZeroDivisionError: division by zero" in text
    assert "File shop.py, line 5" in text


def test_what_was_killed_before_its_first_step_says_so() -> None:
    killed = replace(DONE, status="queued", ended_at=None, steps={}, started_at=at(3))
    assert "no step of it is recorded yet" in drawn(killed)
    assert "no step of it" not in drawn(replace(killed, started_at=None))
