"""Steps that wait: for a moment, a signal, an event, or the end of another run."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

from typing_extensions import override

from ._bridge import (
    INVOKE,
    SLEEP,
    SLEEP_UNTIL,
    WAIT_FOR_EVENT,
    WAIT_FOR_SIGNAL,
)
from ._codec import read_plain, write_object, write_plain
from ._duration import ACCEPTED, Duration, DurationError, seconds_for_ms, to_ms
from ._errors import InvokeError, SerializationError, UsageError
from ._events import Event, EventType, check_heard, make_event
from ._expression import check_fields, has_field, wrong_match
from ._failure import read_invoke_error
from ._function import Function, function_id_of, refuse_event
from ._hidden import check_wait
from ._setting import Place, near
from ._signals import Signal, read_signal, wrong_signal
from ._step import StepCall, StepOwner


if TYPE_CHECKING:
    from ._bridge import Op


T = TypeVar("T")

#: Beyond what any sleep may reach, and within what the engine counts in.
_LAST_MOMENT: Final = 2**53
_ON_CONFLICT: Final = frozenset({"fail", "replace"})


class WaitCall(StepCall[T]):
    """One use of a step that calls nothing: what it asks for is its op without its name."""

    __slots__ = ("_asked",)

    def __init__(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        run: StepOwner,
        name: str,
        frame: FrameType,
        asked: tuple[Any, ...],
    ) -> None:
        super().__init__(run, name, frame)
        self._asked = asked

    @override
    def plan(self) -> Op:
        """The op that asks for it."""
        kind, *what = self._asked
        return cast("Op", (kind, self.name, *what))


class SleepCall(WaitCall[None]):
    """One use of a step that waits for a moment."""

    kind = "sleep"
    __slots__ = ()

    @override
    def plan(self) -> Op:
        """The op that asks for it; a moment that had passed before the run's event came is odd."""
        kind, moment = self._asked
        if kind == SLEEP_UNTIL:
            self.run.worker.noticed.look_at_moment(self, moment)
        return super().plan()

    @override
    def result(self) -> None:
        """Nothing."""


class SignalCall(WaitCall["Signal | None"]):
    """One use of a step that waits for a signal."""

    kind = "wait_for_signal"
    __slots__ = ()

    @override
    def result(self) -> Signal | None:
        """The signal; nothing once nobody is to wait for it any more."""
        return read_signal(self.data or b"null")


#: The wait for an event behind which the code here goes on; each task goes on behind its own.
_BEHIND: Final[contextvars.ContextVar[tuple[str, str] | None]] = contextvars.ContextVar(
    "durable_behind", default=None
)


class EventCall(WaitCall["Event[Any] | None"]):
    """One use of a step that waits for an event."""

    kind = "wait_for_event"
    __slots__ = ("event_type",)

    event_type: EventType[Any] | None

    @override
    def result(self) -> Event[Any] | None:
        """The event; nothing once its time has passed.

        Raises:
            SerializationError: its data does not fit its type.
        """
        given = read_plain(self.data or b"null")
        if given is None:
            return None
        if not isinstance(given, dict) or "data" not in given:
            text = (
                f"step '{self.name}' waits for an event, and was given {given!r}: give it a whole one, "
                '{"name": ..., "data": {...}}, or None'
            )
            raise SerializationError(text)
        _BEHIND.set((self.run.id, self.name))
        given = cast("dict[str, Any]", given)
        data = given.pop("data")
        if self.event_type is not None:
            whose = f"step '{self.name}': event '{given['name']}' ({given['id']})"
            data = self.event_type.read_stored(write_plain(data, "data"), whose)
        return make_event(given.pop("name"), data, **given)


