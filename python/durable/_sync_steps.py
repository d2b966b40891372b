"""The steps of a plain `def` handler."""

# ruff: noqa: A002  # `id` is the word users know

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from ._making import StepMaker
from ._step import caller
from ._waits import event_for, invocation, signal_for, sleep_for, sleep_until


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import datetime

    import httpx

    from ._duration import Duration
    from ._events import Event, EventType
    from ._fetch import FetchResponse
    from ._function import Function
    from ._inference import SyncAISteps
    from ._signals import Signal


P = ParamSpec("P")
T = TypeVar("T")


class SyncSteps(StepMaker):
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
        call = self.make_send(id, events, caller(1))
        ids: list[str] = self._run.driver.wait_for(call)
        return ids

    def fetch(
        self, id: str, request: httpx.Request | httpx.URL | str, **options: Any
    ) -> FetchResponse:
        """Make an HTTP request and remember the answer, whatever its status. See `Steps.fetch`."""
        call = self.make_fetch(id, ((request,), options), caller(1))
        response: FetchResponse = self._run.driver.wait_for(call)
        return response

    @property
    def ai(self) -> SyncAISteps:
        """Inferences. See `Steps.ai`."""
        from ._inference import SyncAISteps  # noqa: PLC0415  # few need what it imports

        return SyncAISteps(self)

    def sleep(self, id: str, duration: Duration) -> None:  # the word users know
        """Go on after so long (at most 366 days), at no cost, whatever happens to the process meanwhile."""
        call = self.make_wait(id, sleep_for(id, duration), caller(1))
        self._run.driver.wait_for(call)

    def sleep_until(
        self, id: str, when: datetime | int
    ) -> None:  # as above  # the word users know
        """Go on at this moment (a datetime with a time zone, or ms since the epoch), at most 366 days from now."""
        call = self.make_wait(id, sleep_until(id, when), caller(1))
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
        call = self.make_wait(
            id, signal_for(id, signal, timeout, on_conflict=on_conflict), caller(1)
        )
        given: Signal | None = self._run.driver.wait_for(call)
        return given

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
    ) -> Event[T] | None: ...
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
    ) -> Event[dict[str, Any]] | None: ...
    def wait_for_event(
        self,
        id: str,
        event: EventType[Any] | str,
        *,
        timeout: Duration,
        match: str | None = None,
        if_: str | None = None,
        since: Literal["run"] | None = None,
    ) -> Any:
        """Go on with the next event that meets what is asked; `None` once `timeout` has passed.

        See `Steps.wait_for_event`.
        """
        wait = event_for(id, event, timeout, match=match, if_=if_, since=since)
        return self._run.driver.wait_for(self.make_wait(id, wait, caller(1)))

    @overload
    def invoke(
        self,
        id: str,
        function: Function[Any, T],
        data: object = None,
        *,
        timeout: Duration = "365d",
    ) -> T: ...
    @overload
    def invoke(
        self, id: str, function: str, data: object = None, *, timeout: Duration = "365d"
    ) -> Any: ...
    def invoke(
        self,
        id: str,
        function: Function[Any, Any] | str,
        data: object = None,
        *,
        timeout: Duration = "365d",
    ) -> Any:
        """Start a run of another function and wait for its result. See `Steps.invoke`."""
        wait = invocation(id, function, data, timeout=timeout)
        return self._run.driver.wait_for(self.make_wait(id, wait, caller(1)))
