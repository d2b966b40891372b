"""What a handler is given: its event, its steps, its place in the run."""

# ruff: noqa: A002  # `id` is the word users know

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from ._codec import codec_of, read_plain
from ._duration import ACCEPTED, Duration, DurationError, to_ms
from ._errors import NestedStepError, SerializationError, UsageError
from ._events import Event, make_event
from ._run_logger import RunLogger
from ._sending import encode_for_step
from ._setting import wrong_id
from ._signals import Signal, wrong_signal
from ._step import CURRENT_STEP, SignalCall, SleepCall, StepCall, StepOwner, caller


if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from types import FrameType

    import httpx

    from ._bridge import EventTuple
    from ._fetch import FetchResponse
    from ._inference import AISteps, SyncAISteps


DataT = TypeVar("DataT", default=dict[str, Any])
T = TypeVar("T")
P = ParamSpec("P")

#: Beyond what any sleep may reach, and within what the engine counts in.
_LAST_MOMENT: Final = 2**53
_ON_CONFLICT: Final = frozenset({"fail", "replace"})
_AS_IN: Final = "as in ctx.step.run('charge', charge_card, order_id)"
INVOKED: Final = "durable/function.invoked"


class _Given(Generic[DataT]):
    """What both kinds of handler are given."""

    __slots__ = ("_events", "_logger", "_run")

    def __init__(self, run: StepOwner) -> None:
        self._run = run
        self._events: tuple[Event[DataT], ...] = ()
        self._logger: RunLogger | None = None

    @property
    def event(self) -> Event[DataT]:
        """The event that started the run, its data as the type that was declared. Of a batch the first.

        Raises:
            SerializationError: the data does not fit that type.
        """
        if not self._events:
            self._events = (read_event(self._run, self._run.event_tuples[0]),)
        return self._events[0]

    @property
    def events(self) -> list[Event[DataT]]:
        """The events that started the run, in order of arrival: those of a batch, else one.

        Raises:
            SerializationError: the data of one does not fit the type that was declared.
        """
        rest = self._run.event_tuples[len(self._events) :]
        self._events += tuple(read_event(self._run, row) for row in rest)
        return list(self._events)

    @property
    def run_id(self) -> str:
        """The run's id, a ULID."""
        return self._run.id

    @property
    def attempt(self) -> int:
        """Which try this is, from 0: of the step inside a step's function, else of the code between."""
        call = CURRENT_STEP.get()
        return self._run.attempt if call is None else call.attempt

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that is silent while the code is gone through again after a restart."""
        if self._logger is None:
            self._logger = RunLogger(self._run)
        return self._logger


class Context(_Given[DataT]):
    """What an `async def` handler is given. Generic in the event's data: `Context[Order]`."""

    __slots__ = ("step",)

    def __init__(self, run: StepOwner) -> None:
        super().__init__(run)
        self.step = Steps(run)


class SyncContext(_Given[DataT]):
    """What a plain `def` handler is given: it runs on a thread, and its steps block."""

    __slots__ = ("step",)

    def __init__(self, run: StepOwner) -> None:
        super().__init__(run)
        self.step = SyncSteps(run)