class InvokeCall(WaitCall[T]):
    """One use of a step that starts a run of another function."""

    kind = "invoke"
    __slots__ = ("invoked",)

    invoked: Function[Any, T] | None

    @property
    def invocation(self) -> tuple[str, bytes]:
        """The function's id, and the data that it is given."""
        _, function_id, json, _ = self._asked
        return function_id, json

    @invocation.setter
    def invocation(self, given: tuple[str, bytes]) -> None:
        kind, _, _, timeout_ms = self._asked
        self._asked = (kind, *given, timeout_ms)

    @override
    def result(self) -> T:
        """What that run returned."""
        json = self.data or b"null"
        if self.invoked is None:
            return cast("T", read_plain(json))
        return self.invoked.codec.read(json)

    @override
    def error(self) -> InvokeError:
        """How that run ended, or why there was none."""
        found = read_invoke_error(self.name, self.data or b"{}")
        if found.reason == "refused" and "there is no function" in str(found):
            hint = near(self.invocation[0], self.run.worker.function_ids())
            found.args = (f"{found}{hint}",)
        return found


#: Makes a call for a run, under a name, asked for at a line.
Wait: TypeAlias = Callable[[StepOwner, str, FrameType], WaitCall[T]]


def sleep_for(step_id: str, duration: Duration) -> Wait[None]:
    """A sleep of so long, from when the engine learns of it."""
    asked = (SLEEP, _ms(step_id, "duration", duration))
    return lambda run, name, frame: SleepCall(run, name, frame, asked)


def sleep_until(step_id: str, when: datetime | int) -> Wait[None]:
    """A sleep to a moment: a datetime with a time zone, or ms since the epoch.

    Raises:
        UsageError: it is none.
    """
    asked = (SLEEP_UNTIL, _moment(step_id, when))
    return lambda run, name, frame: SleepCall(run, name, frame, asked)


def signal_for(
    step_id: str,
    signal: str,
    timeout: Duration,
    *,
    on_conflict: Literal["fail", "replace"],
) -> Wait[Signal | None]:
    """A wait for a signal, in the place of another waiter or not.

    Raises:
        UsageError: an argument is wrong.
    """
    if problem := wrong_signal(signal):
        text = f"step '{step_id}': {problem}"
        raise UsageError(text)
    if on_conflict not in _ON_CONFLICT:
        text = f"step '{step_id}': on_conflict={on_conflict!r}; accepted: 'fail' or 'replace'"
        raise UsageError(text)
    timeout_ms = _ms(step_id, "timeout", timeout)
    asked = (WAIT_FOR_SIGNAL, signal, timeout_ms, on_conflict == "replace")
    return lambda run, name, frame: SignalCall(run, name, frame, asked)


def event_for(  # as many as the step has
    step_id: str,
    event: EventType[Any] | str,
    timeout: Duration,
    *,
    match: str | None,
    if_: str | None,
    since: Literal["run"] | None,
) -> Wait[Event[Any] | None]:
    """A wait for an event.

    Raises:
        ConfigError: nobody is ever told of such an event; or a condition reads what the model of a typed one has not, or,
            once it is made for a run, what middleware encrypts.
        UsageError: an argument is wrong.
    """
    place = Place(f"step '{step_id}'", "event")
    event_type = event if isinstance(event, EventType) else None
    given: object = event.name if isinstance(event, EventType) else event
    event_name = check_heard(place, given)
    if since not in {None, "run"}:
        text = f"step '{step_id}': since={since!r}; accepted: 'run', or nothing"
        raise UsageError(text)
    expression = _expression(step_id, match, if_)
    if event_type is not None and expression is not None:
        _check_coming(place, match, if_, model=event_type.model)
    timeout_ms = _ms(step_id, "timeout", timeout)
    asked = (WAIT_FOR_EVENT, event_name, expression, timeout_ms, since == "run")

    def make(run: StepOwner, name: str, frame: FrameType) -> EventCall:
        own_name = run.event_tuples[0][1]
        if sealed_by := run.function.sealed_by:
            names = (own_name, event_name)
            check_wait(place, sealed_by, names=names, match=match, if_=if_)
        own = run.function.type_of(own_name)
        if own is not None and if_ is not None:
            check_fields(place.at("if_"), if_, own.model, is_condition=True)
        if match is not None:
            _check_match(run, step_id, match)
        run_id, behind = _BEHIND.get() or ("", "")
        whole = (*asked, behind if run_id == run.id else None)
        call = EventCall(run, name, frame, whole)
        call.event_type = event_type
        return call

    return make


