"""What stands for a step: a value, an exception, a function; and which step it stands for."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import durable
from durable.testing._mocks import Mocks, stub


def same(value: object) -> object:
    return value


def test_a_value_is_given_whatever_the_step_is_called_with() -> None:
    assert stub("mocked", same)(1, two=2) == "mocked"
    assert stub(None, same)() is None


def test_an_exception_is_raised_each_time_without_an_older_traceback() -> None:
    error = ValueError("no")
    answer = stub(error, same)
    for _ in range(2):
        with pytest.raises(ValueError, match="no") as raised:
            answer()
        assert raised.value is error
    assert len(raised.traceback) == 2


def test_a_function_is_called_and_awaited() -> None:
    async def later(number: int) -> int:
        return number + 1

    for function in (later, lambda number: number + 1):
        called: Any = stub(function, lambda value: [value])(1)
        assert asyncio.run(called) == [2]


def call(name: str) -> Any:
    return SimpleNamespace(name=name, function=None, is_blocking=True)


def test_a_name_goes_before_an_id_and_an_id_is_for_all_of_its_uses() -> None:
    mocks = Mocks({"page": "all", "page:1": "one", "a:b": "colon"})
    calls = [call(name) for name in ("page", "page:1", "page:2", "a:b", "other")]
    for one in calls:
        mocks.apply(one)
    assert [one.function and one.function() for one in calls] == [
        "all",
        "one",
        "all",
        "colon",
        None,
    ]
    mocks.check_used(ended("completed"), drawn)


def ended(status: str, error: str | None = None) -> Any:
    return SimpleNamespace(function="f", status=status, error=error)


def drawn(run: Any) -> str:
    return f"a picture of {run.function}"


def test_what_was_not_used_is_named_with_what_there_was() -> None:
    mocks = Mocks({"chrage": 1, "ship": 2})
    mocks.apply(call("charge"))
    with pytest.raises(
        durable.UsageError,
        match=r"never came to 'chrage', 'ship'; .*: 'charge'. Did you mean 'charge'\?$",
    ):
        mocks.check_used(ended("completed"), drawn)
    with pytest.raises(durable.UsageError, match=r"came to: none$"):
        Mocks({"a": 1}).check_used(ended("completed"), drawn)


def test_of_a_run_that_was_not_completed_a_misspelt_one_is_told() -> None:
    """With how it ended: what it did not come to has other reasons."""
    mocks = Mocks({"chrage": 1, "ship": 2})
    mocks.apply(call("charge"))
    with pytest.raises(
        durable.UsageError,
        match=r"never came to 'chrage'; (.|\n)*failed: E: no\n\na picture of f$",
    ):
        mocks.check_used(ended("failed", "E: no"), drawn)
    with pytest.raises(durable.UsageError, match=r"The run was cancelled\n"):
        mocks.check_used(ended("cancelled"), drawn)
    Mocks({"ship": 2}).check_used(ended("failed", "E: no"), drawn)
