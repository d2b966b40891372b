"""Every error has a code of its own, a description, and its place in the tree that is drawn."""

from __future__ import annotations

import re

import pytest

import durable
from durable import _errors
from durable._errors import all_errors


def test_codes_are_unique_and_well_formed() -> None:
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"DUR-\d{4}", code) for code in codes)


def test_each_error_describes_itself() -> None:
    assert all(error.__doc__ for error in all_errors())


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    drawn: list[tuple[int, str]] = [
        (len(match[1]), match[2])
        for line in (_errors.__doc__ or "").splitlines()
        if (match := re.match(r"([│├└─ ]*)([A-Z]\w+)(\s|$)", line))
    ]
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for depth, name in drawn:
        path = [step for step in path if step[0] < depth]
        if path:
            parents[name] = path[-1][1]
        path.append((depth, name))
    actual = {
        error.__name__: error.__mro__[1].__name__
        for error in all_errors()
        if error is not durable.DurableError
    }
    assert parents == actual


def test_each_error_is_public() -> None:
    assert all(getattr(durable, error.__name__) is error for error in all_errors())


@pytest.mark.parametrize(
    ("asked", "kept"), [("30s", 30.0), ("1ms", 1.0), ("3d", 86_400.0), (5, 5.0)]
)
def test_retry_after_is_held_within_its_limits(asked: str | int, kept: float) -> None:
    assert durable.RetryAfterError("busy", asked).retry_after == kept


def test_a_step_error_says_which_step_and_why() -> None:
    error = durable.StepError("charge", "ValueError", "no")
    assert str(error) == "step 'charge' failed: ValueError: no"
    assert (error.step_id, error.name, error.message) == ("charge", "ValueError", "no")


def test_errors_are_also_what_python_users_expect() -> None:
    assert issubclass(durable.InvokeTimeoutError, TimeoutError)
    assert issubclass(durable.StoreError, OSError)
    assert issubclass(durable.ConfigError, ValueError)
    assert issubclass(durable.SerializationError, TypeError)


def test_an_error_of_somebodys_own_kind_stays_of_that_kind() -> None:
    class Mine(durable.SerializationError):
        """With a code of its own."""

    told = Mine("bad", path="result.a").of_function("f")
    assert type(told) is Mine
    assert (str(told), told.path) == ("function 'f': bad", "result.a")
