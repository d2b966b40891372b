"""Plain `def` handlers and blocking steps: the threads they run on, and the way back to the loop.

A plain handler runs on a thread for as long as it executes. Where it must wait for longer (a sleep, a
retry) its thread is unwound by an exception that no `except Exception` catches, and the handler is called
again when there is more to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections import deque
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._bridge import STEP_RUN
from ._context import SyncContext
from ._engine_settings import default_threads
from ._errors import NonDeterminismError
from ._layers import drive
from ._outside import watched
from ._step import (
    CURRENT_STEP,
    DONE,
    DROPPED,
    FAILED,
    GO,
    NEW,
    WAITING,
    StepCall,
    StepOwner,
)


if TYPE_CHECKING:
    from collections.abc import Callable

    from ._step import Around


T = TypeVar("T")


class _Unwind(BaseException):
    """Leaves a plain handler whose run waits."""


class Threads:
    """A pool of threads, and one wake-up of the loop for all that they finish meanwhile."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        count: int | None,
    ) -> None:
        self._loop = loop
        self._context = context
        self._pool = _Pool(count or default_threads())
        self._finished: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()
        self._is_due = False

    def submit(self, function: Callable[[], object]) -> None:
        """Run this on a thread."""
        self._pool.submit(function)

    def call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        """Call this on a thread, with the caller's context variables."""
        future: asyncio.Future[Any] = self._loop.create_future()
        context = contextvars.copy_context()

        def execute() -> None:
            try:
                value = context.run(function, *args, **kwargs)
            except BaseException as error:  # it is the step's to explain  # noqa: BLE001
                raised = _portable(error)
                self.post(lambda: _fail(future, raised))
            else:
                self.post(lambda: _settle(future, value))

        self.submit(execute)
        return future

    def post(self, call: Callable[[], object]) -> None:
        """From a thread: have this called on the loop. Dropped where the loop is closed."""
        with self._lock:
            self._finished.append(call)
            if self._is_due:
                return
            self._is_due = True
        try:
            self._loop.call_soon_threadsafe(self._call_finished, context=self._context)
        except RuntimeError:
            self._finished.clear()

    def _call_finished(self) -> None:
        with self._lock:
            calls, self._finished = self._finished, deque()
            self._is_due = False
        for call in calls:
            call()

    def close(self) -> None:
        """Start nothing more; what runs, runs out."""
        self._pool.shutdown()


