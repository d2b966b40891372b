"""A step as its handler awaits it: asked for once, answered by what is remembered, or executed here."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar, cast

from typing_extensions import override

from ._bridge import (
    STEP_ERROR,
    STEP_PLANNED,
    STEP_RUN,
)
from ._codec import Codec
from ._errors import (
    NonDeterminismError,
    SerializationError,
    StepNotAwaitedError,
    UsageError,
)
from ._events import MisusedError
from ._failure import read_step_error, retry_of, write_error
from ._misfit import error_of_kind, error_of_type
from ._misuse import explained_in_step, misuse_of, unawaited


if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from ._bridge import EventTuple, NewEvent, Op
    from ._function import Function
    from ._layers import Stack
    from ._noticed import Noticed
    from ._step_names import StepNames

T = TypeVar("T")

# Where a call stands.
NEW: int = 0  # made, not awaited
WAITING: int = (
    1  # awaited: for a place to execute, for its confirmation, or for its moment
)
GO: int = 2  # to be executed now, by whoever awaits it
DONE: int = 3  # remembered with a result
FAILED: int = 4  # remembered with an error
DROPPED: int = 5  # nobody waits for it any more

#: The type of a value, which says no more to a type checker than that.
_kind_of: Final[Callable[[Any], Any]] = type

#: What a handler that is driven by hand yields while it waits for a step.
PARK: Final = object()

#: The step whose function executes here, if one does.
CURRENT_STEP: contextvars.ContextVar[StepCall[Any] | None] = contextvars.ContextVar(
    "durable_step", default=None
)
#: The run whose code executes here, if one does.
CURRENT_RUN: contextvars.ContextVar[StepOwner | None] = contextvars.ContextVar(
    "durable_run", default=None
)

#: The frame so many calls up: which line asks for a step.
caller: Final = sys._getframe  # noqa: SLF001  # the quick way, without a whole stack

_HAS_EAGER_TASKS: Final = sys.version_info >= (3, 12)


class Around(Protocol):
    """The middleware around a run's code, as its steps see it."""

    stack: Stack

    async def call(self, given: Any) -> Written:
        """Call the handler with this context."""
        ...

    async def come_to(self, call: StepCall[Any]) -> None:
        """The code awaits a step."""
        ...

    async def go_on(self, call: StepCall[Any]) -> None:
        """The step is answered."""
        ...

    async def execute(
        self, call: StepCall[Any], function: Callable[[], Awaitable[Any]]
    ) -> bytes:
        """Try the step."""
        ...

    async def send(self, call: StepCall[Any], given: Any) -> list[str]:
        """Send events from inside the step."""
        ...


class StepOwner(Protocol):
    """The run that a step belongs to, as its code sees it."""

    id: str
    function: Function[Any, Any]
    event_tuples: tuple[EventTuple, ...]
    attempt: int
    is_dropped: bool
    names: StepNames
    unawaited: dict[str, StepCall[Any]]
    unmet: set[str] | None
    driver: Any

    @property
    def layered(self) -> Around | None:
        """What stands between it and its code."""
        ...

    @property
    def worker(self) -> StepHome:
        """Where it executes."""
        ...

    def own_data(self) -> Any:
        """The data of the event that started it, to be looked at and not to be changed."""
        ...

    def begin(self, call: StepCall[Any]) -> None:
        """A step is awaited."""
        ...

    def lose(self, call: StepCall[Any]) -> None:
        """Nobody awaits it any more."""
        ...

    def know_task(self, task: asyncio.Task[Any]) -> None:
        """One of its tasks, where those that it waits for cannot be seen."""
        ...

    def report_step(
        self, call: StepCall[Any], op: Op, raised: BaseException | None = None
    ) -> None:
        """Its function has returned, or raised this."""
        ...

    def complete(self, value: object) -> None:
        """The handler returned."""
        ...

    def fail(self, error: BaseException) -> None:
        """The handler raised."""
        ...

    def drop(self) -> None:
        """Forget the live code."""
        ...


