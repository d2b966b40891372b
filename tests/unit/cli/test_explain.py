"""Every error of the package is described, with what to do."""

import pytest

from durable._errors import all_errors
from durable.cli.explain import REMEDIES, explain, explanations
from durable.cli.failure import CommandError


def test_every_code_has_a_meaning_and_a_remedy() -> None:
    for error in all_errors():
        told = explain(error.code)
        assert told.name == error.__name__
        assert told.meaning
        assert told.remedy, f"{error.code} says nothing about what to do"


def test_no_remedy_is_left_of_an_error_that_is_gone() -> None:
    assert set(REMEDIES) == {error.code for error in all_errors()}


def test_codes_are_given_once() -> None:
    codes = [one.code for one in explanations() if one.code]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    "asked", ["DUR-0701", "dur-0701", "0701", "StoreLocked", "storelocked"]
)
def test_a_code_or_a_name_finds_it_in_any_letter_case(asked: str) -> None:
    assert explain(asked).name == "StoreLocked"


@pytest.mark.parametrize("asked", ["", "DUR-9999", "StoreLoked"])
def test_an_unknown_code_is_refused_with_what_is_near(asked: str) -> None:
    with pytest.raises(CommandError) as caught:
        explain(asked)
    assert "durable explain" in caught.value.hint


def test_a_near_name_is_offered() -> None:
    with pytest.raises(CommandError) as caught:
        explain("StoreLoked")
    assert "STORELOCKED" in caught.value.hint


def test_a_step_that_failed_is_repeated_by_a_rerun() -> None:
    remedy = explain("DUR-0402").remedy
    assert "`durable runs rerun RUN_ID`" in remedy
    assert "--from-step STEP" in remedy
