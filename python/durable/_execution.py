"""One run's code, alive in this process: what it has asked for, what it knows, what it reports.

The life of a stretch of code: work comes (`take_work`), the handler runs to its next step (`begin`), at the end of
the pass it is decided how that step executes (`decide`), it is reported (`report_step`), that is confirmed
(`take_confirmation`), the handler goes on. When everything waits the run parks: it gives its slot back, and stays.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ._awaits import HandlerTasks
from ._bridge import NEVER, RUN_COMPLETE, RUN_ERROR, STEP_ERROR, STEP_RUN
from ._context import Context, SyncContext
from ._driver import Driver
from ._errors import SerializationError
from ._failure import retry_of, tell, write_error
from ._misfit import error_of_other_step
from ._misuse import explained
from ._outside import WatchedCoroutine
from ._run_state import RunState
from ._step import CURRENT_RUN, GO, WAITING, StepCall, Written, error_of_unawaited


if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._ahead import Ahead
    from ._bridge import MemoTuple, Op
    from ._run_state import Recorded


class LiveRun(RunState):
    """A run whose handler has been called and has not ended."""

    __slots__ = ()

    # --- the engine speaks

    def take_work(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        step: str | None,
        epoch: int,
        attempts: tuple[int, int, int],
        news: tuple[int, list[MemoTuple], list[str]],
    ) -> None:
        """Execute the code, or one step of it."""
        seen, memos, pending = news
        if step is None:
            self.epoch, self.number = epoch, 0
            self.attempt, self.step_attempt, self.failures = attempts
            if self.ahead is not None:
                self.ahead.rest()
        else:
            self.targets[step] = (epoch, attempts[0], attempts[2])
        self.pending.update(pending)
        if self.driver is None:
            self._remember(seen, memos)
            self.start()
        else:
            self.take_memos(seen, memos)
            call = None if step is None or self.is_dropped else self.calls.get(step)
            if call is not None and call.epoch is None:
                self._target(call)
                call.wake()
        self.mark()

    def take_memos(self, seen: int, memos: list[MemoTuple]) -> None:
        """More is remembered: whoever waits for it goes on."""
        if self.worker.forgets and memos and not self._is_under_way():
            self._remember(seen, memos)
            self.worker.renew(self).start()
            return
        self.seen = seen
        answered: list[StepCall[Any]] = []
        for memo in memos:
            name, kind, is_error, data = memo
            self.pending.discard(name)
            if self.worker.forgets:
                self._keep(memo)
            call = self.calls.pop(name, None)
            if call is not None:
                self._leave(call)
                call.take_memo(kind, is_error=is_error, data=data)
                answered.append(call)
                if is_error and call in self.unconfirmed.values():  # it failed just now
                    self.attempt = self.step_attempt = self.failures = 0
            elif not self.worker.forgets:
                self.memos[name] = (-1, kind, is_error, data)
        for call in answered:
            call.wake()

    def take_confirmation(self, number: int, seen: int) -> None:
        """A report of this stretch is on disk."""
        self.seen = seen
        ahead, call = self.ahead, self.unconfirmed.pop(number, None)
        if ahead is not None:
            ahead.confirm(number)
        if call is None or call.state > GO:
            self.mark()
        elif call.data is None:  # it failed and is tried again, with a slot of its own
            self.pending.add(call.name)
            self.mark()
        elif self.worker.forgets and not self._is_under_way():
            self._keep((call.name, call.kind, False, call.data))
            self.worker.renew(self).start()
        else:
            self._go_on(call, call.data)
        if ahead is not None:
            self._go_on_ahead(ahead)

    def _go_on(self, call: StepCall[Any], data: bytes) -> None:
        """The code goes on with what is on disk now."""
        if self.worker.forgets:
            self._keep((call.name, call.kind, False, data))
        if self.ahead is not None:
            self.ahead.rest()
        self._answer_own(call, data)
        call.wake()
        if self.pending or self.ready:
            self.mark()

    def _go_on_ahead(self, ahead: Ahead) -> None:
        """More is on disk: the code may go on with results that are not."""
        for later, call in list(self.unconfirmed.items()):
            if call.state == WAITING and call.data is not None and ahead.admit(later):
                self._answer_own(call, call.data)
                call.wake()

    def take_abandonment(self, epoch: int) -> bool:
        """What executes under this epoch is to be dropped. True where that is the whole run."""
        if epoch == self.epoch:
            self.drop(is_called_off=True)
            return True
        for name, (its, *_) in list(self.targets.items()):
            if its == epoch:
                del self.targets[name]
        for call in self.calls.values():
            if call.epoch == epoch:
                call.epoch = -1
        return False

    # --- the code speaks

    def start(self) -> None:
        """Call the handler, from the top."""
        if self.memos or self.pending:
            self.unmet = {*self.pending, *[*self.memos][-1:]}
        elif self.function.cancel_matches:
            self.worker.noticed.look_at_matches(self)
        if self.layered is not None:
            self.worker.watch_end(self.layered)
        context = self.worker.context.copy()
        context.run(CURRENT_RUN.set, self)
        if self.function.is_async:
            given = Context[Any](self)
            if self.layered is None:
                coroutine = self.function.handler(given)
            else:
                coroutine = self.layered.call(given)
            if self.worker.forgets:
                coroutine = WatchedCoroutine(self.function, coroutine)
            self.driver = Driver(self, coroutine, context, self.worker.loop)
        else:
            self.driver = self.worker.thread_driver(self, SyncContext(self), context)
        self.driver.step()
        self.mark()

    def renewed(self) -> LiveRun:
        """The same run with its code not yet called: what is left after a restart of the process."""
        layered = self.layered
        events = self.event_tuples if layered is None else layered.event_tuples
        new = type(self)(self.worker, self.id, self.function, events)
        new.epoch, new.number = self.epoch, self.number
        new.attempt, new.step_attempt = self.attempt, self.step_attempt
        new.failures = self.failures
        new.seen, new.pending, new.targets = self.seen, self.pending, self.targets
        new.memos, new.fresh = self.memos, self.fresh
        new.came_to = self.names
        self.drop()
        return new

    def begin(self, call: StepCall[Any]) -> None:
        """A step is awaited: answer it from what is remembered, or see to it."""
        name = call.name
        self.unawaited.pop(name, None)
        call.state = WAITING
        if self.ending is not None and self.ending[0] == RUN_COMPLETE:
            self.worker.noticed.look_at_left(call, is_late=True)
        if self.is_dropped:
            raise asyncio.CancelledError
        self.calls[name] = call
        self._enter(call)
        if (memo := self.memos.get(name)) is not None:
            self.misplaced_count = len(
                self.fresh
            )  # what is new stands before what is not
            self._answer(call, memo)
            return
        if self.unmet is not None:
            self.unmet.discard(name)
        if name in self.targets:
            self._target(call)
            return
        if name not in self.pending:
            self.ready.append(call)
        self.mark()  # also where it waits: it may have been looked at before it came to a step

    def lose(self, call: StepCall[Any]) -> None:
        """Nobody awaits this step. Where the code failed, or the process ends, it is offered again."""
        if self.is_dropped:
            return
        self.unawaited.pop(call.name, None)
        if self.calls.pop(call.name, None) is not None:
            self._leave(call)
            self.lost.add(call.name)
            if self.inline is call:
                self.inline, self.has_left_step = None, True
            if call in self.ready:
                self.ready.remove(call)
            has_failed = self.ending is not None and self.ending[0] == RUN_ERROR
            if call.epoch is not None and not (has_failed or self.worker.is_ending()):
                self._report_lost(call.name, call.epoch)
            self.mark()

    def report_step(
        self, call: StepCall[Any], op: Op, raised: BaseException | None = None
    ) -> None:
        """A step's function has returned or raised."""
        if op[0] == STEP_ERROR:
            call.data = None
            tell(self, op[2:], raised, call=call, failures=call.failures)
        if call.epoch is not None:
            epoch, call.epoch = call.epoch, None
            if epoch >= 0:
                self.worker.report((self.id, epoch, 0, [op], None))
            self.pending.add(call.name)
            self.mark()
            return
        if op[0] == STEP_RUN:
            self.attempt = self.step_attempt = self.failures = 0
        self.inline = None
        number, ahead = self.number, self.ahead
        self.unconfirmed[number] = call
        self._report([op], None)
        if ahead is not None and call.data is not None:
            ahead.add(number)
            if ahead.admit(number):
                self._answer_own(call, call.data)

    def complete(self, value: object) -> None:
        """The handler returned."""
        if self.ending is not None:  # it was not to go on
            return
        if self.unawaited:
            self.fail(error_of_unawaited(self.function.id, self.unawaited.values()))
            return
        try:
            if isinstance(value, Written):
                data = value.json
            else:
                data = self.function.codec.write(value, "result")
        except SerializationError as error:
            self.fail(error.of_function(self.function.id))
            return
        except Exception as error:  # a model's serializer may raise anything  # noqa: BLE001
            self.fail(error)
            return
        if self.memos:
            self._tell_of_unmet()
        self._tell_of_left()
        self._end_with((RUN_COMPLETE, data))

    def _tell_of_left(self) -> None:
        """Steps under way in tasks that the handler has not awaited."""
        for call in self.calls.values():
            if isinstance(call.task, asyncio.Task):
                self.worker.noticed.look_at_left(call)

    def _tell_of_unmet(self) -> None:
        """What is remembered and was not asked for: a step was renamed, or is gone from the code."""
        names = self.names
        if unmet := [name for name in self.memos if name not in names]:
            new = self.fresh[: self.misplaced_count] or self.fresh[:1]
            new = [name for name in new if name in names]
            self.worker.noticed.look_at_steps(self, unmet, new)

    def fail(self, error: BaseException) -> None:
        """The handler raised, or is not to go on: what the end of the process called off begins anew."""
        if self.ending is not None:
            return
        error = explained(error, self.function.id)
        if isinstance(error, asyncio.CancelledError) and self.worker.is_ending():
            self.drop()
            self.worker.forget(self, is_live=True)
        elif not self.is_dropped:
            failure = (write_error(error), retry_of(error))
            failures = [self.failures]
            if self.epoch is None:  # it was called for these
                failures = [its for *_, its in self.targets.values()] or failures
            tell(self, failure, error, failures=failures[0])
            has_left = self.has_left_step or self.inline is not None
            self._end_with((RUN_ERROR, *failure, has_left))

    def _end_with(self, op: Op) -> None:
        if self.is_dropped:
            return
        self.ending = op
        if self.tasks is not None:
            self.tasks.cancel("the handler has ended")
        self.mark()

    # --- the end of a pass

    def decide(self) -> None:  # noqa: PLR0911  # one answer for each case
        """See to what became ready in this pass: execute it here, plan it, end, or park."""
        self.is_marked = False
        if self.is_dropped:
            return
        if self.late:
            self._answer_latest()
            return
        if self.ready:
            self._note_new()
        if self.epoch is None:
            self._decide_without_slot()
            return
        ready = self.ready
        if self.worker.is_draining and self.ending is None:
            return
        if len(ready) == 1 and self.ending is None and self._executes_here(ready):
            if ready[0].is_outward and self.ahead is not None and self.unconfirmed:
                return  # it is looked at again once that is confirmed
            self.ready = []
            self.inline = call = ready[0]
            call.attempt, call.failures = self.step_attempt, 0
            call.state = GO
            call.wake()
            return
        self._report_pass(ready)

    def _note_new(self) -> None:
        """The code asks for what is not remembered."""
        if self.came_to is not None and self.tasks is None and self.unmet:
            last = next(reversed(self.memos), None)
            if last in self.unmet and last in self.came_to:
                self.fail(error_of_other_step(self.ready[0], last))
        self.unmet = None  # what was not asked for is gone from the code
        if self.memos:
            known = self.fresh
            known += [call.name for call in self.ready if call.name not in known]

    def _report_pass(self, ready: list[StepCall[Any]]) -> None:
        if self.ending is not None:
            if self.ahead is not None and self.unconfirmed:
                return  # the engine may yet take the run away: its end waits for what came before
            self._report([self.ending], None)
            self.worker.forget(self, is_live=self.ending[0] == RUN_ERROR)
            self._settle_targets()
            self.drop()
            return
        ops: list[Op] = []
        self.ready = self._executes_here(ready)
        for call in ready:
            if call not in self.ready:
                ops.append(call.plan())
                self.pending.add(call.name)
        if self.ready:
            self.mark()
        elif self._is_quiet():
            self._park(ops)
            return
        if ops:
            self._report(ops, None)

    def _executes_here(self, ready: list[StepCall[Any]]) -> list[StepCall[Any]]:
        """The one step of these that executes in the slot of the code between steps; the others are planned."""
        steps = [call for call in ready if not call.is_wait]
        return steps if len(steps) == 1 and self.inline is None else []

    def _park(self, ops: list[Op]) -> None:
        """Everything waits: give the slot back."""
        self._report(ops, self.seen)
        self.epoch = None
        self._settle_targets()
        if self.worker.forgets and not self._is_under_way():
            self.worker.renew(self)
        else:
            self.worker.park(self)

    def _decide_without_slot(self) -> None:
        """The code was called again for one step only, or goes on by itself while it is parked."""
        if self.targets and (
            self.ending is not None or (not self.ready and self._has_missed())
        ):
            self._settle_targets()
        if self.ending is not None or self.ready:
            self.worker.want_slot(self)

    def _settle_targets(self) -> None:
        """Steps that were to execute and that the code, called again, has not come to."""
        for name, (epoch, *_) in list(self.targets.items()):
            del self.targets[name]
            if name in self.lost:
                self._report_lost(name, epoch)
            elif self.ending is not None and self.ending[0] == RUN_ERROR:
                self.worker.report((self.id, epoch, 0, [self.ending], None))
            else:
                self.worker.report((self.id, epoch, 0, [], None))

    # --- small things

    def _remember(self, seen: int, memos: Iterable[MemoTuple]) -> None:
        self.seen = seen
        for memo in memos:
            self._keep(memo)
            self.pending.discard(memo[0])

    def _keep(self, memo: MemoTuple) -> None:
        name, kind, is_error, data = memo
        self.memos[name] = (len(self.memos), kind, is_error, data)

    def _answer(self, call: StepCall[Any], memo: Recorded) -> None:
        """Answer from what is remembered, in the order in which it was recorded."""
        place, kind, is_error, data = memo
        if place > self.next_memo:
            self.late[place] = call
            self.mark()
            return
        if place == self.next_memo:
            self.next_memo = place + 1
        if self.unmet is not None:
            self.unmet.discard(call.name)
        if not self.worker.forgets:
            del self.memos[call.name]
        del self.calls[call.name]
        self._leave(call)
        call.take_memo(kind, is_error=is_error, data=data)

    def _answer_own(self, call: StepCall[Any], data: bytes) -> None:
        """Answer with what it has just returned."""
        del self.calls[call.name]
        self._leave(call)
        call.take_memo(call.kind, is_error=False, data=data)

    def _answer_latest(self) -> None:
        place = min(self.late)
        call = self.late.pop(place)
        self.next_memo = place
        if call.name in self.calls:
            self._answer(call, self.memos[call.name])
            call.wake()
        self.mark()

    def _target(self, call: StepCall[Any]) -> None:
        if call.is_wait:  # it was planned as one that calls a function
            del self.calls[call.name]
            self._leave(call)
            call.take_memo(StepCall.kind, is_error=False, data=b"null")
            return
        call.epoch, call.attempt, call.failures = self.targets.pop(call.name)
        call.data = None
        call.state = GO

    def _enter(self, call: StepCall[Any]) -> None:
        if not call.is_driven_by_hand():
            if self.tasks is None:
                self.tasks = HandlerTasks(self.driver)
            call.task = self.tasks.enter()

    def _leave(self, call: StepCall[Any]) -> None:
        if call.task is not None and self.tasks is not None:
            self.tasks.leave(call.task)

    def _report(self, ops: list[Op], parked_at: int | None) -> None:
        if self.epoch is not None:
            self.worker.report((self.id, self.epoch, self.number, ops, parked_at))
            self.number += 1

    def _report_lost(self, name: str, epoch: int) -> None:
        if epoch >= 0:
            error = asyncio.CancelledError("the code no longer awaits this step")
            op: Op = (STEP_ERROR, name, write_error(error), NEVER)
            self.worker.report((self.id, epoch, 0, [op], None))

    def drop(self, *, is_called_off: bool = False) -> None:
        """End the live code; nothing it still does counts. What is called off may clean up, as tasks may."""
        if self.is_dropped:
            return
        self.is_dropped = True
        if self.driver is not None:
            self.driver.call_off() if is_called_off else self.driver.close()
        if self.tasks is not None:
            self.tasks.cancel("the run was put aside")
