"""A small model of the native module: one run's protocol, in memory, at a time that only moves by hand.

It says what the contract in `_core.pyi` says of work, memos, confirmations and parking, without a
store, without limits on concurrency, and with every back-off one second long.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import Any


ACCEPTED, REFUSED, STARTED, WORK, MEMOS, CONFIRM, ABANDON, ENDED = range(8)
STEP_RUN, STEP_ERROR, STEP_PLANNED, SLEEP, SLEEP_UNTIL, RUN_COMPLETE, RUN_ERROR = range(
    7
)
BACKOFF_MS = 1000


@dataclass
class Step:
    """A step without a memo."""

    state: str  # queued, executing, sleeping, backing_off
    epoch: int = 0
    due: int = 0
    starts: int = 0
    failures: int = 0
    is_sleep: bool = False


@dataclass
class Run:
    """One run."""

    id: str
    function: int
    event: tuple[Any, ...]
    stretch: str = "queued"  # queued, executing, parked, backing_off, ended
    epoch: int = 0
    due: int = 0
    starts: int = 0
    failures: int = 0
    reports: int = 0
    memos: list[tuple[str, str, bool, bytes]] = field(default_factory=list)
    pending: dict[str, Step] = field(default_factory=dict)
    is_live: bool = False
    given: int = 0
    outcome: tuple[str, bytes] | None = None


class FakeCore:
    """The part of `Core` that a worker uses."""

    def __init__(self, retries: int = 4) -> None:
        self.now = 1_000_000
        self.runs: dict[str, Run] = {}
        self.outbox: list[tuple[Any, ...]] = []
        self.joins: set[int] = set()
        self.reports: list[tuple[Any, ...]] = []
        self.held: list[tuple[Any, ...]] | None = (
            None  # reports on their way to the disk
        )
        self.woken: list[str] = []
        self.retries = retries
        self.is_drained = False
        self._watched: set[str] = set()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._is_parked = False
        self._last = 0

    # --- the contract

    def fileno(self) -> int:
        return self._fd

    def drain(self, limit: int) -> list[tuple[Any, ...]]:
        self._is_parked = False
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        items, self.outbox = self.outbox[:limit], self.outbox[limit:]
        return items

    def park(self) -> bool:
        self._is_parked = not self.outbox
        return self._is_parked

    def wake(self, runs: Any) -> None:
        self.woken += list(runs)

    def submit(
        self,
        sends: Any,
        calls: Any,
        reports: Any,
        dropped: Any = (),
        reloads: Any = (),
    ) -> int:
        for report in reports:
            self.reports.append(report)
            if self.held is None:
                self._report(*report)
            else:
                self.held.append(report)
        for run_id in dropped:
            self.runs[run_id].is_live = False
        for run_id, epoch in reloads:
            self._reload(self.runs[run_id], epoch)
        for ticket, events, _source in sends:
            self._say(ACCEPTED, ticket, [self._start(0, event) for event in events])
        for ticket, _name, data, _is_signal in calls:
            run = self._start(
                0, ("durable/function.invoked", data, None, None, None, None)
            )
            self._say(STARTED, ticket, run, self.runs[run].event[0])
        self._offer()
        return len(sends) + len(calls)

    def watch(self, runs: list[str]) -> None:
        self._watched.update(runs)
        for run_id in runs:
            self._announce(self.runs[run_id])

    def unwatch(self, runs: list[str]) -> None:
        self._watched.difference_update(runs)

    # --- by hand

    def unjoin(self, ticket: int) -> None:
        self.joins.discard(ticket)

    def start(self, function: int = 0, name: str = "a", data: bytes = b"{}") -> str:
        run = self._start(function, (name, data, None, None, None, None))
        self._offer()
        return run

    def advance(self, ms: int) -> None:
        self.now += ms
        for run in self.runs.values():
            if run.stretch == "backing_off" and run.due <= self.now:
                run.stretch = "queued"
            for name, step in list(run.pending.items()):
                if step.due <= self.now and step.state == "sleeping":
                    del run.pending[name]
                    self._remember(run, name, "sleep", is_error=False, data=b"null")
                elif step.due <= self.now and step.state == "backing_off":
                    step.state = "queued"
        self._offer()

    def hold(self) -> None:
        """The disk is slow: what is reported from here on waits."""
        self.held = []

    def commit(self, count: int | None = None) -> None:
        """So many reports that wait reach the disk; all by default, and none waits any more."""
        held, self.held = self.held or [], None
        for report in held[:count]:
            self._report(*report)
        if count is not None:
            self.held = held[count:]
        self._offer()

    def lose_executor(self) -> None:
        """As after a restart of the process: what has not reached the disk is lost."""
        self.held = None
        self.outbox.clear()
        for run in self.runs.values():
            run.is_live = False
            if run.stretch == "executing":
                run.stretch = "queued"
            for step in run.pending.values():
                if step.state == "executing":
                    step.state = "queued"
        self._offer()

    # --- the model

    def _start(self, function: int, event: tuple[Any, ...]) -> str:
        self._last += 1
        name, data, sent_id, ts, version, user = event
        full = (
            f"E{self._last}",
            name,
            data,
            ts or self.now,
            self.now,
            sent_id,
            version,
            user,
        )
        run = Run(f"R{self._last}", function, full)
        self.runs[run.id] = run
        return run.id

    def _say(self, *item: Any) -> None:
        self.outbox.append(item)
        if self._is_parked:
            self._is_parked = False
            os.eventfd_write(self._fd, 1)

    def _offer(self) -> None:
        if self.is_drained:
            return
        for run in self.runs.values():
            if run.stretch == "queued":
                run.stretch, run.reports = "executing", 0
                run.starts += 1
                self._work(run, None, self._next_epoch(run), run.starts - 1)
            for name, step in run.pending.items():
                if step.state == "queued" and run.stretch != "ended":
                    step.state = "executing"
                    step.starts += 1
                    step.epoch = self._next_epoch(run, is_stretch=False)
                    self._work(run, name, step.epoch, step.starts - 1)

    def _next_epoch(self, run: Run, *, is_stretch: bool = True) -> int:
        self._last += 1
        if is_stretch:
            run.epoch = self._last
        return self._last

    def _work(self, run: Run, step: str | None, epoch: int, attempt: int) -> None:
        events = () if run.is_live else (run.event,)
        memos = run.memos[run.given :] if run.is_live else list(run.memos)
        run.is_live, run.given = True, len(run.memos)
        pending = list(run.pending)
        piece = run if step is None else run.pending[step]
        self._say(
            WORK,
            run.id,
            epoch,
            run.function,
            step,
            (attempt, attempt, piece.failures),
            len(run.memos),
            events,
            memos,
            pending,
        )

    def _reload(self, run: Run, epoch: int) -> None:
        run.is_live = False
        if run.epoch == epoch and run.stretch == "executing":
            self._work(run, None, epoch, run.starts - 1)
        for name, step in run.pending.items():
            if step.epoch == epoch and step.state == "executing":
                self._work(run, name, epoch, step.starts - 1)

    def _report(
        self,
        run_id: str,
        epoch: int,
        number: int,
        ops: list[Any],
        parked_at: int | None,
    ) -> None:
        run = self.runs[run_id]
        if run.stretch == "executing" and run.epoch == epoch:
            assert number == run.reports, "a report is missing"
            run.reports += 1
            for op in ops:
                self._obey(run, op)
            if run.stretch == "executing" and run.epoch == epoch:
                if parked_at is None:
                    self._say(CONFIRM, run.id, epoch, number, len(run.memos))
                    run.given = max(run.given, len(run.memos))
                else:
                    run.stretch = "queued" if parked_at < len(run.memos) else "parked"
                    run.starts = run.failures = 0
                    assert run.stretch == "queued" or run.pending, "waits for nothing"
            return
        for name, step in list(run.pending.items()):
            if step.state == "executing" and step.epoch == epoch:
                self._report_step(run, name, step, ops)
                return
        self._say(ABANDON, run_id, epoch)

    def _report_step(self, run: Run, name: str, step: Step, ops: list[Any]) -> None:
        del run.pending[name]
        match ops:
            case [(0, _, data)]:
                self._remember(run, name, "run", is_error=False, data=data)
            case [(1, _, error, retry)] | [(6, error, retry, _)]:
                self._fail_step(run, name, step, error, retry)
            case _:
                self._end(
                    run,
                    "failed",
                    b'{"name":"NonDeterminismError","message":"not reached"}',
                )

    def _obey(self, run: Run, op: tuple[Any, ...]) -> None:  # noqa: C901, PLR0912  # one table of cases
        match op:
            case (0, name, data):
                run.pending.pop(name, None)
                run.memos.append((name, "run", False, data))
                run.given = len(run.memos)
                run.starts, run.failures = 1, 0
            case (1, name, error, retry):
                self._fail_step(
                    run, name, run.pending.pop(name, Step("", starts=1)), error, retry
                )
            case (2, name):
                run.pending.setdefault(name, Step("queued"))
            case (3, name, ms):
                run.pending.setdefault(
                    name, Step("sleeping", due=self.now + ms, is_sleep=True)
                )
            case (4, name, ms):
                run.pending.setdefault(name, Step("sleeping", due=ms, is_sleep=True))
            case (5, data):
                self._end(run, "completed", data)
            case (6, error, retry, _):
                run.failures += 1
                run.is_live = False
                if retry == -1 or run.failures > self.retries:
                    self._end(run, "failed", error)
                else:
                    run.stretch, run.due = (
                        "backing_off",
                        self.now + (retry or BACKOFF_MS),
                    )

    def _fail_step(
        self, run: Run, name: str, step: Step, error: bytes, retry: int | None
    ) -> None:
        step.failures += 1
        if retry == -1 or step.failures > self.retries:
            self._remember(run, name, "run", is_error=True, data=error)
            return
        step.state, step.due = "backing_off", self.now + (retry or BACKOFF_MS)
        run.pending[name] = step

    def _remember(
        self, run: Run, name: str, kind: str, *, is_error: bool, data: bytes
    ) -> None:
        run.memos.append((name, kind, is_error, data))
        if run.stretch == "executing" and run.is_live:
            memos = run.memos[run.given :]
            run.given = len(run.memos)
            self._say(MEMOS, run.id, run.epoch, len(run.memos), memos)
        elif run.stretch == "parked":
            run.stretch, run.starts, run.failures = "queued", 0, 0

    def _end(self, run: Run, status: str, data: bytes) -> None:
        run.stretch, run.outcome = "ended", (status, data)
        run.pending.clear()
        run.is_live = False
        self._say(12, run.id, data if status == "failed" else None)
        self._announce(run)

    def _announce(self, run: Run) -> None:
        if run.outcome is not None and run.id in self._watched:
            self._watched.discard(run.id)
            self._say(ENDED, run.id, *run.outcome, run.event[0])
