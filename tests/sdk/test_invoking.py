"""Functions that call functions, and send events, from their steps."""

from __future__ import annotations

import pytest

from .running import Ahead, Application, until


#: Errors of a call have names of their own only where the SDK shows them.
NAMED = ["fastapi", "flask", "typescript"]


def test_the_result_of_a_call_is_the_steps(app: Application) -> None:
    assert app.output("invoke", app.new_key(), how="returns") == {"got": "returns"}


def test_the_error_of_a_call_is_the_steps(app: Application) -> None:
    told = app.output("invoke", app.new_key(), how="fails")
    assert "the callee fails" in told["error"]


def test_a_call_that_takes_too_long_is_given_up(app: Application, ahead: Ahead) -> None:
    (event,) = ahead.long_call.events
    told = app.server.ended(event)["output"]
    assert told["error"] == "Timed out waiting for invoked function to complete"
    if app.name in NAMED:
        assert told["name"] == "InngestInvokeTimeoutError"


def test_a_call_of_nobody_fails(app: Application) -> None:
    told = app.output("invoke", app.new_key(), how="unknown")
    nobody = f"could not find function with ID: {app.name}-nobody"
    assert told["error"] == nobody


def test_events_sent_in_a_step_start_runs_and_are_sent_once(app: Application) -> None:
    key = app.new_key()
    ids = app.output("send", key)
    assert len(set(ids)) == 2
    for event in ids:
        assert app.server.ended(event)["status"] == "Completed"
    assert app.notes(key) == ["sent", "sent"]


@pytest.mark.parametrize("app", ["typescript"], indirect=True)
def test_a_step_may_send_a_signal(app: Application) -> None:
    key = app.new_key()
    event = app.send("signal", key, timeout=30)
    until(lambda: app.server.jobs(event))
    app.output("send_signal", key)
    told = app.server.ended(event)["output"]
    assert told == {"signal": key, "data": {"from": "a step"}}
