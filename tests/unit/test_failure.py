"""Exceptions are kept with name, message and traceback, and say whether to try again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

import durable
from durable._bridge import NEVER
from durable._failure import read_error, read_step_error, retry_of, tell, write_error


def raised(error: BaseException) -> dict[str, Any]:
    try:
        raise error  # noqa: TRY301  # that it was raised is the point
    except BaseException as caught:  # noqa: BLE001  # whatever it is
        return orjson.loads(write_error(caught))


def test_name_message_and_stack_are_kept() -> None:
    kept = raised(ValueError("no"))
    assert (kept["name"], kept["message"]) == ("ValueError", "no")
    assert "test_failure.py" in kept["stack"]
    assert "code" not in kept


def test_our_own_errors_keep_their_code() -> None:
    assert raised(durable.NonRetriableError("no"))["code"] == "DUR-0400"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (durable.UsageError("no"), "durable explain DUR-"),
        (durable.NonRetriableError("no"), ""),
        (ValueError("no"), ""),
    ],
)
def test_the_log_names_the_code_of_a_mistake(
    error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    function = SimpleNamespace(id="f", retries=SimpleNamespace(count=0))
    run: Any = SimpleNamespace(id="1", function=function)
    tell(run, "the handler", (write_error(error), None), attempt=0)
    assert (code or "(try 1 of 1: it is not tried again)") in caplog.text


def test_long_ones_are_cut() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        else:
            raise ValueError("x" * 100_000)

    try:
        deep(200)
    except ValueError as error:
        kept = orjson.loads(write_error(error))
    assert len(kept["message"]) < 17_000
    assert len(kept["stack"]) < 9_000


def test_an_error_whose_text_cannot_be_made_is_kept_too() -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "RuntimeError" in raised(BrokenError())["message"]


def test_texts_that_are_no_unicode_are_kept_too() -> None:
    assert raised(ValueError("a\ud800b"))["message"] == "a?b"


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (ValueError(), None),
        (asyncio.CancelledError(), None),
        (GeneratorExit(), None),
        (durable.RetryAfterError("busy", "30s"), 30_000),
        (durable.NonRetriableError(), NEVER),
        (durable.StepError("a", "b", "c"), NEVER),
        (durable.SerializationError("no"), NEVER),
        (durable.NestedStepError(), NEVER),
        (ExceptionGroup("g", [durable.StepError("a", "b", "c")]), NEVER),
        (ExceptionGroup("g", [durable.StepError("a", "b", "c"), ValueError()]), None),
    ],
)
def test_whether_to_try_again(error: BaseException, retry: int | None) -> None:
    assert retry_of(error) == retry


def test_a_group_tells_of_its_members() -> None:
    group = ExceptionGroup("g", [ValueError("one"), TypeError("two")])
    assert raised(group)["message"] == "ValueError: one; TypeError: two"


def test_what_the_engine_wrote_is_read_too() -> None:
    assert read_error(b'{"name":"StateTooLarge"}')["message"] == ""
    error = read_step_error("a", b'{"name":"N","message":"m","stack":"s"}')
    assert (error.step_id, error.name, error.message, error.stack) == (
        "a",
        "N",
        "m",
        "s",
    )
