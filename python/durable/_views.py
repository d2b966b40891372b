"""What is read of runs, steps, events and functions: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from typing_extensions import override

from ._codec import read_plain
from ._events import Event, make_event
from ._failure import read_error
from ._limits import WaitingOn, read_waits
from ._unread import UnreadSteps, UnreadWaits
from ._usage import Usage, read_usage


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._bridge import (
        EventTuple,
        FunctionTuple,
        RunTuple,
        ScheduleTuple,
        StepTuple,
        StoredEvent,
    )
    from ._cron import CatchUp

T = TypeVar("T")

RunStatus = Literal["queued", "running", "parked", "completed", "failed", "cancelled"]
StepStatus = Literal[
    "completed", "failed", "queued", "running", "backing_off", "sleeping", "waiting"
]
StepKind = Literal["run", "sleep", "wait_for_signal"]

ENDED = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What went wrong: the exception's name, its message, its traceback, its code where it has one."""

    name: str
    message: str
    stack: str = ""
    code: str | None = None

    @override
    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Attributes:
        name: its id, with a counter from the second use on.
        attempts: how often it was started; 0 where its result is taken over from the run that this one repeats.
        ended_at: when its result was recorded.
        due_at: when it goes on, where it sleeps or backs off; until when it waits for a signal.
    """

    name: str
    kind: StepKind
    status: StepStatus
    attempts: int = 0
    result: Any = None
    error: ErrorInfo | None = None
    asked_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def usage(self) -> Usage | None:
        """The tokens that it took, where its result says so as OpenAI's and Anthropic's answers do."""
        return read_usage(self.result)


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it stands.

    Attributes:
        function: its function's id.
        result: what the handler returned, once completed; typed where the function is known here.
        error: why it failed.
        due_at: when its code is tried again, where it failed.
        steps: its steps by name, in the order in which they were recorded. Not in lists: to look at them
            there raises a `UsageError`, which names `engine.runs.get`.
        created_at: when it was made; of a debounced or batched one when its events had gathered.
        waiting_on: why it does not go on, each thing of it that waits. Not in lists, as `steps`.
        rerun_of: the run that it repeats.
    """

    id: str
    function: str
    status: RunStatus
    event_ids: tuple[str, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    result: Any = None
    error: ErrorInfo | None = None
    steps: Mapping[str, Step] = field(default_factory=dict[str, Step])
    waiting_on: tuple[WaitingOn, ...] = ()
    rerun_of: str | None = None

    @property
    def is_ended(self) -> bool:
        """True once nothing more will happen to it."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as the engine keeps it.

    Attributes:
        id: the engine's own id of it; `event.id` is the sender's where it gave one.
        run_ids: the runs that it started, and those that repeat them.
        duplicate_of: the event with the same sender's id that came first.
        skipped: the functions that it would have started, each with the reason why it did not:
            "rate_limit", "idempotency", "singleton" or "paused".
    """

    id: str
    event: Event[dict[str, Any]]
    received_at: datetime
    run_ids: tuple[str, ...] = ()
    duplicate_of: str | None = None
    skipped: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What starts a function by the clock.

    Attributes:
        id: its id; `None` where it is a cron among its function's triggers.
        function: its function's id.
        cron: its expression; `None` where its ticks are the same time apart.
        tz: the time zone of its cron.
        every: the time between two ticks.
        data: what its events' data holds beside the engine's own fields.
        jitter: by how much each run comes later at most.
        catch_up: what becomes of missed ticks.
        is_paused: its ticks pass by.
        made_at: when it was made, or replaced by another.
        last_at: its last tick, whether a run came of it or not.
        next_at: the next tick; `None` while it is paused.
        fires_at: when the next run comes: `next_at` with its jitter.
    """

    id: str | None
    function: str
    cron: str | None
    tz: str | None
    every: timedelta | None
    data: Mapping[str, Any]
    jitter: timedelta | None
    catch_up: CatchUp
    is_paused: bool
    made_at: datetime
    last_at: datetime | None
    next_at: datetime | None
    fires_at: datetime | None


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A registered function. `is_archived`: its app no longer has it. `is_paused`: nothing of it goes on.

    Attributes:
        crons: those of its triggers, each with its next tick.
    """

    id: str
    app: str
    triggers: tuple[str, ...]
    retries: int
    concurrency: int | None
    is_archived: bool
    is_paused: bool = False
    crons: tuple[Schedule, ...] = ()


class Page(list[T]):
    """What a list gave, and where it goes on.

    Attributes:
        cursor: hand it to the next `list`; `None` where this was the last page.
    """

    __slots__ = ("cursor",)

    def __init__(self, members: Iterable[T], cursor: str | None) -> None:
        super().__init__(members)
        self.cursor = cursor


def moment(ms: int) -> datetime:
    """Ms since the epoch as a datetime in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def moment_or_none(ms: int | None) -> datetime | None:
    """The same, where there may be none."""
    return None if ms is None else moment(ms)


def read_error_info(json: bytes | None) -> ErrorInfo | None:
    """The error that a run or a step ended with."""
    if json is None:
        return None
    error = read_error(json)
    return ErrorInfo(error["name"], error["message"], error["stack"], error.get("code"))


def read_run(
    row: RunTuple,
    read_result: Callable[[str, bytes], Any],
    waits: bytes | None = None,
    *,
    is_listed: bool = False,
) -> Run:
    """A run as the native module gives it, or a list of it; `read_result` knows each function's type."""
    (
        run_id,
        function,
        events,
        status,
        created,
        started,
        ended,
        result,
        error,
        due,
        steps,
        rerun_of,
    ) = row
    return Run(
        id=run_id,
        function=function,
        status=cast("RunStatus", status),
        event_ids=tuple(events),
        created_at=moment(created),
        started_at=moment_or_none(started),
        ended_at=moment_or_none(ended),
        due_at=moment_or_none(due),
        result=None if result is None else read_result(function, result),
        error=read_error_info(error),
        steps=UnreadSteps(run_id)
        if is_listed
        else {step[0]: _read_step(step) for step in steps},
        waiting_on=UnreadWaits(run_id) if is_listed else read_waits(waits),
        rerun_of=rerun_of,
    )


def _read_step(row: StepTuple) -> Step:
    name, kind, status, json, attempts, asked, ended, due = row
    is_failed = status == "failed"
    return Step(
        name=name,
        kind=cast("StepKind", kind),
        status=cast("StepStatus", status),
        attempts=attempts,
        result=None if is_failed or json is None else read_plain(json),
        error=read_error_info(json) if is_failed else None,
        asked_at=moment(asked),
        ended_at=moment_or_none(ended),
        due_at=moment_or_none(due),
    )


def read_event_tuple(row: EventTuple) -> Event[dict[str, Any]]:
    """An event as the native module gives it, its data as plain values."""
    event_id, name, json, ts, _received, sent_id, version, user = row
    who = None if user is None else read_plain(user)
    return make_event(
        name, read_plain(json), id=sent_id or event_id, ts=ts, v=version, user=who
    )


def read_received(row: StoredEvent) -> ReceivedEvent:
    """An event, and what it started."""
    event, runs, duplicate_of, skips = row
    return ReceivedEvent(
        event[0],
        read_event_tuple(event),
        moment(event[4]),
        tuple(runs),
        duplicate_of,
        dict(skips),
    )


def read_function(row: FunctionTuple) -> FunctionInfo:
    """A registered function as the native module gives it."""
    name, app, triggers, retries, policies, is_archived, is_paused, crons = row
    limits = read_plain(policies)["concurrency"]
    concurrency = next((one["limit"] for one in limits if one["key"] is None), None)
    return FunctionInfo(
        name,
        app,
        tuple(triggers),
        retries,
        concurrency,
        is_archived,
        is_paused,
        tuple(read_schedule(cron) for cron in crons),
    )


def read_schedule(row: ScheduleTuple) -> Schedule:
    """A schedule as the native module gives it."""
    schedule_id, function, rhythm, data, jitter_ms, catch_up, is_paused, *moments = row
    cron, tz, every_ms = rhythm
    made, last, following, fires = moments
    return Schedule(
        id=schedule_id,
        function=function,
        cron=cron,
        tz=tz,
        every=None if every_ms is None else timedelta(milliseconds=every_ms),
        data=read_plain(data),
        jitter=timedelta(milliseconds=jitter_ms) if jitter_ms else None,
        catch_up=cast("CatchUp", catch_up),
        is_paused=is_paused,
        made_at=moment(cast("int", made)),
        last_at=moment_or_none(last),
        next_at=moment_or_none(following),
        fires_at=moment_or_none(fires),
    )