def invocation(
    step_id: str,
    function: Function[Any, T] | str,
    data: object,
    *,
    timeout: Duration,
) -> Wait[T]:
    """A run of another function, and its end.

    Raises:
        UsageError: an argument is wrong.
        SerializationError: the data is no JSON.
    """
    invoked = None if isinstance(function, str) else function
    given = function_id_of(function, f"step '{step_id}'")
    refuse_event(data, f"step '{step_id}'", "ctx.step.invoke(id, function, event.data)")
    json = write_object({} if data is None else data, "data", f"step '{step_id}'")
    asked = (INVOKE, given, json, _ms(step_id, "timeout", timeout))

    def make(run: StepOwner, name: str, frame: FrameType) -> InvokeCall[T]:
        call: InvokeCall[T] = InvokeCall(run, name, frame, asked)
        call.invoked = invoked
        return call

    return make


def _expression(step_id: str, match: str | None, if_: str | None) -> str | None:
    both: list[tuple[str, object]] = [("match", match), ("if_", if_)]
    for argument, given in both:
        if given is not None and not isinstance(given, str):
            text = f"step '{step_id}': {argument}={given!r} is no text"
            raise UsageError(text)
    if match is None:
        return if_
    if problem := wrong_match(match):
        text = f"step '{step_id}': match={match!r} {problem}"
        raise UsageError(text)
    is_equal = f"event.{match} == async.{match}"
    return is_equal if if_ is None else f"{is_equal} && ({if_})"


def _check_coming(
    place: Place, match: str | None, if_: str | None, *, model: object
) -> None:
    """That what is asked of the event that comes reads its model's fields.

    Raises:
        ConfigError: it reads another, which no event would have.
    """
    if match is not None:
        check_fields(place.at("match"), f"async.{match}", model, of="async")
    if if_ is not None:
        check_fields(place.at("if_"), if_, model, of="async", is_condition=True)


def _check_match(run: StepOwner, step_id: str, match: str) -> None:
    """That the run's own event has the field: else no event would ever match.

    Raises:
        UsageError: it has not.
    """
    if not has_field(run.own_data(), match):
        text = (
            f"step '{step_id}': match={match!r}: the event that started this run has no {match}, so no "
            "event could match; use if_= for a condition of another kind"
        )
        raise UsageError(text)


def _ms(step_id: str, argument: str, duration: Duration) -> int:
    try:
        return to_ms(duration)
    except DurationError as error:
        lead = f"step '{step_id}': {argument}="
        place = ""
        if error.position is not None:
            place = "\n" + " " * (len(lead) + 1 + error.position) + "^"
        text = f"{lead}{duration!r}{place}\n  {error}; accepted: {ACCEPTED}"
        raise UsageError(text) from None


def _moment(step_id: str, when: datetime | int) -> int:
    if isinstance(when, datetime):
        if when.tzinfo is None:
            text = f"step '{step_id}': {when!r} has no time zone: give it one, as in datetime.now(UTC)"
            raise UsageError(text)
        since = when - datetime.fromtimestamp(0, when.tzinfo)
        return max(0, -(-since // timedelta(milliseconds=1)))
    try:
        moment = math.ceil(when)
        if problem := seconds_for_ms(f"step '{step_id}': sleep_until takes", when):
            raise UsageError(problem)
    except (TypeError, ValueError, OverflowError):
        text = f"step '{step_id}': sleep_until takes a datetime or ms since the epoch, not {when!r}"
        raise UsageError(text) from None
    return min(max(0, moment), _LAST_MOMENT)
