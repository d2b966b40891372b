"""Whoever stops a command is told what is kept and how to go on."""

import sys

import pytest

from durable.cli.counts import Counts, FunctionCounts
from durable.cli.failure import CommandError, ExitCode
from durable.cli.session import Progress
from durable.cli.stopping import say_what_is_waited_for, stopped, told_when_stopped


@pytest.fixture(autouse=True)
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["/bin/durable", "run", "a:b", "--events", "my file"]
    )


def progress(running: int) -> Progress:
    counts = Counts({"f": FunctionCounts(running=running, parked=3)})
    return Progress(counts=counts, is_stopped=True)


def test_the_same_command_goes_on() -> None:
    error = stopped(progress(1), "./state")
    assert error.exit_code == ExitCode.STOPPED
    assert "4 runs not yet ended" in error.text
    assert error.hint == "Go on with: durable run a:b --events 'my file'"


def test_a_store_in_memory_is_said_to_be_gone() -> None:
    assert "are gone" in stopped(progress(1), "memory:").text


def test_ctrl_c_while_a_store_opens_is_no_traceback() -> None:
    with pytest.raises(CommandError) as caught, told_when_stopped("./state"):
        raise KeyboardInterrupt
    assert "./state" in caught.value.text
    assert caught.value.exit_code == ExitCode.STOPPED


@pytest.mark.parametrize(("running", "is_said"), [(0, False), (2, True)])
def test_what_is_waited_for_is_said(
    running: int, capsys: pytest.CaptureFixture[str], *, is_said: bool
) -> None:
    say_what_is_waited_for(progress(running), 10.0)
    assert ("2 runs" in capsys.readouterr().err) is is_said
