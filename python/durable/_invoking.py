"""The part of an engine that starts a run of one function and waits for its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Never, TypeVar, overload

from ._codec import write_object
from ._errors import (
    InvokeError,
    InvokeTimeoutError,
    NotFoundError,
    RunCancelled,
    UsageError,
)
from ._failure import read_error
from ._function import function_id_of, refuse_event
from ._layered import invoke_through, outcome_through
from ._setting import Place, near


if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._duration import Duration
    from ._function import Function
    from ._layers import Stack
    from ._session import Session

T = TypeVar("T")


def _unknown_argument(unknown: Mapping[str, object]) -> UsageError:
    fields = ", ".join(f"{name!r}: ..." for name in unknown)
    names = ", ".join(f"{name}=" for name in unknown)
    text = (
        f"engine.invoke: {names} is no argument: what a function is given is one object, as in "
        f"engine.invoke(function, {{{fields}}}), or a model"
    )
    return UsageError(text)


class Invoking(ABC):
    """What starts runs by their functions."""

    stack: Stack
    _functions: dict[str, Function[Any, Any]]

    @property
    @abstractmethod
    def session(self) -> Session:
        """What the open engine has."""

    def find_function(self, function_id: str) -> Function[Any, Any] | None:
        """A function of this engine's apps."""
        return self._functions.get(function_id)

    @overload
    async def invoke(
        self,
        function: Function[Any, T],
        data: object = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109  # what is waited for goes on
    ) -> T: ...
    @overload
    async def invoke(
        self,
        function: str,
        data: object = None,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109  # what is waited for goes on
    ) -> Any: ...
    async def invoke(
        self,
        function: Function[Any, Any] | str,
        data: object = None,
        *,
        timeout: Duration | None = None,  # the run outlives the wait  # noqa: ASYNC109  # what is waited for goes on
        **unknown: Never,
    ) -> Any:
        """Start a run of one function and wait for its result.

        Args:
            function: the function, or its id.
            data: what it is given as `ctx.event.data`: an object, or a model.
            timeout: for how long to wait.
            unknown: nothing; what the function is given is one object.

        Raises:
            InvokeError: the run failed, flow control let it not start, or a debounce took a later call.
            RunCancelled: it was called off.
            InvokeTimeoutError: it has not ended within `timeout`; it goes on.
            NotFoundError: no app of this store has such a function.
            UsageError: it is no durable function, and no id of one; or the data is a whole event, or more than one thing.
        """
        name = function_id_of(function, "engine.invoke")
        if unknown:
            raise _unknown_argument(unknown)
        refuse_event(data, "engine.invoke", "engine.invoke(function, event.data)")
        timeout_s = None
        if timeout is not None:
            timeout_s = Place("invoke", "timeout").duration_ms(timeout) / 1000
        worker = self.session.worker
        given: object = {} if data is None else data
        json = write_object(given, "data", f"engine.invoke('{name}')")
        try:
            run_id, event_id = await self._ask_for(name, json)
        except NotFoundError as error:
            text = f"{error}{near(name, self._functions)}"
            raise NotFoundError(text) from None
        try:
            status, ending, kept = await self._ending_of(run_id, timeout_s)
        except TimeoutError:
            text = (
                f"run {run_id} of '{name}' has not ended within {timeout}; it goes on"
            )
            raise InvokeTimeoutError(text, run_id=run_id) from None
        known = self.find_function(name)
        if kept != event_id and (known is None or "debounce" in known.flow):
            text = f"run {run_id} of '{name}' took the data of a later call: `debounce` keeps the last"
            raise InvokeError(text, run_id=run_id)
        if known is not None and status == "completed":
            find = worker.origins_of
            ending = await outcome_through(known.stack, run_id, name, ending, find)
        return self._outcome(name, run_id, status, ending)

    async def _ending_of(
        self, run_id: str, timeout_s: float | None
    ) -> tuple[str, bytes, str]:
        """Wait for the end of a run that `invoke` has started."""
        return await self.session.worker.ending_of(run_id, timeout_s)

    async def _ask_for(self, name: str, json: bytes) -> tuple[str, str]:
        ask = partial(self.session.worker.ask, name, is_signal=False)
        started: tuple[str, str]
        if self.stack.sends:
            started = await invoke_through(self.stack, name, json, ask)
        else:
            started = await ask(json)
        return started

    def _outcome(self, name: str, run_id: str, status: str, json: bytes) -> object:  # noqa: PLR0917  # each is one thing the caller has at hand
        if status == "completed":
            known = self.find_function(name)
            if known is None:
                text = f"function '{name}' is in the store, but not in the apps of this engine"
                raise NotFoundError(text)
            return known.codec.read(json)
        error = read_error(json)
        kind, what = InvokeError, f"failed: {error['name']}"
        if status == "cancelled":
            kind, what = RunCancelled, "was cancelled"
        text = f"run {run_id} of '{name}' {what}: {error['message']}"
        raise kind(text, run_id=run_id, name=error["name"], message=error["message"])