class _StepMaker:
    """Makes step calls: names them, checks their arguments, notes their line."""

    __slots__ = ("_is_blocking", "_run")

    def __init__(self, run: StepOwner, *, is_blocking: bool = False) -> None:
        self._run = run
        self._is_blocking = is_blocking

    @property
    def token(self) -> str:
        """An idempotency token of the step that executes: the same for each of its tries.

        Raises:
            UsageError: no step executes here.
        """
        call = CURRENT_STEP.get()
        if call is None:
            text = "ctx.step.token is for use inside a step's function: no step executes here"
            raise UsageError(text)
        return f"{call.run.id}:{call.name}"

    def make(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        step_id: str,
        function: Callable[..., Any] | None,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        frame: FrameType,
    ) -> StepCall[Any]:
        """One use of a step that calls `function`; `frame` is where it is written."""
        name = self._name(step_id)
        if not _is_callable(function):
            text = (
                f"step '{step_id}': {function!r} is no function; give the function and its arguments "
                f"apart, {_AS_IN}"
            )
            raise UsageError(text)
        found: Any = getattr(function, "__durable_step__", function)
        run = self._run
        call: StepCall[Any] = StepCall(run, name, frame, found)
        call.will_call(arguments, codec_of(found), is_blocking=self._is_blocking)
        run.unawaited[name] = call
        return call

    def _make_send(
        self,
        step_id: str,
        events: Event[Any] | Iterable[Event[Any]],
        frame: FrameType,
    ) -> StepCall[list[str]]:
        run = self._run
        given = [*events] if isinstance(events, Iterator) else events  # for each try

        async def send() -> list[str]:
            return await run.worker.send(encode_for_step(given, run.id, call.name))

        call: StepCall[list[str]] = self.make(step_id, send, ((), {}), frame)
        return call

    def _make_fetch(
        self,
        step_id: str,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        frame: FrameType,
    ) -> StepCall[FetchResponse]:
        from ._fetch import fetch  # noqa: PLC0415  # few need what it imports

        call: StepCall[FetchResponse] = self.make(step_id, fetch, arguments, frame)
        return call

    def _make_sleep(
        self, step_id: str, moment: tuple[int, int], frame: FrameType
    ) -> SleepCall:
        name = self._name(step_id)
        call = SleepCall(self._run, name, frame, moment)
        self._run.unawaited[name] = call
        return call

    def _name(self, step_id: str) -> str:
        outer = CURRENT_STEP.get()
        if outer is not None:
            text = (
                f"step '{step_id}' is used inside step '{outer.name}' of function "
                f"'{self._run.function.id}': call its function directly, or move it out"
            )
            raise NestedStepError(text)
        if not step_id or not _is_text(step_id):
            text = f"a step's id is a text that is not empty, not {step_id!r}: give it first, {_AS_IN}"
            raise UsageError(text)
        if problem := wrong_id("step", "an id", step_id):
            raise UsageError(problem)
        return self._run.names.next(step_id)

    def _make_wait(
        self, step_id: str, wait: tuple[str, Duration, str], frame: FrameType
    ) -> SignalCall:
        signal, timeout, on_conflict = wait
        name = self._name(step_id)
        if problem := wrong_signal(signal):
            text = f"step '{step_id}': {problem}"
            raise UsageError(text)
        if on_conflict not in _ON_CONFLICT:
            text = f"step '{step_id}': on_conflict={on_conflict!r}; accepted: 'fail' or 'replace'"
            raise UsageError(text)
        timeout_ms = self._ms(step_id, "timeout", timeout)
        asked = SignalCall.of(signal, timeout_ms, replaces=on_conflict == "replace")
        call = SignalCall(self._run, name, frame, asked)
        self._run.unawaited[name] = call
        return call

    def _length(self, step_id: str, duration: Duration) -> tuple[int, int]:
        return SleepCall.after(self._ms(step_id, "duration", duration))

    def _ms(self, step_id: str, argument: str, duration: Duration) -> int:
        try:
            return to_ms(duration)
        except DurationError as error:
            lead = f"step '{step_id}': {argument}="
            place = ""
            if error.position is not None:
                place = "\n" + " " * (len(lead) + 1 + error.position) + "^"
            text = f"{lead}{duration!r}{place}\n  {error}; accepted: {ACCEPTED}"
            raise UsageError(text) from None

    def _moment(self, step_id: str, when: datetime | int) -> tuple[int, int]:
        if isinstance(when, datetime):
            if when.tzinfo is None:
                text = f"step '{step_id}': {when!r} has no time zone: give it one, as in datetime.now(UTC)"
                raise UsageError(text)
            since = when - datetime.fromtimestamp(0, when.tzinfo)
            return SleepCall.at(max(0, -(-since // timedelta(milliseconds=1))))
        try:
            moment = math.ceil(when)
        except (TypeError, ValueError, OverflowError):
            text = f"step '{step_id}': sleep_until takes a datetime or ms since the epoch, not {when!r}"
            raise UsageError(text) from None
        return SleepCall.at(min(max(0, moment), _LAST_MOMENT))


_is_callable: Callable[[object], bool] = callable


def _is_text(value: object) -> bool:
    return isinstance(value, str)


class Steps(_StepMaker):
    """The steps of an `async def` handler: each is awaited."""

    __slots__ = ()

    @overload
    def run(
        self,
        id: str,
        fn: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> StepCall[T]: ...
    @overload
    def run(
        self,
        id: str,
        fn: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> StepCall[T]: ...
    @overload
    def run(
        self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> StepCall[T]: ...
    def run(
        self,
        id: str = "",
        fn: Callable[..., Any] | None = None,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> StepCall[Any]:
        """Call `fn(*args, **kwargs)` and remember what it returns: it is not called again for this run.

        Raises, when awaited:
            StepError: it has used up its tries.
        """
        return self.make(id, fn, (args, kwargs), caller(1))

    def send_event(
        self, id: str, events: Event[Any] | Iterable[Event[Any]]
    ) -> StepCall[list[str]]:
        """Send one event or several, all or none, and remember their ids: on disk when this returns.

        They start runs once, however often the step is repeated before it is remembered: an event without
        an id is given one that belongs to this step of this run.

        Raises, when awaited:
            StepError: one of them is not accepted; `.name` says which error `engine.send` would raise.
        """
        return self._make_send(id, events, caller(1))

    def fetch(
        self, id: str, request: httpx.Request | httpx.URL | str, **options: Any
    ) -> StepCall[FetchResponse]:
        """Make an HTTP request and remember the answer, whatever its status; needs `durable-engine[fetch]`.

        Args:
            id: the step's id.
            request: a URL, or all of a request as httpx has it.
            options: as `httpx.AsyncClient.request` has them: `method` (GET where absent), `params`, `headers`,
                `json`, `content`, `auth`, `timeout`, `follow_redirects`.

        Raises, when awaited:
            StepError: no answer came, for all the step's tries.
        """
        return self._make_fetch(id, ((request,), options), caller(1))

    @property
    def ai(self) -> AISteps:
        """Inferences: `ai.infer(id, model=..., body=...)` and `ai.wrap(id, fn, ...)`."""
        from ._inference import AISteps  # noqa: PLC0415  # few need what it imports

        return AISteps(self)

    def options(self, *, blocking: bool = False) -> Steps:
        """The same steps with other settings: `blocking=True` calls plain functions on a thread."""
        return Steps(self._run, is_blocking=blocking)

    def sleep(
        self,
        id: str,
        duration: Duration,
    ) -> StepCall[None]:
        """Go on after so long, at no cost, whatever happens to the process meanwhile."""
        return self._make_sleep(id, self._length(id, duration), caller(1))

    def sleep_until(
        self, id: str, when: datetime | int
    ) -> StepCall[None]:  # as above  # the word users know
        """Go on at this moment (a datetime with a time zone, or ms since the epoch)."""
        return self._make_sleep(id, self._moment(id, when), caller(1))

    def wait_for_signal(
        self,
        id: str,
        signal: str,
        *,
        timeout: Duration,
        on_conflict: Literal["fail", "replace"] = "fail",
    ) -> StepCall[Signal | None]:
        """Go on once somebody calls `engine.signal(signal, data)`; `None` once `timeout` has passed.

        A signal has one waiter. Where there is one already, `on_conflict="fail"` fails this run at once, which
        it cannot catch, and `"replace"` gives the other `None`. Signals that nobody waits for are not kept.

        Args:
            id: the step's id.
            signal: its name, 1 to 256 bytes, as in `f"approval/{order_id}"`.
            timeout: for how long, at most 366 days.
            on_conflict: what happens where another step waits for it.
        """
        return self._make_wait(id, (signal, timeout, on_conflict), caller(1))


class SyncSteps(_StepMaker):
    """The steps of a plain `def` handler: each blocks its thread, and gives it back for long waits."""

    __slots__ = ()

    @overload
    def run(
        self,
        id: str,
        fn: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def run(
        self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    def run(
        self,
        id: str = "",
        fn: Callable[..., Any] | None = None,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Call `fn(*args, **kwargs)` and remember what it returns: it is not called again for this run.

        Raises:
            StepError: it has used up its tries.
        """
        call = self.make(id, fn, (args, kwargs), caller(1))
        return self._run.driver.wait_for(call)

    def send_event(
        self, id: str, events: Event[Any] | Iterable[Event[Any]]
    ) -> list[str]:
        """Send one event or several, all or none, and remember their ids. See `Steps.send_event`."""
        call = self._make_send(id, events, caller(1))
        ids: list[str] = self._run.driver.wait_for(call)
        return ids

    def fetch(
        self, id: str, request: httpx.Request | httpx.URL | str, **options: Any
    ) -> FetchResponse:
        """Make an HTTP request and remember the answer, whatever its status. See `Steps.fetch`."""
        call = self._make_fetch(id, ((request,), options), caller(1))
        response: FetchResponse = self._run.driver.wait_for(call)
        return response

    @property
    def ai(self) -> SyncAISteps:
        """Inferences. See `Steps.ai`."""
        from ._inference import SyncAISteps  # noqa: PLC0415  # few need what it imports

        return SyncAISteps(self)

    def sleep(self, id: str, duration: Duration) -> None:  # the word users know
        """Go on after so long, at no cost, whatever happens to the process meanwhile."""
        call = self._make_sleep(id, self._length(id, duration), caller(1))
        self._run.driver.wait_for(call)

    def sleep_until(
        self, id: str, when: datetime | int
    ) -> None:  # as above  # the word users know
        """Go on at this moment (a datetime with a time zone, or ms since the epoch)."""
        call = self._make_sleep(id, self._moment(id, when), caller(1))
        self._run.driver.wait_for(call)

    def wait_for_signal(
        self,
        id: str,
        signal: str,
        *,
        timeout: Duration,
        on_conflict: Literal["fail", "replace"] = "fail",
    ) -> Signal | None:
        """Go on once somebody sends the signal; `None` once `timeout` has passed. See `Steps.wait_for_signal`."""
        call = self._make_wait(id, (signal, timeout, on_conflict), caller(1))
        given: Signal | None = self._run.driver.wait_for(call)
        return given


def read_event(run: StepOwner, row: EventTuple) -> Event[Any]:
    """An event of a run, its data as the type that its function declares.

    Raises:
        SerializationError: the data does not fit that type.
    """
    event_id, name, json, ts, _received_at, sent_id, version, user = row
    data: Any = read_plain(json)
    function = run.function
    kind = function.type_for_invoke() if name == INVOKED else function.type_of(name)
    if kind is not None:
        try:
            data = kind.read(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in ("data", *first["loc"]))
            text = f"event '{name}' ({event_id}) does not fit {kind!r}: {path}: {first['msg']}"
            raise SerializationError(text, path=path) from None
    who = None if user is None else read_plain(user)
    return make_event(name, data, id=sent_id or event_id, ts=ts, v=version, user=who)
