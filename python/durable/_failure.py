"""Exceptions as the engine keeps them: a JSON object, and whether and when to try again."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import orjson

from ._bridge import NEVER
from ._errors import (
    OWN,
    ConfigError,
    DurableError,
    EventRefused,
    InvokeError,
    InvokeTimeoutError,
    NonDeterminismError,
    NonRetriableError,
    PayloadTooLarge,
    ProviderError,
    RetryAfterError,
    SerializationError,
    StepError,
    UsageError,
)


if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


LOGGER_NAME: Final = "durable.failures"
_LOGGER: Final = logging.getLogger(LOGGER_NAME)
#: Of what no handler raised, and no middleware sees.
_ENDED: Final = logging.getLogger(f"{LOGGER_NAME}.ended")
MAX_STACK_CHARS: Final = 8_000
MAX_MESSAGE_CHARS: Final = 16_000
_MAX_FRAMES: Final = 30
_HOPELESS: Final = (
    ConfigError,
    EventRefused,
    NonDeterminismError,
    NonRetriableError,
    PayloadTooLarge,
    SerializationError,
    StepError,
    UsageError,
)
_SAID: Final = frozenset(
    kind.code
    for kind in (
        InvokeError,
        InvokeTimeoutError,
        NonRetriableError,
        ProviderError,
        RetryAfterError,
        StepError,
    )
)


class Run(Protocol):
    """Whose failure it is."""

    attempt: int

    @property
    def id(self) -> str: ...
    @property
    def function(self) -> Function: ...


class Call(Protocol):
    """A step that the code awaits."""

    name: str
    attempt: int

    def where(self) -> str:
        """The line that made it."""
        ...


class Tries(Protocol):
    """How often something is tried again."""

    @property
    def count(self) -> int: ...


class Function(Protocol):
    """Whose code it is."""

    @property
    def id(self) -> str: ...
    @property
    def retries(self) -> Tries: ...


def write_error(error: BaseException) -> bytes:
    """A JSON object with the exception's name, message, shortened traceback and code."""
    fields = {
        "name": type(error).__name__,
        "message": _shorten(_message_of(error), MAX_MESSAGE_CHARS),
        "stack": _stack_of(error),
    }
    if isinstance(error, DurableError):
        fields["code"] = error.code
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError:  # lone surrogates
        clean = {
            key: text.encode("utf-8", "replace").decode()
            for key, text in fields.items()
        }
        return orjson.dumps(clean)


def tell(
    run: Run,
    failure: tuple[bytes, int | None],
    raised: BaseException | None,
    *,
    failures: int,
    call: Call | None = None,
) -> None:
    """Log a failure when it happens: of those that are tried again the store keeps none.

    `failure` is the error's JSON and when it is tried again, as in the op that reports it; `failures` how many tries
    failed before. `call` is the step; without one it is the handler that failed, and where that is not tried again its
    run has ended.
    """
    json, retry = failure
    tries = run.function.retries.count + 1
    is_last = retry == NEVER or failures + 1 >= tries
    level = logging.ERROR if is_last and call is None else logging.WARNING
    if _LOGGER.isEnabledFor(level):
        error = read_error(json)
        what_next = "it is not tried again" if is_last else "it is tried again"
        _LOGGER.log(
            level,
            "function '%s', run %s: %s failed: %s: %s (%stry %d of %d: %s)",
            run.function.id,
            run.id,
            "the handler" if call is None else f"step '{call.name}'",
            error["name"],
            error["message"],
            _explained_by(error),
            failures + 1,
            tries,
            what_next,
            exc_info=_where_raised(raised),
            extra=_fields(run, call),
        )


def _fields(run: Run, call: Call | None) -> dict[str, Any]:
    """As `durable.logging.fields`: what failed is no longer under way, so its context does not say it."""
    return {
        "run_id": run.id,
        "function_id": run.function.id,
        "step_id": None if call is None else call.name,
        "attempt": run.attempt if call is None else call.attempt,
    }


