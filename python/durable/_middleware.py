"""Middleware: what stands between the engine and a function's code, and what each of its hooks is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from ._bridge import NEVER
from ._failure import retry_of


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from ._events import Event

T = TypeVar("T")


class Origins(Protocol):
    """Finds the runs that a run repeats."""

    async def __call__(self, run_id: str) -> list[str]:
        """Those, the nearest first."""
        ...


class Exits(Protocol):
    """Keeps what a handler's call has opened."""

    async def __call__(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter it; it is left when the call ends."""
        ...


@dataclass(slots=True)
class RunAbout:
    """Which run a hook is called for.

    Attributes:
        id: the run's id.
        function_id: its function's id.
        attempt: which try of the code between steps this is, from 0. Counts also those that a crash cut off.
        tries: how often a step, or the code between steps, is tried at most.
        event_name: the name of the event that started it.
        event_id: the engine's id of that event.
    """

    id: str
    function_id: str
    attempt: int = 0
    tries: int = 1
    event_name: str = ""
    event_id: str = ""
    find_origins: Origins | None = None

    async def origins(self) -> list[str]:
        """The ids of the runs that this one repeats (`engine.runs.rerun`), the nearest first: read from the store."""
        return [] if self.find_origins is None else await self.find_origins(self.id)


@dataclass(frozen=True, slots=True)
class StepAbout:
    """Which step a hook is called for.

    Attributes:
        name: its id, with a counter from the second use on.
        kind: `"run"` for all that call a function, else `"sleep"`, `"wait_for_event"`, `"wait_for_signal"`, `"invoke"`.
        function_id: of a step that invokes: which function.
    """

    name: str
    kind: str = "run"
    function_id: str | None = None


@dataclass(slots=True)
class Call:
    """One call of a handler: from its first line to where it returns, raises or is put aside.

    Attributes:
        run: whose handler is called.
        context: what the handler is given.
    """

    run: RunAbout
    context: Any = None


@dataclass(slots=True)
class Input:
    """What is about to be handed out of the store.

    Attributes:
        kind: `"events"`: a handler is about to be called. `"step"`: a step is answered. `"result"`: somebody
            outside asks for a run's result.
        run: whose it is.
        step: which step is answered.
        events: the events that started the run, their data as plain values. May be replaced, one by one.
        data: the step's or the run's result, as plain values. May be replaced.
        arguments: for `"events"`: what the handler is called with by name beside its context. May be added to.
        context: for `"events"`: what the handler is given.
        handler: for `"events"`: the decorated function itself.
    """

    kind: Literal["events", "step", "result"]
    run: RunAbout
    step: StepAbout | None = None
    events: list[Event[Any]] = field(default_factory=list["Event[Any]"])
    data: Any = None
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    context: Any = None
    handler: Callable[..., Any] | None = None
    exits: Exits | None = None

    async def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """For `"events"`: enter a context that is left when this call of the handler ends.

        Raises:
            RuntimeError: no handler is about to be called.
        """
        if self.exits is None:
            text = "Input.enter is for kind 'events': no handler is about to be called"
            raise RuntimeError(text)
        return await self.exits(manager)


@dataclass(slots=True)
class Execution:
    """What executes now: a stretch of the handler's code, or one attempt of a step.

    Attributes:
        run: whose code it is.
        step: the step that is tried; `None` for a stretch of the handler's code.
        attempt: which try this is, from 0. Counts also those that a crash cut off, which `retries` does not.
        failures: how many tries before this one failed: what decides whether it is the last.
        error: in `after_execution`: what it raised. A `BaseException` that is no `Exception` says that it was cut off.
        comes_to: in `after_execution` of a stretch: the step that the code has come to; `None` where it has ended.
    """

    run: RunAbout
    step: StepAbout | None = None
    attempt: int = 0
    failures: int = field(default=0, kw_only=True)
    error: BaseException | None = None
    comes_to: StepAbout | None = None

    @property
    def is_last(self) -> bool:
        """True where it failed and is not tried again, or would not be if it failed."""
        return self.failures + 1 >= self.run.tries or (
            self.error is not None and retry_of(self.error) == NEVER
        )


@dataclass(slots=True)
class Output:
    """What is about to be stored.

    Attributes:
        run: whose it is.
        step: the step that it came of; `None`: the handler's own result.
        data: what was returned, as plain values. May be replaced.
        error: what was raised. May be replaced, or set to `None`: then `data` is stored as the result.
        attempt: which try it came of, from 0.
    """

    run: RunAbout
    step: StepAbout | None = None
    data: Any = None
    error: Exception | None = None
    attempt: int = 0


@dataclass(slots=True)
class Sending:
    """Events on their way into the engine.

    Attributes:
        events: copies of those that were given to `send`, in order. May be replaced, added to or taken away.
        run: the run whose step sends or invokes; `None` where it is done from outside.
        step: that step.
        function_id: of an invocation: which function. `events` is then one of the name `durable/function.invoked`,
            of which `data` counts.
        ids: in `after_send`: the engine's ids of the events; none for what a step invokes.
        error: in `after_send`: why they were not accepted.
    """

    events: list[Event[Any]]
    run: RunAbout | None = None
    step: StepAbout | None = None
    function_id: str | None = None
    ids: list[str] = field(default_factory=list[str])
    error: BaseException | None = None


@dataclass(slots=True)
class Finished:
    """How a run has ended.

    Attributes:
        status: `"completed"`, `"failed"` or `"cancelled"`.
        result: what a completed one returned, as plain values.
        error: of the others: `name`, `message` and `stack`.
    """

    run: RunAbout
    status: str
    result: Any = None
    error: dict[str, Any] | None = None


class Middleware:
    """Stands between the engine and the code of functions: override what is wanted, plain or `async def`.

    Given to an application it is around all of its functions and around `engine.send`; given to a function around
    that one. The application's come first, then the function's, each in its order; `after_memoization`,
    `after_execution`, `transform_output`, `finished` and `before_send` in reverse: the first is the outermost.

    What raises in a hook fails what it is called for, as code that raises: a step's attempt, a run's, or the `send`.
    `finished` and `after_send` come too late for that: it is logged. Around a plain `def` handler, which is on a
    thread, plain hooks are called on that thread, and `async def` ones on the engine's loop.
    """

    #: True for one that adds to `Input.arguments`: handlers may then ask for more than their context.
    gives_arguments: ClassVar[bool] = False
    #: Of one that encrypts events' data: the fields that the engine can still read, as keys and matches do.
    #: `None`: it leaves all as it is. What a function's settings read beside these is refused.
    clear_fields: Collection[str] | None = None

    def lifespan(self) -> AbstractAsyncContextManager[Any] | None:
        """What is open while an engine is: entered before its first function is called, left after its last."""
        return None

    def transform_input(self, given: Input) -> Awaitable[None] | None:
        """Before the handler is called, with its events; before a step is answered; where a run's result is read."""

    def before_memoization(self, call: Call) -> Awaitable[None] | None:
        """Before the handler is called, each time: remembered steps are gone through from here."""

    def after_memoization(self, call: Call) -> Awaitable[None] | None:
        """Once in each call of the handler: all that is remembered was gone through, new code comes."""

    def before_execution(self, execution: Execution) -> Awaitable[None] | None:
        """Before a stretch of new code of the handler, and before each attempt of a step, in its context."""

    def after_execution(self, execution: Execution) -> Awaitable[None] | None:
        """After it. Not awaited where the code was cut off: there only a plain one is called."""

    def transform_output(self, output: Output) -> Awaitable[None] | None:
        """After each attempt of a step and of a handler: what it returned or raised, before it is stored."""

    def finished(self, end: Finished) -> Awaitable[None] | None:
        """Once for a run, when its end is on disk: at most once, and not where the process died before."""

    def before_send(self, sending: Sending) -> Awaitable[None] | None:
        """Before events are handed to the engine: by `send`, by a step that sends, or as an invocation's data."""

    def after_send(self, sending: Sending) -> Awaitable[None] | None:
        """Once they are on disk, or were refused."""