class _Pool:
    """Threads that a process does not wait for when it ends, made when there is work for one more.

    `ThreadPoolExecutor` joins its threads at exit: a handler that waits there for a loop which is closed
    would keep the process for ever. What is cut off is executed again at the next start.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._idle = threading.Semaphore(0)
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def submit(self, function: Callable[[], object]) -> None:
        """Run this on a thread; its errors are its own business."""
        self._work.put(function)
        if not self._idle.acquire(blocking=False) and self._count < self._limit:
            self._count += 1
            name = f"durable_{self._count}"
            threading.Thread(target=self._execute, name=name, daemon=True).start()

    def shutdown(self) -> None:
        """Start nothing more; what runs, runs out."""
        with contextlib.suppress(Empty):
            while True:
                self._work.get_nowait()
        self._work.put(None)

    def _execute(self) -> None:
        while (function := self._work.get()) is not None:
            function()
            del function
            self._idle.release()
        self._work.put(None)  # for the next thread


def _settle(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _portable(error: BaseException) -> BaseException:
    """What a step on a thread raised, as the loop may see it: only the main thread ends a process."""
    if isinstance(error, Exception):
        return error
    stand_in = RuntimeError(f"{type(error).__name__} on a thread: {error}")
    stand_in.__cause__ = error
    return stand_in


class ThreadDriver:
    """A plain handler on its thread. The loop sees of it what it sees of a `Driver`."""

    __slots__ = (
        "_call",
        "_context",
        "_given",
        "_signal",
        "has_begun",
        "is_done",
        "is_stepping",
        "run",
        "threads",
    )

    def __init__(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        run: StepOwner,
        threads: Threads,
        given: SyncContext[Any],
        context: contextvars.Context,
    ) -> None:
        self.run = run
        self.threads = threads
        self.is_stepping = True  # whoever awaits a step is the handler itself
        self.is_done = False
        self.has_begun = False  # there may be no thread free for it
        self._given = given
        self._context = context
        self._call: StepCall[Any] | None = None
        self._signal = threading.Event()

    # --- on the loop

    def step(self) -> None:
        """Call the handler."""
        self.threads.submit(self._execute)

    @property
    def is_at_step(self) -> bool:
        """True where it waits for a step."""
        call = self._call
        return call is not None and call.state == WAITING

    def wake(self) -> None:
        """Let the thread look at its step again."""
        self._signal.set()

    def close(self) -> None:
        """Unwind the thread when it comes to a step next."""
        self.is_done = True
        if self._call is not None and self._call.state <= WAITING:
            self._call.state = DROPPED
        self._signal.set()

    #: A thread is not cancelled: what it does runs out, and counts for nothing.
    call_off = close

    def _begin(self, call: StepCall[Any]) -> None:
        if self.is_done:
            call.state = DROPPED
        else:
            self._call = call
            self.run.begin(call)
        if call.state != WAITING:
            self._signal.set()

    def _report(
        self, call: StepCall[Any], op: Any, raised: BaseException | None
    ) -> None:
        if not self.is_done:
            self._call = call
            self.run.report_step(call, op, raised)
        else:
            call.state = DROPPED
        if call.state != WAITING:
            self._signal.set()

    def _settle(self, settle: Callable[[Any], None], value: Any) -> None:
        if not self.is_done:
            self.is_done = True
            settle(value)

    # --- on the thread

    def _execute(self) -> None:
        post, run = self.threads.post, self.run
        if self.is_done:
            return
        self.has_begun = True
        layered, code = run.layered, run.function.handler
        if layered is not None:
            code = partial(_call_through, layered)
        if run.worker.forgets:
            code = watched(run.function, code)
        try:
            value = self._context.run(code, self._given)
        except _Unwind:
            pass
        except BaseException as error:  # how a handler fails is its own business  # noqa: BLE001
            failed = error
            post(lambda: self._settle(run.fail, failed))
        else:
            post(lambda: self._settle(run.complete, value))

    def wait_for(self, call: StepCall[T]) -> T:  # noqa: C901  # one table of cases
        """Block until the step is remembered."""
        if call.state != NEW:
            raise _Unwind
        layered = self.run.layered
        if layered is not None:
            drive(layered.come_to(call))
        call.state = WAITING
        self._signal.clear()
        self.threads.post(lambda: self._begin(call))
        while (
            not self.is_done
        ):  # once closed, the loop may never look at the call again
            self._signal.wait()
            self._signal.clear()
            if layered is not None and call.state in {DONE, FAILED}:
                drive(layered.go_on(call))
            if call.state == DONE:
                return self._answer(call)
            if call.state == FAILED:
                raise call.error()
            if call.state == DROPPED:
                raise _Unwind
            if call.state == GO:
                self._execute_step(call)
        raise _Unwind

    def _answer(self, call: StepCall[T]) -> T:
        try:
            return call.answer()
        except (
            NonDeterminismError
        ) as error:  # it ends the run, whatever the code would make of it
            raise self.give_up(error) from None

    def give_up(self, error: Exception) -> BaseException:
        """Have the run fail with this; what the code is told, which is not to go on."""
        self.threads.post(lambda: self._settle(self.run.fail, error))
        return _Unwind()

    def _execute_step(self, call: StepCall[Any]) -> None:
        token = CURRENT_STEP.set(call)
        op: tuple[Any, ...]
        raised: BaseException | None = None
        try:
            value = self._try_step(call)
        except BaseException as error:  # every error of a step is kept  # noqa: BLE001
            op, raised = call.failure(error), error
        else:
            call.value = value
            op = (STEP_RUN, call.name, call.data)
        finally:
            CURRENT_STEP.reset(token)
        call.state = WAITING
        self.threads.post(lambda: self._report(call, op, raised))

    def _try_step(self, call: StepCall[Any]) -> Any:
        layered = self.run.layered
        if layered is None:
            value = self._call_function(call)
            call.is_same = call.codec.is_same_after(value)
            call.data = call.codec.write(value, "result")
            return value

        async def function() -> Any:
            return self._call_function(call)

        call.data = drive(layered.execute(call, function))
        return None

    def _call_function(self, call: StepCall[Any]) -> Any:
        function = cast("Callable[..., Any]", call.function)
        value = function(*call.args, **call.kwargs)
        if inspect.isawaitable(value):
            loop = self.run.worker.loop
            return asyncio.run_coroutine_threadsafe(_await(value), loop).result()
        return value

    def cancel(self, msg: str | None = None) -> bool:
        """Threads cannot be cancelled."""
        del msg
        return False


def _call_through(layered: Around, given: Any) -> Any:
    """Call a handler with its middleware around it."""
    return drive(layered.call(given))


async def _await(value: Any) -> Any:
    return await value
