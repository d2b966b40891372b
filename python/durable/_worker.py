"""The executor of this process: takes work from the engine on one event loop and hands reports back.

A turn: submit what the passes before have brought, take what has come, let it run. Turns follow each
other, one for each pass of the loop, until there is nothing left; then the engine wakes the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from ._bridge import (
    ABANDON,
    ACCEPTED,
    CONFIRM,
    ENDED,
    FINISHED,
    IDLE,
    MEMOS,
    POISONED,
    PUBLISHED,
    REFUSED,
    ROOM,
    SIGNALLED,
    STARTED,
    STIRRED,
    UNKNOWN,
    WORK,
    Core,
    CoreError,
    public_error,
)
from ._callers import Callers, settle
from ._ends import Ends
from ._errors import EngineClosed
from ._execution import LiveRun
from ._failure import tell_of_end
from ._leaving import Leaving
from ._loop_watch import LoopWatch
from ._sending import Unheard
from ._threads import ThreadDriver, Threads


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._bridge import Report
    from ._context import SyncContext
    from ._function import Function

_BATCH: Final = 1024
#: So long a turn goes on taking work. What it has not handed over, a crash repeats: a process that dies again
#: and again at the same slow step has kept the steps before it.
_TURN_S: Final = 0.05


class Worker(Callers):
    """All live runs of one engine, on one loop."""

    def __init__(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        functions: Mapping[int, Function[Any, Any]],
        *,
        hot_runs: int,
        forgets: bool,
        thread_count: int | None,
    ) -> None:
        super().__init__(core, loop, Unheard(functions.values()))
        self.forgets = (
            forgets  # every live coroutine is dropped at each step: for tests
        )
        self.context = contextvars.copy_context()  # what every run's code begins with
        self.ends = Ends(self._watch, loop)
        self.clean_up = self.ends.clean_up
        self.watch_end = self.ends.watch
        self.runs: dict[str, LiveRun] = {}
        self._functions = functions
        self._hot_runs = hot_runs
        self._parked: OrderedDict[str, LiveRun] = OrderedDict()
        self._threads = Threads(loop, self.context, thread_count)
        self._marked: deque[LiveRun] = deque()
        self._reports: list[Report] = []
        self._dropped: list[str] = []
        self._reloads: list[tuple[str, int]] = []
        self._waking: dict[str, None] = {}  # parked runs whose code goes on by itself
        self._has_room = True
        self._is_due = False
        self._is_closed = False
        self._backlog: list[Any] = []
        self._until = 0.0  # a turn takes on nothing more after this
        self.is_draining = False
        self._owner: asyncio.Task[Any] | None = None  # who opened it, and will close it
        self._settled: asyncio.Future[None] | None = None
        self._leaving = Leaving(self._schedule)
        self.watch = LoopWatch(loop, None, self.is_executing)
        self._takers: dict[int, Callable[[Any], None]] = {
            ACCEPTED: self._take_answer,
            REFUSED: self._take_refusal,
            STARTED: self._take_start,
            WORK: self._take_work,
            MEMOS: self._take_memos,
            CONFIRM: self._take_confirmation,
            ABANDON: self._take_abandonment,
            ENDED: self._take_end,
            POISONED: self._take_poison,
            ROOM: self._take_room,
            IDLE: self._take_idle,
            UNKNOWN: self._take_unknown,
            FINISHED: self._take_finish,
            SIGNALLED: self._take_answer,
            STIRRED: self._take_stir,
            PUBLISHED: self._take_answer,
        }

    # --- turns

    def open(
        self,
        *,
        blocked_after_s: float | None = None,
        opened_by: asyncio.Task[Any] | None = None,
    ) -> None:
        """Begin to be woken, and to watch for code that keeps the loop for so long."""
        self.watch = LoopWatch(
            self.loop,
            blocked_after_s,
            self.is_executing,
            turned_at=lambda: self._until - _TURN_S,
        )
        self._owner = opened_by or asyncio.current_task()
        self.loop.add_reader(self._core.fileno(), self._turn)
        self._schedule()

    @override
    def close(self) -> None:
        """Forget everything; what is unfinished goes on at the next start."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self.loop.is_closed():
            self.loop.remove_reader(self._core.fileno())
        for run in list(self.runs.values()):
            run.drop()
        self.runs.clear()
        self._parked.clear()
        self._threads.close()
        self.watch.close()
        text = "the engine was closed before it answered; what it had acknowledged is on disk"
        self._fail_callers(EngineClosed(text))

    @property
    def run_type(self) -> type[LiveRun]:
        """What a run is made of whose handler is called; the testing kit has its own."""
        return LiveRun

    def clock(self) -> float:
        """Seconds, from anywhere: how long something has taken."""
        return time.monotonic()

    def is_executing(self) -> bool:
        """True while there is a run that does not wait."""
        return len(self.runs) > len(self._parked)

    def is_ending(self) -> bool:
        """True once the engine is to be closed, or who would close it is called off."""
        is_called_off = self._owner is not None and self._owner.cancelling() > 0
        return self.is_draining or is_called_off

    @override
    def _schedule(self) -> None:
        if not self._is_due and not self._is_closed:
            self._is_due = True
            self.loop.call_soon(self._turn_when_due, context=self.context)

    def _turn_when_due(self) -> None:
        self._is_due = False
        self._turn()

    def _turn(self) -> None:
        if self._is_closed:
            return
        self._until = self.clock() + _TURN_S
        self._decide()
        try:
            self._submit()
            items = self._backlog or self._core.drain(_BATCH)
        except CoreError as error:
            self._take_poison((POISONED, error.kind, error.text))
            return
        except (TypeError, ValueError, OverflowError) as error:
            text = f"what a handler reported could not be handed over: {error!r}"
            self._take_poison((POISONED, "broken", text))
            return
        try:
            self._take(items)
        except BaseException:
            self._schedule()  # or nothing would ever be taken again
            raise
        if items or self._marked or self._reports or not self._core.park():
            self._schedule()

    def _decide(self) -> None:
        for _ in range(len(self._marked)):
            self._marked.popleft().decide()
            if self.clock() > self._until:
                break
        if self._settled is not None and not self._let_finish():
            settle(self._settled, None)

    def _take(self, items: list[Any]) -> None:
        takers = self._takers
        self._backlog = []
        done = 0
        try:
            for item in items:
                done += 1
                takers[item[0]](item)
                if self.clock() > self._until:
                    break
        finally:
            if done < len(items):  # time is up, or the process is told to end
                self._backlog = items[done:]

    def _submit(self) -> None:
        self._submit_pass()
        if self._waking:
            waking, self._waking = self._waking, {}
            self._core.wake(list(waking))

    def _submit_pass(self) -> None:
        requests = self._requests if self._has_room else None
        if not (requests or self._reports or self._dropped or self._reloads):
            return
        reports, self._reports = self._reports, []
        dropped, self._dropped = self._dropped, []
        reloads, self._reloads = self._reloads, []
        while True:
            sends, calls = requests[0] if requests else ([], [])
            taken = self._core.submit(sends, calls, reports, dropped, reloads)
            if taken < len(sends) + len(calls):
                sends_taken = min(taken, len(sends))
                del sends[:sends_taken], calls[: taken - sends_taken]
                self._has_room = False
                return
            if requests:
                requests.popleft()
            if not requests:
                return
            reports, dropped, reloads = [], [], []

    # --- what runs ask

    def mark(self, run: LiveRun) -> None:
        """Have this run decide at the end of the pass."""
        self._marked.append(run)
        self._schedule()

    def report(self, report: Report) -> None:
        """Hand this over at the end of the pass."""
        self._reports.append(report)
        self._schedule()

    def park(self, run: LiveRun) -> None:
        """This run waits: it may be dropped for others."""
        if isinstance(run.driver, ThreadDriver):
            self._put_aside(run)
            return
        self._parked[run.id] = run
        self._parked.move_to_end(run.id)
        excess = min(len(self.runs) - self._hot_runs, len(self._parked))
        for _ in range(excess):
            run_id, longest = self._parked.popitem(last=False)
            if longest.is_executing_steps():
                self._parked[run_id] = longest
            else:
                self._put_aside(longest)

    def want_slot(self, run: LiveRun) -> None:
        """This run would go on, but has no slot: it is given one when the engine offers its work."""
        self._waking[run.id] = None
        self._schedule()

    def renew(self, run: LiveRun) -> LiveRun:
        """Put a run's live code aside, and keep the rest."""
        new = self.runs[run.id] = run.renewed()
        return new

    def forget(self, run: LiveRun, *, is_live: bool) -> None:
        """This run has ended, or its handler has (`is_live`: the engine does not know of that)."""
        if self.runs.get(run.id) is run:
            del self.runs[run.id]
        self._parked.pop(run.id, None)
        if is_live:
            self._dropped.append(run.id)

    def _put_aside(self, run: LiveRun) -> None:
        run.drop()
        self.forget(run, is_live=True)
        self._schedule()

    def on_thread(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        """Call this on a thread."""
        return self._threads.call(function, args, kwargs)

    def thread_driver(
        self, run: LiveRun, given: SyncContext[Any], context: contextvars.Context
    ) -> ThreadDriver:
        """Call a plain handler on a thread."""
        return ThreadDriver(run, self._threads, given, context)

    @override
    async def leave(self, grace_s: float) -> None:
        await self.settle(grace_s)
        await self.ends.settle(grace_s)

    async def settle(self, grace_s: float) -> None:
        """Start nothing more, and let what executes finish, for so long at most."""
        if self._failure is not None:
            return
        self.is_draining = True
        self._settled = self.loop.create_future()
        self._schedule()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled, grace_s)
        if self._failure is None:
            self._submit()

    def _let_finish(self) -> bool:
        """True while something executes. Plain handlers that wait give their threads back."""
        executing = bool(self._leaving)
        for run in list(self.runs.values()):
            if run.is_busy():
                executing = True
            elif isinstance(run.driver, ThreadDriver):
                self._put_aside(run)
        return executing

    def function_ids(self) -> list[str]:
        """What it executes."""
        return [function.id for function in self._functions.values()]

    # --- what the engine says

    def _take_work(self, item: Any) -> None:
        _, run_id, epoch, number, step, attempts, seen, events, memos, pending = item
        self.watch.wake()
        run = self.runs.get(run_id)
        if events:
            if run is not None:
                run.drop()
                self._parked.pop(run_id, None)
            run = self.runs[run_id] = self.run_type(
                self, run_id, self._functions[number], events
            )
        elif run is None:
            self._reloads.append((run_id, epoch))
            return
        if step is None or run.driver is None:
            self._parked.pop(run_id, None)
        run.take_work(step, epoch, attempts, (seen, memos, pending))

    def _take_memos(self, item: Any) -> None:
        _, run_id, _epoch, seen, memos = item
        run = self.runs.get(run_id)
        if run is not None:
            run.failures = 0  # what goes on behind a memo has tries of its own
            run.take_memos(seen, memos)

    def _take_confirmation(self, item: Any) -> None:
        _, run_id, epoch, number, seen = item
        run = self.runs.get(run_id)
        if run is not None and run.epoch == epoch:
            run.take_confirmation(number, seen)

    def _take_abandonment(self, item: Any) -> None:
        _, run_id, epoch = item
        run = self.runs.get(run_id)
        if run is not None and run.take_abandonment(epoch):
            self.forget(run, is_live=True)
            self._leaving.add(run)

    def _take_finish(self, item: Any) -> None:
        run = self.runs.get(item[1])
        if run is not None:
            if item[2] is not None:
                tell_of_end(run, item[2], run.calls.values())
            run.drop(is_called_off=True)
            self.forget(run, is_live=False)
            self._leaving.add(run)

    def _take_room(self, _: Any) -> None:
        self._has_room = True

    def _take_poison(self, item: Any) -> None:
        _, kind, text = item
        if self._failure is None:
            self._failure = public_error(kind, text)
            self._fail_callers(self._failure)
            for run in list(self.runs.values()):
                run.drop()
            self.runs.clear()