def _where_raised(
    error: BaseException | None,
) -> tuple[type[BaseException], BaseException, TracebackType] | None:
    """For a record: the error with its traceback, where any of that is not ours."""
    place = None if error is None else _in_users_code(error.__traceback__)
    return None if error is None or place is None else (type(error), error, place)


def _in_users_code(place: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package that it begins with."""
    while place is not None:
        if not place.tb_frame.f_code.co_filename.startswith(OWN):
            return place
        place = place.tb_next
    return None


def _explained_by(error: dict[str, Any]) -> str:
    """The code of a mistake; what the user's own code raises to say something has nothing to explain."""
    code = error.get("code")
    return "" if code is None or code in _SAID else f"durable explain {code}; "


def tell_of_end(run: Run, json: bytes, calls: Iterable[Call]) -> None:
    """Log that the engine itself ended a run as failed, for what one of these steps asks for."""
    error = read_error(json)
    lines = [
        f" ({call.where()})"
        for call in calls
        if error["message"].startswith(f"step '{call.name}':")
    ]
    _ENDED.error(
        "function '%s', run %s: the engine ended it: %s: %s%s (it is not tried again)",
        run.function.id,
        run.id,
        error["name"],
        error["message"],
        "".join(lines[:1]),
        extra=_fields(run, None),
    )


def read_error(json: bytes) -> dict[str, Any]:
    """What `write_error` or the engine wrote: `name`, `message`, `stack`, and `code` where it has one."""
    return {"name": "Error", "message": "", "stack": "", **orjson.loads(json)}


def read_step_error(step: str, json: bytes) -> StepError:
    """The exception that the handler sees at the step's `await`."""
    error = read_error(json)
    return StepError(step, error["name"], error["message"], error["stack"])


def read_invoke_error(step: str, json: bytes) -> InvokeError:
    """The same of a step that invokes: why the other run gave no result."""
    error = read_error(json)
    cause: dict[str, Any] = {"name": "", "message": "", **(error.get("cause") or {})}
    text = f"step '{step}': {error['message']}"
    if cause["name"]:
        text = f"{text}: {cause['name']}: {cause['message']}"
    kind = InvokeTimeoutError if error["name"] == "InvokeTimeoutError" else InvokeError
    raised = kind(
        text,
        run_id=error.get("run_id", ""),
        name=cause["name"],
        message=cause["message"],
    )
    raised.reason = error.get("reason", "")
    raised.is_final = True
    return raised


def retry_of(error: BaseException) -> int | None:
    """When to try again: `None` as the back-off says, n after n ms, negative: not at all."""
    is_final = isinstance(error, ProviderError | InvokeError) and error.is_final
    if is_final or isinstance(error, _HOPELESS):
        return NEVER
    if isinstance(error, RetryAfterError | ProviderError):
        after_s = error.retry_after
        return None if after_s is None else round(after_s * 1000)
    inner = _members(error)
    return NEVER if inner and all(retry_of(one) == NEVER for one in inner) else None


def _members(error: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def _message_of(error: BaseException) -> str:
    if inner := _members(error):
        return "; ".join(f"{type(one).__name__}: {_message_of(one)}" for one in inner)
    try:
        return str(error)
    except Exception as broken:  # a user's __str__ may raise anything  # noqa: BLE001
        return f"<its __str__ raised {type(broken).__name__}>"


def _stack_of(error: BaseException) -> str:
    try:
        place = _in_users_code(error.__traceback__) or error.__traceback__
        lines = traceback.format_exception(
            type(error), error, place, limit=-_MAX_FRAMES
        )
    except Exception:  # as above  # noqa: BLE001
        return ""
    text = "".join(lines)
    return text if len(text) <= MAX_STACK_CHARS else "...\n" + text[-MAX_STACK_CHARS:]


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "..."
