"""Steps that a test answers in place of what they would do."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from durable._codec import MISSING, Codec, read_plain, write_object, write_plain
from durable._errors import InvokeError, UsageError
from durable._events import Event, is_event, make_event
from durable._failure import read_step_error
from durable._setting import near
from durable._signals import Signal
from durable._step import StepCall
from durable._waits import EventCall, InvokeCall, SignalCall, SleepCall


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from durable._views import Run


class Mocks:
    """What stands for the steps of one run, by step id.

    Attributes:
        seen: the names of the steps that the run has come to, in order.
    """

    def __init__(self, steps: Mapping[str, object]) -> None:
        self._steps = steps
        self._used: set[str] = set()
        self.seen: dict[str, None] = {}

    def apply(self, call: StepCall[Any]) -> None:
        """Have the step do what the test says, if it says something of it."""
        self.seen[call.name] = None
        key = self._key(call.name)
        if key is None:
            return
        self._used.add(key)
        given = self._steps[key]
        kind = _MOCKED.get(type(call))
        if kind is None:
            call.function = stub(given, _as_it_is)
            call.is_blocking = False
            return
        codec: Codec[Any] = _PLAIN
        if isinstance(call, InvokeCall) and call.invoked is not None:
            codec = call.invoked.codec
        call.__class__ = kind
        shape = _SHAPES.get(kind, _as_it_is)
        if isinstance(call, EventCall):
            asked: Any = call.plan()
            shape = partial(_event_as_json, asked[2])
        call.function = stub(given, shape)
        call.will_call(((), {}), codec, is_blocking=False)

    def _key(self, name: str) -> str | None:
        """The step itself, or the id of all of its uses."""
        if name in self._steps:
            return name
        step_id, _, count = name.rpartition(":")
        return step_id if count.isdecimal() and step_id in self._steps else None

    def check_used(self, run: Run, picture: Callable[[Run], str]) -> None:
        """That the run came to each of them, where it was completed.

        One that was not has other reasons. Then only what looks like a misspelt step is told, with how the run
        ended; `picture` draws it.

        Raises:
            UsageError: it did not come to one: the name is misspelt, or the code goes another way.
        """
        unused = [name for name in self._steps if name not in self._used]
        real = [name for name in self.seen if self._key(name) is None]
        is_completed = run.status == "completed"
        if not is_completed:
            unused = [name for name in unused if near(name, real)]
        if not unused:
            return
        never = ", ".join(repr(name) for name in unused)
        came = ", ".join(repr(name) for name in self.seen) or "none"
        text = (
            f"execute({run.function}, steps=...): the run never came to {never}; the steps that it came "
            f"to: {came}"
        )
        hints = {hint for name in unused if (hint := near(name, real))}
        text = f"{text}.{''.join(sorted(hints))}" if hints else text
        if not is_completed:
            text = f"{text}\nThe run {_ended(run)}\n\n{picture(run)}"
        raise UsageError(text)


def _ended(run: Run) -> str:
    return "was cancelled" if run.error is None else f"{run.status}: {run.error}"


def stub(
    given: object, shape: Callable[[object], object]
) -> Callable[..., object]:  # what a step calls
    """What is called in place of a step's function: it gives a value, raises an exception, or calls."""
    if callable(given) and not isinstance(given, BaseException):
        function = given

        async def call(*args: object, **kwargs: object) -> object:
            value: Any = function(*args, **kwargs)
            return shape(await value if inspect.isawaitable(value) else value)

        return call

    def answer(*_: object, **__: object) -> object:
        if isinstance(given, BaseException):
            raise given.with_traceback(None)
        return shape(given)

    return answer


class _MockedSleep(SleepCall):
    kind = "run"
    __slots__ = ()


class _MockedSignal(SignalCall):
    kind = "run"
    __slots__ = ()


class _MockedInvoke(InvokeCall[Any]):
    kind = "run"
    __slots__ = ()

    @override
    def error(self) -> InvokeError:
        return InvokeError(str(read_step_error(self.name, self.data or b"{}")))


class _MockedEvent(EventCall):
    kind = "run"
    __slots__ = ()

    @override
    def result(self) -> Event[Any] | None:
        given = read_plain(self.data or b"null")
        if given is None:
            return None
        data = given.pop("data")
        if self.event_type is not None:
            whose = f"the mock of step '{self.name}'"
            data = self.event_type.read_stored(write_plain(data, "data"), whose)
        return make_event(given.pop("name"), data, **given)


_PLAIN: Final[Codec[Any]] = Codec(MISSING)
_MOCKED: Final[dict[type, Any]] = {
    SleepCall: _MockedSleep,
    SignalCall: _MockedSignal,
    InvokeCall: _MockedInvoke,
    EventCall: _MockedEvent,
}


def _as_it_is(value: object) -> object:
    return value


def _event_as_json(waited: object, value: object) -> object:
    """The event as a step has it that waits for one of the name `waited`.

    Raises:
        UsageError: it is no event, or another one.
    """
    if value is None:
        return None
    if not is_event(value):
        text = f"a step that waits for an event is mocked with a durable.Event or None, not with {value!r}"
        raise UsageError(text)
    if value.name != waited:
        text = f"a step that waits for {waited!r} is mocked with another event: {value.name!r}"
        raise UsageError(text)
    data = read_plain(write_object(value.data, "data"))
    return {
        "name": value.name,
        "data": data,
        "id": value.id,
        "ts": value.ts,
        "v": value.v,
        "user": value.user,
    }


def _signal_as_json(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, Signal):
        text = f"a step that waits for a signal is mocked with a durable.Signal or None, not with {value!r}"
        raise UsageError(text)
    return {"signal": value.signal, "data": value.data}


_SHAPES: Final[dict[Any, Callable[[object], object]]] = {
    _MockedSignal: _signal_as_json,
}
