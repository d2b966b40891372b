"""One call of a function: its code, from the top to where it waits next, and what it asked for meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from typing_extensions import override

from .._bridge import NEVER, RUN_COMPLETE, RUN_ERROR, STEP_ERROR, STEP_RUN
from .._ends import Ends
from .._execution import LiveRun
from .._step_names import StepNames
from .._threads import ThreadDriver, Threads
from .calls import DATA, ERROR, EVENT, NULL
from .names import hash_of


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from .._bridge import NewEvent, Op, Report
    from .._context import SyncContext
    from .._function import Function
    from .._noticed import Noticed
    from .._step import StepCall
    from .calls import Called

#: What is cleaned up behind a call may take so long, s.
_GRACE_S: Final = 5.0
_EPOCH: Final = 1
#: By the shape of a memo: the kinds of steps that it fits, the likeliest first.
_KINDS: Final = {
    NULL: ("sleep", "wait_for_event", "wait_for_signal"),
    DATA: ("run", "invoke", "wait_for_signal"),
    ERROR: ("run", "invoke"),
    EVENT: ("wait_for_event",),
}
#: What the reference calls an invocation that did not end in time.
_LATE: Final = "InngestInvokeTimeoutError"


class Outside(Protocol):
    """What a call needs of the process that it is in."""

    noticed: Noticed

    def function_ids(self) -> list[str]:
        """The functions that there are."""
        ...

    def send_encoded(self, events: Sequence[NewEvent]) -> list[str]:
        """Have the server accept events. Blocks."""
        ...

    def publish(self, channel: str, topic: str, data: bytes) -> str:
        """Have the server publish a message. Blocks."""
        ...


class _ToldNames(StepNames):
    """Names of steps, each told when it is taken."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    @override
    def next(self, step_id: str) -> str:
        """The name of the next use of this id."""
        name = super().next(step_id)
        self._tell(name)
        return name


class CalledRun(LiveRun):
    """A run that is called over HTTP: what is remembered comes under hashes, and what else is pending is not known."""

    __slots__ = ("has_asked", "is_targeted", "plans_only")

    def __init__(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        worker: Call,
        run_id: str,
        function: Function[Any, Any],
        events: Any,
    ) -> None:
        super().__init__(worker, run_id, function, events)
        self.names = _ToldNames(self._recognise)
        self.ahead = None  # what it asks for is on disk before it is called again
        self.plans_only = worker.called.plans_only
        self.is_targeted = worker.called.step is not None
        self.has_asked = False

    def _recognise(self, name: str) -> None:
        """The code has a step of this name: what was said of its hash is about it."""
        hashed = hash_of(name)
        if self.unmet is not None and hashed in self.unmet:
            self.unmet.remove(hashed)
            self.unmet.add(name)
        if (memo := self.memos.pop(hashed, None)) is not None:
            self.memos[name] = memo
        elif (target := self.targets.pop(hashed, None)) is not None:
            self.targets[name] = target
        elif self.is_targeted:
            self.pending.add(name)  # another call's business

    @override
    def begin(self, call: StepCall[Any]) -> None:
        memo = self.memos.get(call.name)
        if memo is not None and memo[1] in _KINDS:
            place, shape, is_error, data = memo
            kinds = _KINDS[shape]
            kind = call.kind if call.kind in kinds else kinds[0]
            if is_error and kind == "invoke":
                data = _invoke_error(data)
            self.memos[call.name] = place, kind, is_error, data
        super().begin(call)

    @override
    def _executes_here(self, ready: list[StepCall[Any]]) -> list[StepCall[Any]]:
        # What else was asked for is to begin at once: it is known to the server when this call is over.
        if self.plans_only or self.has_asked or len(ready) > 1:
            return []
        return super()._executes_here(ready)

    @override
    def _report(self, ops: list[Op], parked_at: int | None) -> None:
        self.has_asked = self.has_asked or bool(ops)
        super()._report(ops, parked_at)


