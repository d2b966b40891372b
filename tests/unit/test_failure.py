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
from durable.testing import TestEngine


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


def a_run(tries: int = 1) -> Any:
    function = SimpleNamespace(id="f", retries=SimpleNamespace(count=tries - 1))
    return SimpleNamespace(id="1", function=function, attempt=4)


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
    tell(a_run(), (write_error(error), None), error, failures=0)
    assert (code or "(try 1 of 1: it is not tried again)") in caplog.text


def users_code() -> None:
    msg = "no"
    raise ValueError(msg)


def caught() -> ValueError:
    try:
        users_code()
    except ValueError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("step", "failures", "level", "told"),
    [
        (None, 0, "WARNING", "the handler failed: ValueError: no (try 1 of 2: it is"),
        (None, 1, "ERROR", "the handler failed: ValueError: no (try 2 of 2: it is not"),
        ("charge", 1, "WARNING", "step 'charge' failed: ValueError: no (try 2 of 2"),
    ],
)
def test_a_failure_is_logged_with_whose_it_is_and_where_it_was_raised(  # a case
    step: str | None,
    failures: int,
    level: str,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Tries that a crash cut off count as attempts, and not against the tries; what ends a run is an error."""
    error = caught()
    call: Any = None if step is None else SimpleNamespace(name=step, attempt=6)
    tell(a_run(2), (write_error(error), None), error, failures=failures, call=call)
    (line,) = caplog.records
    known: Any = line
    assert (line.levelname, told in line.getMessage()) == (level, True)
    assert (known.run_id, known.function_id, known.step_id) == ("1", "f", step)
    assert known.attempt == (4 if step is None else 6)
    assert "in users_code" in caplog.text


def test_a_traceback_begins_with_the_users_code() -> None:
    async def raises() -> None:
        users_code()

    async def play() -> str:
        app = durable.App("shop")

        @app.function(retries=0)
        async def order(ctx: durable.Context) -> None:
            await ctx.step.run("charge", raises)

        async with TestEngine(app) as t:
            run = await t.execute(order, {})
            error = run.steps["charge"].error
            assert error is not None
            return error.stack

    stack = asyncio.run(play())
    assert "in raises" in stack.splitlines()[1]
    assert "in users_code" in stack


def test_what_the_engine_itself_says_has_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = durable.UsageError("no")
    tell(a_run(), (write_error(error), None), error, failures=0)
    assert caplog.records[0].exc_info is None


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
