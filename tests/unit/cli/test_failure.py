"""Each kind of error ends the process with the code that is documented for it."""

import pytest

from durable import (
    ConfigError,
    DurableError,
    EngineFailed,
    NotFoundError,
    OwnerLost,
    StoreError,
    StoreLocked,
)
from durable._errors import all_errors
from durable.cli.failure import CommandError, ExitCode, report, told_plainly


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreLocked("held by process 7"), ExitCode.STORE_LOCKED),
        (OwnerLost("it ended before it answered"), ExitCode.FAILED),
        (StoreError("no space left"), ExitCode.STORE_BROKEN),
        (ConfigError("store='' names no store"), ExitCode.BAD_INPUT),
        (EngineFailed("a write failed"), ExitCode.FAILED),
        (NotFoundError("no run X"), ExitCode.FAILED),
    ],
)
def test_an_error_of_the_engine_becomes_words_and_a_code(
    error: DurableError, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError) as caught, told_plainly():
        raise error
    assert report(caught.value) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert str(error) in said.err
    assert f"durable explain {error.code}" in said.err


def test_every_error_of_the_package_can_be_told() -> None:
    for kind in all_errors():
        error = kind.__new__(kind)
        with pytest.raises(CommandError) as caught, told_plainly():
            raise error
        assert caught.value.text


def test_what_is_not_ours_goes_through() -> None:
    with pytest.raises(ZeroDivisionError), told_plainly():
        raise ZeroDivisionError