class Call:
    """One call: all that a run's code needs of a worker, for as long as it lasts."""

    forgets = False
    is_draining = False

    def __init__(
        self, outside: Outside, function: Function[Any, Any], called: Called
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()
        self.noticed = outside.noticed
        self.called = called
        self.ops: list[Op] = []
        self._outside = outside
        self._function = function
        self._run: CalledRun | None = None
        self._over: asyncio.Future[None] = self.loop.create_future()
        self._is_due = self._is_over = False
        self._threads: Threads | None = None
        self._ending: asyncio.Future[tuple[str, bytes, str]] | None = None
        self._ends = Ends(self._watch, self.loop)
        self.watch_end = self._ends.watch
        self.clean_up: Callable[[Coroutine[Any, Any, None]], None]
        self.clean_up = self._ends.clean_up

    async def answer(self) -> list[Op]:
        """Execute the code to where it waits next: what it asks for, or how it ended."""
        self.loop.call_soon(self._attempt, self._begin, context=self.context)
        try:
            await self._over
        finally:
            if self._run is not None:
                self._run.drop(is_called_off=not self._is_over)
            if self._threads is not None:
                self._threads.close()
        await self._tell_of_end()
        await self._ends.settle(_GRACE_S)
        return self.ops

    def _begin(self) -> None:
        called, memos = self.called, self.called.memos
        run = CalledRun(self, called.run_id, self._function, called.events)
        self._run = run
        attempts = (called.attempt, 0, called.attempt)
        pending = [] if called.step is None else [called.step]
        run.take_work(called.step, _EPOCH, attempts, (len(memos), memos, pending))

    def _attempt(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # whoever waits is to hear of it  # noqa: BLE001
            if not self._over.done():
                self._over.set_exception(error)

    def _look(self) -> None:
        """The end of a pass: see to what became ready in it."""
        self._is_due = False
        run = self._run
        if run is not None and run.is_marked and not self._is_over:
            run.decide()
        if self._is_over and not self._over.done():
            self._over.set_result(None)

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._attempt, self._look, context=self.context)

    def _finish(self) -> None:
        self._is_over = True
        self._schedule()

    # --- what the run asks

    def is_ending(self) -> bool:
        """True where the call is called off: what is cancelled then is not the code's own wish."""
        return self._over.cancelled()

    def clock(self) -> float:
        """Seconds, from anywhere."""
        return time.monotonic()

    def mark(self, run: LiveRun) -> None:
        """Have it decide at the end of the pass."""
        del run
        self._schedule()

    def report(self, report: Report) -> None:
        """Say this to the server; what ends the call ends it."""
        _, _, _, ops, parked_at = report
        if self._is_over:
            return
        self.ops.extend(ops)
        has_ended = any(op[0] in _ENDS for op in ops) or parked_at is not None
        if has_ended or self.called.step is not None:
            self._finish()

    def park(self, run: LiveRun) -> None:
        """All of it waits."""
        del run
        self._finish()

    def want_slot(self, run: LiveRun) -> None:
        """Its code, called for one step, goes on behind it: that is for another call."""
        del run
        self._finish()

    def renew(self, run: LiveRun) -> LiveRun:
        """Its code is never put aside within a call."""
        return run

    def forget(self, run: LiveRun, *, is_live: bool) -> None:
        """Its handler has ended."""
        del run, is_live
        self._finish()

    def function_ids(self) -> list[str]:
        """The functions that there are."""
        return self._outside.function_ids()

    # --- threads

    def on_thread(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        """Call this on a thread."""
        return self._on_threads().call(function, args, kwargs)

    def thread_driver(
        self, run: LiveRun, given: SyncContext[Any], context: contextvars.Context
    ) -> ThreadDriver:
        """Call a plain handler on a thread."""
        return ThreadDriver(run, self._on_threads(), given, context)

    def _on_threads(self) -> Threads:
        if self._threads is None:
            self._threads = Threads(self.loop, self.context, None)
        return self._threads

    # --- the server

    def send(self, events: list[NewEvent]) -> asyncio.Future[list[str]]:
        """Have these events accepted, all or none."""
        sending = asyncio.to_thread(self._outside.send_encoded, events)
        return self.loop.create_task(sending)

    async def publish(self, channel: str, topic: str, data: bytes) -> str:
        """Publish a message."""
        return await asyncio.to_thread(self._outside.publish, channel, topic, data)

    def publish_wait(self, channel: str, topic: str, data: bytes) -> str:
        """Publish a message, on another thread."""
        return self._outside.publish(channel, topic, data)

    async def origins_of(self, run_id: str) -> list[str]:
        """The runs that a run repeats: a server does not say."""
        del run_id
        return []

    # --- its end

    def _watch(self, run_id: str) -> asyncio.Future[tuple[str, bytes, str]]:
        del run_id
        self._ending = self.loop.create_future()
        return self._ending

    async def _tell_of_end(self) -> None:
        """Tell middleware where this was the run's end: nobody is told later."""
        if self._ending is None:
            return
        told = self.loop.create_future()
        self._ending.add_done_callback(lambda _: told.set_result(None))
        event_id = self.called.events[0][0]
        for op in self.ops:
            if op[0] == RUN_COMPLETE:
                self._ending.set_result(("completed", op[1], event_id))
            elif op[0] == RUN_ERROR and self._is_last_try(op[2]):
                self._ending.set_result(("failed", op[1], event_id))
        if not self._ending.done():
            self._ending.cancel()
        await told  # by those who were to be told before

    def _is_last_try(self, retry: int | None) -> bool:
        return retry == NEVER or self.called.attempt + 1 >= self.called.max_attempts


#: Behind these the code is called again: it goes on with what is on disk then.
_ENDS: Final = (STEP_RUN, STEP_ERROR, RUN_COMPLETE, RUN_ERROR)


def _invoke_error(json: bytes) -> bytes:
    """Why another run gave no result, as the engine says it: a server gives that run's own error."""
    error: dict[str, Any] = {"name": "Error", "message": "", **orjson.loads(json)}
    message = error["message"]
    said: dict[str, Any] = {"name": "InvokeError", "message": message}
    if error["name"] == _LATE:
        said |= {"name": "InvokeTimeoutError", "reason": "timeout"}
    elif error["name"] == "Error" and not error.get("stack"):
        said |= {"reason": "refused"}  # in the server's words
    else:
        said |= {"message": "it failed", "reason": "failed", "cause": error}
    return orjson.dumps(said)
