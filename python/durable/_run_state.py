"""What is known of a run whose handler has been called, and how its code stands.

`LiveRun` acts on it; here nothing is asked of the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ._ahead import Ahead
from ._awaits import HandlerTasks
from ._codec import read_plain
from ._layered import layered
from ._step_names import StepNames


if TYPE_CHECKING:
    import asyncio

    from ._bridge import EventTuple, Op
    from ._function import Function
    from ._home import Home
    from ._step import StepCall


#: Where a memo stands in the order of recording (-1: nobody waits for it in order), its kind, whether it is an error, JSON.
Recorded: TypeAlias = tuple[int, str, bool, bytes]


class RunState:
    """What the engine has said of a run, what its code has said, and what follows of how it stands."""

    __slots__ = (
        "ahead",
        "attempt",
        "calls",
        "came_to",
        "driver",
        "ending",
        "epoch",
        "event_tuples",
        "failures",
        "fresh",
        "function",
        "has_left_step",
        "id",
        "inline",
        "is_dropped",
        "is_marked",
        "late",
        "layered",
        "lost",
        "memos",
        "misplaced_count",
        "names",
        "next_memo",
        "number",
        "pending",
        "ready",
        "seen",
        "step_attempt",
        "targets",
        "tasks",
        "unawaited",
        "unconfirmed",
        "unmet",
        "worker",
    )

    def __init__(  # noqa: PLR0915, PLR0917  # each is one thing the caller has at hand
        self,
        worker: Home[Any],
        run_id: str,
        function: Function[Any, Any],
        events: tuple[EventTuple, ...],
    ) -> None:
        self.worker = worker
        self.id = run_id
        self.function = function
        self.event_tuples = events
        self.is_dropped, self.is_marked = False, False
        self.driver: Any = None
        # What the engine said. The stretch's epoch is None while it has no slot; a memo is its place
        # in the order of recording, its kind, whether it is an error, and JSON; a target is a step to execute
        # with a slot of its own, with its epoch and attempt, and how often it has failed: what is cut off by a crash is
        # an attempt and no failure.
        self.epoch: int | None = None
        self.number = self.seen = 0
        self.attempt = self.step_attempt = self.failures = 0
        self.memos: dict[str, Recorded] = {}
        self.pending: set[str] = set()
        self.targets: dict[str, tuple[int, int, int]] = {}
        # What the code said. `calls` are awaited and neither answered nor given up, `lost` were given
        # up, `late` are remembered, but others were recorded first. `unmet` are the step recorded last and
        # those pending, until the code comes to them or asks for a new one: so long it is gone through again.
        # `fresh` are new ones that it asked for while it had not come to all that is remembered.
        # `came_to` are those that the last call came to, where it was made just now.
        self.names = StepNames()
        self.came_to: StepNames | None = None
        self.unawaited: dict[str, StepCall[Any]] = {}
        self.calls: dict[str, StepCall[Any]] = {}
        self.lost: set[str] = set()
        self.late: dict[int, StepCall[Any]] = {}
        self.next_memo = 0
        self.unmet: set[str] | None = None
        self.fresh: list[str] = []
        self.misplaced_count = 0
        self.tasks: HandlerTasks | None = None
        self.ready: list[StepCall[Any]] = []
        self.inline: StepCall[Any] | None = None
        self.has_left_step = False
        self.unconfirmed: dict[int, StepCall[Any]] = {}
        self.ending: Op | None = None
        # What stands between it and its code; nothing where its function has no middleware.
        self.layered = layered(self) if function.stack.members else None
        # How far it is ahead of the disk; nothing where it waits for each step.
        self.ahead: Ahead | None = None
        if function.checkpointing is not None and not worker.forgets:
            self.ahead = Ahead(function.checkpointing, worker.clock)

    def own_data(self) -> Any:
        """The data of the event that started it, read anew: kept, they would cost memory for as long as the run waits."""
        return read_plain(self.event_tuples[0][2])

    def mark(self) -> None:
        """Something changed: look at this run at the end of the pass."""
        if not self.is_marked:
            self.is_marked = True
            self.worker.mark(self)

    def know_task(self, task: asyncio.Task[Any]) -> None:
        """One of its tasks, where those that it waits for cannot be seen."""
        if self.tasks is None:
            self.tasks = HandlerTasks(self.driver)
        self.tasks.know(task)

    def _has_missed(self) -> bool:
        """True where the code will not come to the steps that it is to execute."""
        return not self.is_executing_steps() and self._stands_still()

    def is_busy(self) -> bool:
        """True while its code executes: there is something to wait for before the engine closes."""
        if self._is_under_way() and not self.is_dropped:
            return True
        driver = self.driver
        if self.is_dropped or self.epoch is None or not (driver and driver.has_begun):
            return False
        return not (self.ready or driver.is_at_step or self._is_quiet())

    def _is_under_way(self) -> bool:
        """True while something of it executes here or is not confirmed: its code cannot be put aside."""
        return (
            self.inline is not None
            or bool(self.unconfirmed)
            or self.is_executing_steps()
        )

    def is_executing_steps(self) -> bool:
        """True while steps execute here that have slots of their own."""
        return any(call.epoch is not None for call in self.calls.values())

    def _is_quiet(self) -> bool:
        """True where all of the handler waits for steps, and none executes in its own slot."""
        if self.inline is not None or self.unconfirmed:
            return False
        return bool(self.pending and self.calls) and self._stands_still()

    def _stands_still(self) -> bool:
        """True where all of the handler waits for steps; where it does not, it is looked at again."""
        if self.driver is None or self.driver.is_at_step:
            return self.driver is not None
        if self.tasks is None:
            self.tasks = HandlerTasks(self.driver)
        return self.tasks.stand_still(self.mark)
