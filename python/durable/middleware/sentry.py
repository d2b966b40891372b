"""`Sentry`: what code raises is reported to Sentry, with the run, the step and the try that it is of."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from typing_extensions import override

from .._errors import StepError
from .._failure import LOGGER_NAME
from .._middleware import Execution, Finished, Middleware


class Sentry(Middleware):
    """Reports to Sentry what steps and handlers raise. `sentry_sdk.init` is yours to call.

    Each report has the tags `durable.function_id`, `durable.run_id`, `durable.step_id` and `durable.attempt`, and
    function and step as its transaction. A handler that ends with a step's error is not reported again; nor are the
    lines of `durable.failures`, which say the same. What the engine itself ends, as a run of too many steps, is the line
    of `durable.failures.ended`, which `sentry_sdk` reports.

    Args:
        each_try: report each failed try; else what is not tried again alone.
        cancelled: report, as a message of level info, runs that were called off.
    """

    def __init__(self, *, each_try: bool = False, cancelled: bool = False) -> None:
        # sentry_sdk takes each line of level ERROR for an event
        ignore_logger(LOGGER_NAME)
        self._each_try = each_try
        self._cancelled = cancelled

    @override
    def after_execution(self, execution: Execution) -> None:
        """Report what was raised."""
        error = execution.error
        if not isinstance(error, Exception):
            return
        if execution.step is None and isinstance(error, StepError):
            return
        if not (self._each_try or execution.is_last):
            return
        run, step = execution.run, execution.step
        with sentry_sdk.new_scope() as scope:
            scope.set_tag("durable.function_id", run.function_id)
            scope.set_tag("durable.run_id", run.id)
            scope.set_tag("durable.attempt", str(execution.attempt))
            where = run.function_id
            if step is not None:
                scope.set_tag("durable.step_id", step.name)
                where = f"{where}/{step.name}"
            scope.set_transaction_name(where)
            details: dict[str, Any] = {
                "event_name": run.event_name,
                "event_id": run.event_id,
                "tries": run.tries,
            }
            scope.set_context("durable", details)
            scope.capture_exception(error)

    @override
    def finished(self, end: Finished) -> None:
        """Report that a run was called off, where that is wanted."""
        if end.status == "cancelled" and self._cancelled:
            with sentry_sdk.new_scope() as scope:
                scope.set_tag("durable.function_id", end.run.function_id)
                scope.set_tag("durable.run_id", end.run.id)
                why = "" if end.error is None else end.error["message"]
                text = f"run of '{end.run.function_id}' was cancelled: {why}"
                scope.capture_message(text, level="info")
