"""Makes step calls: names them, checks their arguments, notes their line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ._codec import codec_of
from ._errors import NestedStepError, UsageError
from ._sending import encode_for_step
from ._setting import wrong_id
from ._step import CURRENT_STEP, StepCall, StepOwner
from ._waits import Wait


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from ._events import Event
    from ._fetch import FetchResponse


T = TypeVar("T")

_AS_IN: Final = "as in ctx.step.run('charge', charge_card, order_id)"


class StepMaker:
    """Makes step calls: names them, checks their arguments, notes their line."""

    __slots__ = ("_is_blocking", "_run")

    def __init__(self, run: StepOwner, *, is_blocking: bool = False) -> None:
        self._run = run
        self._is_blocking = is_blocking

    if not TYPE_CHECKING:  # checkers refuse it

        def __call__(self, *_given: object, **_named: object) -> None:
            text = f"ctx.step is not called, its methods are: {_AS_IN[6:]}"
            raise UsageError(text)

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
        name = self._name(step_id, frame)
        if function is None or not _is_callable(function):
            text = (
                f"step '{step_id}': {function!r} is no function; give the function and its arguments "
                f"apart, {_AS_IN}"
            )
            raise UsageError(text)
        return self._call(name, function, arguments, frame)

    def make_named(
        self, name: str, function: Callable[..., Any], frame: FrameType
    ) -> StepCall[Any]:
        """A step whose name was taken before, out of `names`: where the order of use is not that of the replays."""
        return self._call(name, function, ((), {}), frame)

    def _call(  # noqa: PLR0917  # as above
        self,
        name: str,
        function: Callable[..., Any],
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        frame: FrameType,
    ) -> StepCall[Any]:
        found: Any = getattr(function, "__durable_step__", function)
        run = self._run
        call: StepCall[Any] = StepCall(run, name, frame, found)
        call.will_call(arguments, codec_of(found), is_blocking=self._is_blocking)
        run.unawaited[name] = call
        return call

    def make_send(
        self,
        step_id: str,
        events: Event[Any] | Iterable[Event[Any]],
        frame: FrameType,
    ) -> StepCall[list[str]]:
        """One use of a step that sends events."""
        run = self._run
        given = [*events] if isinstance(events, Iterator) else events  # for each try

        async def send() -> list[str]:
            if run.layered is not None and run.layered.stack.sends:
                return await run.layered.send(call, given)
            return await run.worker.send(encode_for_step(given, run.id, call.name))

        call: StepCall[list[str]] = self.make(step_id, send, ((), {}), frame)
        call.is_outward = True
        return call

    def make_fetch(
        self,
        step_id: str,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        frame: FrameType,
    ) -> StepCall[FetchResponse]:
        """One use of a step that makes a request."""
        from ._fetch import fetch  # noqa: PLC0415  # few need what it imports

        call: StepCall[FetchResponse] = self.make(step_id, fetch, arguments, frame)
        return call

    def make_publish(
        self, message: tuple[str, str, bytes], frame: FrameType
    ) -> StepCall[str]:
        """One use of a step that publishes, named after the topic; `message`: channel, topic, JSON."""
        publish, name = self._run.worker.publish, f"publish {message[1]}"
        call: StepCall[str] = self.make(name, publish, (message, {}), frame)
        call.is_outward = True
        return call

    def make_wait(
        self,
        step_id: str,
        wait: Wait[T],
        frame: FrameType,
    ) -> StepCall[T]:
        """One use of a step that waits."""
        name = self._name(step_id, frame)
        call = wait(self._run, name, frame)
        self._run.unawaited[name] = call
        return call

    def _name(self, step_id: str, frame: FrameType) -> str:
        outer = CURRENT_STEP.get()
        if outer is not None:
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            text = (
                f"step '{step_id}' ({where}) is used inside step '{outer.name}' of function "
                f"'{self._run.function.id}': call its function directly, or move it out"
            )
            raise NestedStepError(text)
        if not step_id or not _is_text(step_id):
            text = f"a step's id is a text that is not empty, not {step_id!r}: give it first, {_AS_IN}"
            raise UsageError(text)
        if problem := wrong_id("step", "an id", step_id):
            raise UsageError(problem)
        return self._run.names.next(step_id)


_is_callable: Callable[[object], bool] = callable


def _is_text(value: object) -> bool:
    return isinstance(value, str)
