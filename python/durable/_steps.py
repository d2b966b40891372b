"""The steps of an `async def` handler."""

# ruff: noqa: A002  # `id` is the word users know

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from ._making import StepMaker
from ._step import StepCall, caller
from ._waits import event_for, invocation, signal_for, sleep_for, sleep_until


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from datetime import datetime

    import httpx

    from ._duration import Duration
    from ._events import Event, EventType
    from ._fetch import FetchResponse
    from ._function import Function
    from ._inference import AISteps
    from ._signals import Signal


P = ParamSpec("P")
T = TypeVar("T")


class Steps(StepMaker):
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

        Raises:
            StepError: when awaited: it has used up its tries.
        """
        return self.make(id, fn, (args, kwargs), caller(1))

    def send_event(
        self, id: str, events: Event[Any] | Iterable[Event[Any]]
    ) -> StepCall[list[str]]:
        """Send one event or several, all or none, and remember their ids: on disk when this returns.

        They start runs once, however often the step is repeated before it is remembered: an event without
        an id is given one that belongs to this step of this run.

        Raises:
            StepError: when awaited: one of them is not accepted; `.name` says which error `engine.send` would raise.
        """
        return self.make_send(id, events, caller(1))

    def fetch(
        self, id: str, request: httpx.Request | httpx.URL | str, **options: Any
    ) -> StepCall[FetchResponse]:
        """Make an HTTP request and remember the answer, whatever its status; needs `durable-engine[fetch]`.

        Args:
            id: the step's id.
            request: a URL, or all of a request as httpx has it.
            options: as `httpx.AsyncClient.request` has them: `method` (GET where absent), `params`, `headers`,
                `json`, `content`, `auth`, `timeout`, `follow_redirects`.

        Raises:
            StepError: when awaited: no answer came, for all the step's tries.
        """
        return self.make_fetch(id, ((request,), options), caller(1))

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
        """Go on after so long, at no cost, whatever happens to the process meanwhile.

        Args:
            id: the step's id.
            duration: how long, at most 366 days.
        """
        return self.make_wait(id, sleep_for(id, duration), caller(1))

    def sleep_until(
        self, id: str, when: datetime | int
    ) -> StepCall[None]:  # as above  # the word users know
        """Go on at this moment; one that has passed is over at once, with a warning.

        Args:
            id: the step's id.
            when: a datetime with a time zone, or ms since the epoch, at most 366 days from now.
        """
        return self.make_wait(id, sleep_until(id, when), caller(1))

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
        return self.make_wait(
            id, signal_for(id, signal, timeout, on_conflict=on_conflict), caller(1)
        )

    @overload
    def wait_for_event(
        self,
        id: str,
        event: EventType[T],
        *,
        timeout: Duration,
        match: str | None = None,
        if_: str | None = None,
        since: Literal["run"] | None = None,
    ) -> StepCall[Event[T] | None]: ...
    @overload
    def wait_for_event(
        self,
        id: str,
        event: str,
        *,
        timeout: Duration,
        match: str | None = None,
        if_: str | None = None,
        since: Literal["run"] | None = None,
    ) -> StepCall[Event[dict[str, Any]] | None]: ...
    def wait_for_event(
        self,
        id: str,
        event: EventType[Any] | str,
        *,
        timeout: Duration,
        match: str | None = None,
        if_: str | None = None,
        since: Literal["run"] | None = None,
    ) -> StepCall[Any]:
        """Go on with the next event of this name that meets what is asked; `None` once `timeout` has passed.

        A wait sees every event that was accepted since the run began to do what it does: since it started, or
        last had nothing to do but wait. So an event that comes before the wait is written down is not lost.
        One event wakes all that wait for it.

        Args:
            id: the step's id.
            event: the event's type, or its name.
            timeout: for how long, at most 366 days.
            match: a field that both events must have with the same value, as in `match="data.order_id"`.
            if_: CEL over `event`, which started this run, and `async`, the one that comes, as in
                `if_="async.data.total > event.data.total"`. One that is no CEL fails the run at once.
            since: `"run"`: every event that was accepted since the run was made, which is when its event came (with
                `debounce` or `batch`: when all had), also while the run was queued (`concurrency`, `throttle`) or slept.

        Raises:
            ConfigError: nobody is told of such an event, as of `durable/function.invoked`; or `if_` or `match` reads a
                field that a pydantic model of either event has not.
            SerializationError: when awaited: the event does not fit its type.
        """
        wait = event_for(id, event, timeout, match=match, if_=if_, since=since)
        return self.make_wait(id, wait, caller(1))

    @overload
    def invoke(
        self,
        id: str,
        function: Function[Any, T],
        data: object = None,
        *,
        timeout: Duration = "365d",
    ) -> StepCall[T]: ...
    @overload
    def invoke(
        self, id: str, function: str, data: object = None, *, timeout: Duration = "365d"
    ) -> StepCall[Any]: ...
    def invoke(
        self,
        id: str,
        function: Function[Any, Any] | str,
        data: object = None,
        *,
        timeout: Duration = "365d",
    ) -> StepCall[Any]:
        """Start a run of another function and wait for its result; it goes through that function's flow control.

        Args:
            id: the step's id.
            function: the function, or its id.
            data: what it is given as `ctx.event.data`: an object, or a pydantic model.
            timeout: for how long, at most 366 days.

        Raises:
            InvokeError: when awaited: the run failed or was cancelled, was not let start, or took the data of another call:
                `.reason` is one of `failed`, `cancelled`, `skipped`, `debounced`, `refused`.
            InvokeTimeoutError: when awaited: it has not ended in time; it goes on.
        """
        return self.make_wait(
            id, invocation(id, function, data, timeout=timeout), caller(1)
        )
