"""What fails is tried again, for so long as its function says; then somebody is told."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import RETRY_S
from .running import Ahead, Application, until


def test_a_step_that_keeps_failing_is_an_error_that_code_may_catch(
    app: Application,
) -> None:
    key = app.new_key()
    told = app.output("caught", key)
    assert told["message"] == "the step fails"
    assert app.notes(key) == ["try", "try"]


@pytest.mark.parametrize("function", ["step_retries", "retries"])
def test_a_try_knows_which_it_is(app: Application, function: str) -> None:
    key = app.new_key()
    assert app.output(function, key) == 2
    assert app.notes(key) == [0, 1, 2]
    first, second, third = [one["at"] for one in app.moments(key)]
    least = RETRY_S * 1_000 * 0.9
    assert second - first > least
    assert third - second > least


def test_a_function_that_keeps_failing_fails(app: Application) -> None:
    key = app.new_key()
    run = app.run("exhausted", key)
    assert run["status"] == "Failed"
    assert "never" in run["output"]["message"]
    assert app.notes(key) == [0, 1]


def test_an_error_may_say_when_to_try_again(app: Application, ahead: Ahead) -> None:
    (event,) = ahead.retried_later.events
    assert app.server.ended(event)["output"] == "done"
    first, second = [one["at"] for one in app.moments(ahead.retried_later.key)]
    assert 900 < second - first < 3_500, "two seconds, said in whole ones"


def test_an_error_may_say_that_there_is_no_use(app: Application) -> None:
    key = app.new_key()
    run = app.run("non_retriable", key)
    assert run["status"] == "Failed"
    assert run["output"]["message"] == "no use"
    assert app.notes(key) == [0]


def test_the_handler_of_a_failure_is_told_of_it_once(app: Application) -> None:
    key = app.new_key()
    run = app.run("failing", key)
    assert run["status"] == "Failed"
    told: Any = until(lambda: app.notes(key))
    function = f"{app.name}-failing"
    failed = {"run": run["run_id"], "function": function, "message": "it failed"}
    assert told == [failed]