class StepHome(Protocol):
    """What a step needs of the worker that executes it."""

    loop: asyncio.AbstractEventLoop
    forgets: bool
    noticed: Noticed

    def on_thread(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        """Call this on a thread."""
        ...

    def send(self, events: list[NewEvent]) -> asyncio.Future[list[str]]:
        """Have these events accepted, all or none."""
        ...

    async def publish(self, channel: str, topic: str, data: bytes) -> str:
        """Publish a message."""
        ...

    def publish_wait(self, channel: str, topic: str, data: bytes) -> str:
        """Publish a message, on another thread."""
        ...

    def function_ids(self) -> list[str]:
        """What it executes."""
        ...


class Written:
    """A handler's result that is JSON already."""

    __slots__ = ("json",)

    def __init__(self, json: bytes) -> None:
        self.json = json


class StepCall(Coroutine[Any, Any, T]):
    """One use of a step. Awaitable once; `asyncio` may make a task of it.

    Its function executes inside of whoever awaits it, so that cancellation, context variables and the
    current task are what they would be if the function were awaited directly.
    """

    #: What kind of step it is, as a memo names it.
    kind: ClassVar[str] = "run"

    __slots__ = (
        "__weakref__",
        "_generator",
        "args",
        "attempt",
        "codec",
        "data",
        "epoch",
        "failures",
        "function",
        "is_blocking",
        "is_outward",
        "is_same",
        "kwargs",
        "line",
        "name",
        "recorded",
        "run",
        "state",
        "task",
        "value",
        "waiter",
    )

    def __init__(  # noqa: PLR0917  # each is one thing its maker has at hand
        self,
        run: StepOwner,
        name: str,
        frame: FrameType,
        function: Callable[..., Any] | None = None,
    ) -> None:
        self.run = run
        self.name = name
        self.function = function
        self.line = (frame.f_code, frame.f_lasti)
        self.state: int = NEW
        self.attempt = self.failures = 0
        self.epoch: int | None = None  # its own, where it has a slot of its own
        self.waiter: asyncio.Future[None] | None = None
        self.task: object = None  # whose await it is; None: the handler's own
        self.data: bytes | None = None
        self.value: T | None = None
        self.is_same = False  # `value` is what a replay would give
        self.is_outward = (
            False  # others see at once what it does: it waits for what came before it
        )
        self.recorded: str | None = (
            None  # as what it is remembered, where that is another kind
        )
        self._generator: Generator[Any, Any, T] | None = None

    def will_call(
        self,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        codec: Codec[T],
        *,
        is_blocking: bool,
    ) -> None:
        """Say how its function is called, and what it returns."""
        self.args, self.kwargs = arguments
        self.codec = codec
        self.is_blocking = is_blocking

    if not TYPE_CHECKING:  # checkers refuse it

        def __getitem__(self, _part: object) -> None:
            raise MisusedError(unawaited("'StepCall' object is not subscriptable"))

    @override
    def __await__(self) -> Generator[Any, Any, T]:  # noqa: C901, PLR0912  # one table of cases
        run = self.run
        if self.state != NEW:
            text = f"step '{self.name}' is awaited twice: await it once and keep its result"
            raise UsageError(text)
        layered = run.layered
        if layered is not None:
            yield from layered.come_to(self).__await__()
        run.begin(self)
        try:
            while True:
                state = self.state
                if layered is not None and state in {DONE, FAILED}:
                    yield from layered.go_on(self).__await__()
                if state == DONE:
                    return self._answer()
                if state == FAILED:
                    raise self.error()
                if state == GO:
                    self.state = WAITING
                    yield from self._execute()
                elif self.task is None:
                    yield PARK
                else:
                    self.waiter = run.worker.loop.create_future()
                    yield from self.waiter
        finally:
            if self.state < DONE:
                self.state = DROPPED
                run.lose(self)

    def is_driven_by_hand(self) -> bool:
        """True where the awaiter is the handler itself, and not a task it made."""
        driver = self.run.driver
        return driver.is_stepping and (
            not _HAS_EAGER_TASKS or asyncio.current_task() is driver
        )

    def _execute(self) -> Generator[Any, Any, None]:
        """Call the function here and report what came of it."""
        run = self.run
        token = CURRENT_STEP.set(self)
        try:
            if run.layered is None:
                value = yield from self._call()
                self.is_same = self.codec.is_same_after(value)
                data = self.data = self.codec.write(value, "result")
            else:
                value = None
                function = cast("Callable[[], Awaitable[T]]", self._call)
                data = yield from run.layered.execute(self, function).__await__()
                self.data = data
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise  # the process ends, or the run is dropped: the step is executed again
        except asyncio.CancelledError as error:
            if run.is_dropped or _is_cancelled():
                raise  # whoever awaits the step was called off
            op: Op = (STEP_ERROR, self.name, write_error(error), None)
            run.report_step(self, op, error)
        except BaseException as error:  # noqa: BLE001  # every error of a step is kept
            run.report_step(self, self.failure(error), error)
        else:
            self.value = cast("T", value)
            run.report_step(self, (STEP_RUN, self.name, data))
        finally:
            CURRENT_STEP.reset(token)

    def _call(self) -> Generator[Any, Any, T]:
        function: Any = self.function
        if self.is_blocking:
            thread = self.run.worker.on_thread(function, self.args, self.kwargs)
            return cast("T", (yield from thread))
        value: Any = function(*self.args, **self.kwargs)
        if _kind_of(value) is CoroutineType:
            return cast("T", (yield from value))
        if hasattr(value, "__await__"):
            return cast("T", (yield from value.__await__()))
        return cast("T", value)

    def failure(self, raised: BaseException) -> Op:
        """What is reported of an error that calling its function came to."""
        error: BaseException = raised
        if type(raised) is TypeError:
            error = misuse_of(self, raised) or raised
        if isinstance(error, TypeError | AttributeError):
            error = explained_in_step(error, self.run.function.id)
        if isinstance(raised, SerializationError):
            error = raised.of_function(self.run.function.id)
        error.add_note(f"in step '{self.name}' of function '{self.run.function.id}'")
        return (STEP_ERROR, self.name, write_error(error), retry_of(error))

    def take_memo(self, kind: str, *, is_error: bool, data: bytes) -> None:
        """It is remembered now, or was before: as a step of this kind."""
        if kind != self.kind:
            self.recorded = kind
            self.state = DONE
            return
        if is_error or self.data is None:
            self.data = data
            self.is_same = False
        self.state = FAILED if is_error else DONE

    def answer(self) -> T:
        """What whoever awaits it is given.

        Raises:
            NonDeterminismError: what is remembered does not fit the code, which has changed.
        """
        if self.recorded is not None:
            raise error_of_kind(self, self.recorded)
        try:
            return self.result()
        except NonDeterminismError as error:
            raise error_of_type(self, error) from None

    def _answer(self) -> T:
        try:
            return self.answer()
        except NonDeterminismError as error:
            self.run.fail(error)  # whatever the code would make of it
            raise asyncio.CancelledError from None

    def result(self) -> T:
        """What a replay would give."""
        if self.is_same:
            return cast("T", self.value)
        return self.codec.read(self.data or b"null")

    def error(self) -> Exception:
        """What whoever awaits it is told where it has failed."""
        return read_step_error(self.name, self.data or b"{}")

    def plan(self) -> Op:
        """The op that asks for a slot of its own."""
        return (STEP_PLANNED, self.name)

    @property
    def is_done(self) -> bool:
        """True where it is remembered with a result."""
        return self.state == DONE

    @property
    def is_wait(self) -> bool:
        """True where it only waits: for a moment, or for something to happen."""
        return self.function is None

    def wake(self) -> None:
        """Let whoever awaits it look at its state again."""
        waiter = self.waiter
        if waiter is None:
            self.run.driver.wake()
        elif not waiter.done():
            waiter.set_result(None)

    def where(self) -> str:
        """The line that made it, as in `shop.py:12`."""
        code, instruction = self.line
        for start, end, line in code.co_lines():
            if start <= instruction < end and line is not None:
                return f"{code.co_filename}:{line}"
        return f"{code.co_filename}:{code.co_firstlineno}"

    # What makes asyncio take it for a coroutine.

    @override
    def send(self, value: Any, /) -> Any:
        """Go on."""
        if self._generator is None:
            self._generator = self.__await__()
        return self._generator.send(value)

    @override
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Go on with an exception."""
        if self._generator is None:
            self._generator = self.__await__()
            self.run.lose(self)
            self.state = DROPPED
        if val is None and tb is None:
            return self._generator.throw(typ)
        return self._generator.throw(typ, val, tb)

    @override
    def close(self) -> None:
        """Give up."""
        if self._generator is not None:
            self._generator.close()
        elif self.state == NEW:
            self.state = DROPPED
            self.run.lose(self)


# Lets its `yield from` take a coroutine as it is, without an iterator around it.
types.coroutine(cast("Any", StepCall)._call)  # noqa: SLF001  # it is ours


def error_of_unawaited(
    function_id: str, calls: Iterable[StepCall[Any]]
) -> StepNotAwaitedError:
    """What a handler is told that returned without awaiting these."""
    places = ", ".join(f"step '{call.name}' ({call.where()})" for call in calls)
    text = (
        f"function '{function_id}' returned, but {places} was never awaited, so it never ran: write "
        "`await` before it, or give it to asyncio.gather or a TaskGroup"
    )
    return StepNotAwaitedError(text)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
