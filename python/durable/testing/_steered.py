"""The executor of a test: it holds steps back, and crashes between them, where the disturbances say so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import override

from durable._bridge import (
    ABANDON,
    CONFIRM,
    FINISHED,
    MEMOS,
    STEP_RUN,
    WORK,
)
from durable._callers import settle
from durable._execution import LiveRun
from durable._threads import ThreadDriver, Threads
from durable._worker import Worker


if TYPE_CHECKING:
    from collections.abc import Callable

    from durable._bridge import Core, Op, Report
    from durable._step import StepCall

    from ._disturbances import EngineDisturbances
    from ._door import Door
    from ._mocks import Mocks

#: What the engine says of runs: it says it again to whoever executes after a crash.
_OF_RUNS: Final = frozenset({WORK, MEMOS, CONFIRM, ABANDON, FINISHED})
#: No run has this id. Who asks for it is told so once all that was asked before is done.
_NO_RUN: Final = "0" * 26
#: So long code is waited for that executes: it may wait itself for a step that is held back.
_PATIENCE_S: Final = 0.2


class SteeredRun(LiveRun):
    """A run of a test."""

    __slots__ = ()

    @override
    def begin(self, call: StepCall[Any]) -> None:
        mocks = _steered(self).mocks_of(self)
        if mocks is not None:
            mocks.apply(call)
        super().begin(call)

    @override
    def report_step(
        self, call: StepCall[Any], op: Op, raised: BaseException | None = None
    ) -> None:
        super().report_step(call, op, raised)
        if op[0] == STEP_RUN:
            _steered(self).note_step(self, call.name)


class SteeredWorker(Worker):
    """The executor of a test: nothing is done to its runs that could not happen to any.

    Where it disturbs them it goes in steps: what the engine says of runs is taken when all code here has come to where
    it waits, and the engine to where it has no more to say. So the same disturbances give the same order, however
    long a commit takes.

    Attributes:
        disturbances: what is done to its runs.
        mocks_of: the mocks of a run, where it has some.
        halt_at: the run at whose end, or the ticket at whose answer, the clock shall stand still.
        moved_by: the ticket under which the clock moves.
    """

    disturbances: EngineDisturbances
    mocks_of: Callable[[LiveRun], Mocks | None]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._thread_count: int | None = settings["thread_count"]
        self.halt_at: str | int | None = None
        self.moved_by: int | None = None
        self._is_to_crash = False
        self._takes_runs = True
        self._is_away = False  # its store is closed
        self._back: asyncio.Future[None] | None = None  # until a crash is over
        self._asks: dict[int, Callable[[int], None]] = {}  # what asked for `Idle`
        self._news: list[Any] = []  # of runs, not taken yet
        self._held: list[tuple[int, Any]] = []  # steps, each with its rank
        self._heard_count = 0
        self._asked_at: int | None = None  # how much was heard when it asked
        self._quiet_at: int | None = None  # and when it was answered last
        self._patience: asyncio.TimerHandle | None = None

    @property
    @override
    def run_type(self) -> type[SteeredRun]:
        return SteeredRun

    # --- the clock

    @override
    def _take_end(self, item: Any) -> None:
        self._halt(item[1])
        super()._take_end(item)

    @override
    def _take_idle(self, item: Any) -> None:
        self._halt(item[1])
        super()._take_idle(item)

    def _halt(self, what: object) -> None:
        """Stop the clock here: once this turn is over it would move on."""
        if what == self.halt_at and self.moved_by is not None:
            self.halt_at = None
            self._core.unjoin(self.moved_by)

    # --- crashes

    def note_step(self, run: LiveRun, step: str) -> None:
        """A step has returned."""
        if self.disturbances.crashes_after(run.function.id, run.id, step):
            self._is_to_crash = True

    def crash(self) -> None:
        """Forget all that lives here, as when the process dies, and take up what the store has.

        Whoever waits for an answer of the engine does not notice.
        """
        self._forget_runs()
        self._take_up()

    def _forget_runs(self) -> None:
        runs = list(self.runs.values())
        self.runs.clear()
        for run in runs:
            run.drop()
        for left in (self._parked, self._marked, self._waking, self._news):
            left.clear()
        self._held.clear()
        for told in (self._reports, self._dropped, self._reloads):
            told.clear()
        self._backlog = [one for one in self._backlog if one[0] not in _OF_RUNS]
        self._threads.close()
        self._threads = Threads(self.loop, self.context, self._thread_count)
        self._is_to_crash = False

    def _take_up(self) -> None:
        self._core.connect([function.id for function in self._functions.values()])
        self._schedule()

    async def crash_with(self, door: Door, open_core: Callable[[], Core]) -> None:
        """The same of a store on disk, which is closed and opened again.

        Raises:
            DurableError: it cannot be opened again; who waits for an answer is told so.
        """
        await self._let_go()
        try:
            await door.reopen(self.loop, open_core)
        except BaseException:
            self.close()
            raise
        self._come_back()

    async def _let_go(self) -> None:
        """Take up nothing, hand over nothing, and come back when all is answered that was handed over before."""
        self._forget_runs()
        self._takes_runs = self._has_room = False
        self._back = self.loop.create_future()
        kept = {one[0] for pair in self._requests for asked in pair for one in asked}
        kept.update(self._asks)
        handed_over = [self._tickets[one] for one in self._tickets if one not in kept]
        if handed_over:
            await asyncio.wait(handed_over)
        self._is_away = True
        self._lose_patience_never()
        self.loop.remove_reader(self._core.fileno())

    def _come_back(self) -> None:
        """The store is open again: take up what it has, and ask again what is to be told."""
        self._forget_runs()
        self._asked_at = self._quiet_at = None
        self._has_room = self._takes_runs = True
        self._is_away = False
        reading = self.context.copy()
        reading.run(self.loop.add_reader, self._core.fileno(), self._turn)
        self._take_up()
        if self._watched:
            self._core.watch(list(self._watched))
        for channel, listeners in self._listeners.items():
            self._core.subscribe(channel)
            for listener in listeners:
                listener.tell()  # what was new when it closed, nobody has said
        for ticket, ask in self._asks.items():
            ask(ticket)
        self._let_publish()

    def _let_publish(self) -> None:
        settle(self._back, None)
        self._back = None

    @override
    async def idle(
        self, ask: Callable[[int], None], timeout_s: float | None = None
    ) -> None:
        asked: list[int] = []

        def remembered(ticket: int) -> None:
            asked.append(ticket)
            self._asks[ticket] = ask
            if not self._is_away:  # else all are asked when it comes back
                ask(ticket)

        try:
            await super().idle(remembered, timeout_s)
        finally:
            for ticket in asked:
                del self._asks[ticket]

    @override
    def _ask_for_end(self, run_id: str) -> None:
        if not self._is_away:
            super()._ask_for_end(run_id)

    @override
    def _listen(self, channel: str) -> None:
        if not self._is_away:
            super()._listen(channel)

    @override
    async def publish_number(self, channel: str, topic: str, data: bytes) -> int:
        while self._back is not None:
            await asyncio.shield(self._back)
        return await super().publish_number(channel, topic, data)

    @override
    def _take_room(self, _: Any) -> None:
        self._has_room = self._takes_runs  # what is asked during a crash is kept

    @override
    def close(self) -> None:
        self._lose_patience_never()
        super().close()
        self._let_publish()

    @override
    def _turn(self) -> None:
        if self._is_away:
            return
        super()._turn()
        if not self._is_closed and (self._news or self._held or self._is_to_crash):
            self._ask_for_quiet()

    # --- in steps

    @override
    def _take(self, items: list[Any]) -> None:
        if not self._takes_runs:
            items = [item for item in items if item[0] not in _OF_RUNS]
        if not self.disturbances.is_on:
            super()._take(items)
            return
        of_runs = [item for item in items if item[0] in _OF_RUNS]
        self._heard_count += len(of_runs)
        self._news += of_runs
        super()._take([item for item in items if item[0] not in _OF_RUNS])

    @override
    def report(self, report: Report) -> None:
        self._heard_count += 1
        super().report(report)

    def _ask_for_quiet(self) -> None:
        """Ask whether the engine has more to say."""
        if self._patience is None:
            self._patience = self.loop.call_later(
                _PATIENCE_S, self._lose_patience, context=self.context
            )
        if self._asked_at is None and not self._is_moving():
            self._asked_at = self._heard_count
            self._core.watch([_NO_RUN])

    @override
    def _take_unknown(self, item: Any) -> None:
        if item[1] != _NO_RUN:
            super()._take_unknown(item)
            return
        asked_at, self._asked_at = self._asked_at, None
        if asked_at != self._heard_count or self._is_moving():
            self._quiet_at = None
        elif self._quiet_at != asked_at:
            # It answers before what the same turn of its loop says of runs: once more, then it was all.
            self._quiet_at = asked_at
            self._schedule()
        else:
            self._quiet_at = None
            self._go_on()

    def _is_moving(self) -> bool:
        """True while code executes here, or what it said is not handed over."""
        if self._marked or self._reports:
            return True
        return any(_moves(run) for run in list(self.runs.values()))

    def _go_on(self) -> None:
        """Take what the engine said; where that was all, start what is held back longest. Or crash."""
        self._lose_patience_never()
        if self._is_to_crash and not any(map(_executes_step, self.runs.values())):
            self.crash()
        elif self._news:
            news, self._news = self._news, []
            for item in news:
                self._takers[item[0]](item)
        elif self._held:
            self._release()
        self._schedule()

    def _lose_patience(self) -> None:
        """Something executes for long, perhaps until a step begins that is held back."""
        self._patience = None
        if not self._is_closed:
            self._go_on()

    def _lose_patience_never(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # --- steps that are held back

    @override
    def _take_work(self, item: Any) -> None:
        _, run_id, epoch, number, step, attempts, seen, events, memos, pending = item
        run = self.runs.get(run_id)
        if step is None or events or run is None:
            super()._take_work(item)
            return
        rank = self.disturbances.rank(run.function.id, run_id, step)
        if rank == 0:
            super()._take_work(item)
            return
        run.pending.update(pending)
        run.take_memos(seen, memos)
        bare: Any = (WORK, run_id, epoch, number, step, attempts, seen, events, [], [])
        self._held.append((rank, bare))

    def _release(self) -> None:
        """Let the next of them start: of the lowest rank, in the order in which they came."""
        held = min(self._held, key=lambda one: one[0])
        self._held.remove(held)
        item = held[1]
        run = self.runs.get(item[1])
        if run is None:
            self._reloads.append((item[1], item[2]))
        else:
            super()._take_work((*item[:6], run.seen, *item[7:]))

    @override
    def _take_abandonment(self, item: Any) -> None:
        gone = item[1:3]
        self._held = [one for one in self._held if one[1][1:3] != gone]
        super()._take_abandonment(item)


def _executes_step(run: LiveRun) -> bool:
    return run.inline is not None or run.is_executing_steps()


def _moves(run: LiveRun) -> bool:
    """True while its code executes, or one of its steps."""
    if run.is_dropped:
        return False
    driver = run.driver
    if _executes_step(run):
        return True
    if driver is None or driver.is_done or driver.is_at_step:
        return False
    return isinstance(driver, ThreadDriver) or not run._stands_still()  # noqa: SLF001  # it is ours


def _steered(run: LiveRun) -> SteeredWorker:
    return cast("SteeredWorker", run.worker)
