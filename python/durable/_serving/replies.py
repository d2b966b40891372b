"""What a call came to, in the protocol's words: the engine's ops as a server reads them."""

from __future__ import annotations

import math
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from .._bridge import (
    INVOKE,
    NEVER,
    RUN_COMPLETE,
    RUN_ERROR,
    SLEEP,
    SLEEP_UNTIL,
    STEP_ERROR,
    STEP_PLANNED,
    STEP_RUN,
    WAIT_FOR_EVENT,
    WAIT_FOR_SIGNAL,
)
from .._errors import UsageError
from .exchange import Reply
from .names import event_for_wire, hash_of, length


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._bridge import MemoTuple, Op
    from .._flow import Backoff
    from .names import Slugs

#: Ways that do not meet go on by themselves: each step's end has the code called again.
_OPTIONS: Final = {"parallelMode": "race"}

Fields = dict[str, Any]


def reply_of(
    ops: Sequence[Op], slugs: Slugs, *, attempt: int, backoff: Backoff | None
) -> Reply:
    """The reply that says what a call came to: the run's end, or what its code asks for.

    Raises:
        UsageError: the code asks for something that cannot be said in the protocol.
    """
    for op in ops:
        if op[0] == RUN_COMPLETE:
            return Reply(200, op[1])
        if op[0] == RUN_ERROR:
            return Reply(500, op[1], headers_of(op[2], attempt, backoff))
    headers: dict[str, str] = {}
    for op in ops:
        if op[0] == STEP_ERROR:
            headers = headers_of(op[3], attempt, backoff)
    return Reply(206, orjson.dumps([write_op(op, slugs) for op in ops]), headers)


def reply_of_settled(memo: MemoTuple) -> Reply:
    """The reply that says of a step, by its hash, what is remembered of it."""
    step, _, is_error, data = memo
    word, what = ("StepFailed", "error") if is_error else ("StepRun", "data")
    said = [{"id": step, "op": word, "opts": _OPTIONS, what: orjson.Fragment(data)}]
    return Reply(206, orjson.dumps(said))


def headers_of(
    retry: int | None, attempt: int, backoff: Backoff | None
) -> dict[str, str]:
    """When a try that failed is repeated. Servers count in whole seconds."""
    if retry == NEVER:
        return {"X-Inngest-No-Retry": "true"}
    if retry is None and backoff is not None:
        delays = backoff.delays_ms
        retry = delays[min(attempt, len(delays) - 1)]
        retry += secrets.randbelow(backoff.jitter_ms + 1)
    return {} if retry is None else {"Retry-After": str(math.ceil(retry / 1000))}


def write_op(op: Op, slugs: Slugs) -> Fields:
    """One op.

    Raises:
        UsageError: it cannot be said in the protocol.
    """
    kind, name, *what = cast("tuple[int, str, Any]", op)
    word, write = _WRITERS[kind]
    fields: Fields = {"id": hash_of(name), "op": word, "name": name}
    fields["displayName"] = name
    fields["userland"] = {"id": name}
    said = write(name, what, slugs)
    fields["opts"] = {**_OPTIONS, **said.pop("opts", {})}
    return fields | said


def _ran(_name: str, what: list[Any], _slugs: Slugs) -> Fields:
    return {"data": orjson.Fragment(what[0])}


def _failed(_name: str, what: list[Any], _slugs: Slugs) -> Fields:
    return {"error": orjson.Fragment(what[0])}


def _planned(_name: str, _what: list[Any], _slugs: Slugs) -> Fields:
    return {}


def _sleep(_name: str, what: list[Any], _slugs: Slugs) -> Fields:
    duration = length(what[0])
    return {"name": duration, "opts": {"duration": duration}}


def _sleep_until(_name: str, what: list[Any], _slugs: Slugs) -> Fields:
    moment = _moment(what[0])
    return {"name": moment, "opts": {"duration": moment}}


def _wait_for_signal(_name: str, what: list[Any], _slugs: Slugs) -> Fields:
    signal, timeout_ms, replaces = what
    options = {"signal": signal, "timeout": length(timeout_ms)}
    options["conflict"] = "replace" if replaces else "fail"
    return {"name": signal, "opts": options}


def _wait_for_event(name: str, what: list[Any], _slugs: Slugs) -> Fields:
    event, condition, timeout_ms, looks_back, _behind = what
    if looks_back:
        text = (
            f"step '{name}': since=\"run\" cannot be asked for over HTTP. Wait for the event before what may take "
            "long, in parallel with it (asyncio.gather)"
        )
        raise UsageError(text)
    wanted = event_for_wire(event)
    options: Fields = {"event": wanted, "timeout": length(timeout_ms)}
    if condition is not None:
        options["if"] = condition
    return {"name": wanted, "opts": options}


def _invoke(_name: str, what: list[Any], slugs: Slugs) -> Fields:
    function_id, data, timeout_ms = what
    options = {
        "function_id": slugs.of_invoked(function_id),
        "payload": {"data": orjson.Fragment(data)},
        "timeout": length(timeout_ms),
    }
    return {"opts": options}


_WRITERS: Final[dict[int, tuple[str, Callable[[str, list[Any], Slugs], Fields]]]] = {
    STEP_RUN: ("StepRun", _ran),
    STEP_ERROR: ("StepError", _failed),
    STEP_PLANNED: ("StepPlanned", _planned),
    SLEEP: ("Sleep", _sleep),
    SLEEP_UNTIL: ("Sleep", _sleep_until),
    WAIT_FOR_SIGNAL: ("WaitForSignal", _wait_for_signal),
    WAIT_FOR_EVENT: ("WaitForEvent", _wait_for_event),
    INVOKE: ("InvokeFunction", _invoke),
}


def _moment(ms: int) -> str:
    at = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{ms % 1000:03}Z"
