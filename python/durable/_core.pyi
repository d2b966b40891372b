"""The native module: one object, batches in and batches out.

Moments and lengths are whole milliseconds, moments since the Unix epoch. Ids are ULIDs of 26 letters.
Payloads are JSON bytes that the engine never reads. Whatever may block gives the interpreter free.

How a loop uses it: open, register, `loop.add_reader(core.fileno(), wake)`, connect. `wake` drains
until nothing is left, runs what came, hands everything back with one submit, and parks:

    while items := core.drain(1024):
        ...run them, collect reports and sends...
        core.submit(sends, calls, reports, dropped, reloads)
    if not core.park():  # something came meanwhile
        loop.call_soon(wake)

While parked, the first item that comes makes `fileno()` readable. While not parked, nothing does.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

__all__ = [
    "Core",
    "CoreError",
    "HttpServer",
    "__version__",
    "check_cron",
    "check_expression",
    "expression_keys",
    "expression_paths",
    "rehearse",
    "store_backup",
    "store_check",
    "store_restore",
]

__version__: Final[str]

class CoreError(Exception):
    """The one error of this module: `args` is `(kind, text)`; the text says what to do.

    Kinds: `invalid` (a setting), `event` (an event that is not accepted), `too_large`,
    `unknown_function`, `skipped` (flow control let a run not be started), `not_found` (a run, an event, a step),
    `no_waiter` (of a signal), `closed`,
    `forked`, `broken` (a broken invariant stopped the engine), and of the store: `locked`, `location` (it
    cannot be where it is said to be), `corrupt`, `io`, `full`, `newer`, `poisoned` (a write failed: nothing is
    acknowledged until it is opened again).
    """

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...

# --- what Python hands in -------------------------------------------------------------------------

#: name, data (a JSON object), sender's id, moment, version, user (JSON)
NewEvent: TypeAlias = tuple[
    str, bytes, str | None, int | None, str | None, bytes | None
]
#: ticket, events (all or none), (source, position) of a batch that must count only once
Send: TypeAlias = tuple[int, Sequence[NewEvent], tuple[str, int] | None]
#: ticket, function, data (a JSON object), False: start a run; or ticket, signal, data (JSON), True: send a signal
Call: TypeAlias = tuple[int, str, bytes, bool]

#: When a failed try is repeated. None: as the back-off says; n: after n ms; negative: not at all.
Retry: TypeAlias = int | None
Op: TypeAlias = (
    tuple[Literal[0], str, bytes]  # STEP_RUN: name, result
    | tuple[Literal[1], str, bytes, Retry]  # STEP_ERROR: name, error
    | tuple[Literal[2], str]  # STEP_PLANNED: name
    | tuple[Literal[3], str, int]  # SLEEP: name, length
    | tuple[Literal[4], str, int]  # SLEEP_UNTIL: name, moment
    | tuple[Literal[5], bytes]  # RUN_COMPLETE: result
    # RUN_ERROR: error, True where a step had begun inside the code that is not reported
    | tuple[Literal[6], bytes, Retry, bool]
    # WAIT_FOR_SIGNAL: name, signal, time-out, True where it takes another waiter's place
    | tuple[Literal[7], str, str, int, bool]
    # WAIT_FOR_EVENT: name, event's name, CEL, time-out, True where it looks back to the run's start, the wait
    # for an event that the code asking for it goes on behind
    | tuple[Literal[8], str, str, str | None, int, bool, str | None]
    | tuple[Literal[9], str, str, bytes, int]  # INVOKE: name, function, data, time-out
)
#: run, epoch, number (0, 1, 2.. within the epoch), ops, parked_at (the last `memo_count` seen, when all
#: of the handler waits and the slot is given back)
Report: TypeAlias = tuple[str, int, int, Sequence[Op], int | None]

#: name, trigger event names, retries, delays, jitter, policies (a JSON object, as `Policies` in
#: durable-core's flow/policy.rs, and `crons`, a list of `CronTrigger`s of its schedule.rs)
Function: TypeAlias = tuple[str, Sequence[str], int, Sequence[int], int, bytes]

# --- what Python gets: items, told apart by their first member ------------------------------------

#: id, name, data, ts, received_at, sender's id, version, user
EventTuple: TypeAlias = tuple[
    str, str, bytes, int, int, str | None, str | None, bytes | None
]
#: name, kind ("run", "sleep", "wait_for_signal", "wait_for_event" or "invoke"), True where the JSON is an error, JSON
MemoTuple: TypeAlias = tuple[str, str, bool, bytes]

Accepted: TypeAlias = tuple[Literal[0], int, list[str]]  # ticket, event ids
Refused: TypeAlias = tuple[Literal[1], int, str, str]  # ticket, kind, text
Started: TypeAlias = tuple[Literal[2], int, str, str]  # ticket, run, event
Work: TypeAlias = tuple[
    Literal[3],
    str,  # run
    int,  # epoch
    int,  # function, its number from `register`
    str | None,  # step to execute; None: the code between steps
    tuple[
        int, int, int
    ],  # attempt, from 0; that of a step inside the code between steps; how often it has failed
    int,  # memo_count: what is seen once these memos are taken in
    tuple[
        EventTuple, ...
    ],  # none: the run is live here, the memos are those it has not seen
    list[MemoTuple],
    list[str],  # names of steps that are pending: wait, do not ask again
]
Memos: TypeAlias = tuple[
    Literal[4], str, int, int, list[MemoTuple]
]  # run, epoch, memo_count
Confirm: TypeAlias = tuple[
    Literal[5], str, int, int, int
]  # run, epoch, number, memo_count
Abandon: TypeAlias = tuple[
    Literal[6], str, int
]  # run, epoch: drop what executes under it
#: A watched run ended: run, status, result or error, the event that started it
Ended: TypeAlias = tuple[
    Literal[7], str, Literal["completed", "failed", "cancelled"], bytes, str
]
#: The engine has stopped: tell every waiting caller, nothing else will come. kind (as in `CoreError`), text
Poisoned: TypeAlias = tuple[Literal[8], str, str]
Room: TypeAlias = tuple[Literal[9]]  # after a submit that did not take all: try again
Idle: TypeAlias = tuple[Literal[10], int]  # ticket of `join` or `advance`
Unknown: TypeAlias = tuple[Literal[11], str]  # a watched run that does not exist
#: A run that is live here has ended: forget it. Comes for each run that executed here. run, its error where it failed
Finished: TypeAlias = tuple[Literal[12], str, bytes | None]
Signalled: TypeAlias = tuple[Literal[13], int, str]  # ticket, the run that was given it
#: There may be something new on a channel that is subscribed to. channel
Stirred: TypeAlias = tuple[Literal[20], str]
Published: TypeAlias = tuple[Literal[21], int, int]  # ticket, the message's number

Item: TypeAlias = (
    Accepted
    | Refused
    | Started
    | Work
    | Memos
    | Confirm
    | Abandon
    | Ended
    | Poisoned
    | Room
    | Idle
    | Unknown
    | Finished
    | Signalled
    | Stirred
    | Published
)

# --- what is read ---------------------------------------------------------------------------------

#: name, kind, status ("completed", "failed", "queued", "running", "backing_off", "sleeping", "waiting"), JSON (result
#: or error) once it has ended, attempts started, asked_at, ended_at, the moment it goes on where it waits
StepTuple: TypeAlias = tuple[
    str, str, str, bytes | None, int, int, int | None, int | None
]
#: id, function (its name), event ids, status, created_at, started_at, ended_at, result, error, moment of
#: the next try, steps (empty in lists), the run that it repeats
RunTuple: TypeAlias = tuple[
    str,
    str,
    list[str],
    str,
    int,
    int | None,
    int | None,
    bytes | None,
    bytes | None,
    int | None,
    list[StepTuple],
    str | None,
]
#: event, ids of the runs it started, the event it repeats, the functions that it did not start and why
#: ("rate_limit", "idempotency", "singleton", "paused")
StoredEvent: TypeAlias = tuple[EventTuple, list[str], str | None, list[tuple[str, str]]]
#: messages (number, topic, JSON, published_at), how many behind the number asked from are gone, the number behind
#: the channel's last message (0: it has none)
MessagePage: TypeAlias = tuple[list[tuple[int, str, bytes, int]], int, int]
#: id (None: a function's trigger), function, (cron, time zone, period: of a cron the first two), data (JSON), jitter,
#: catch_up, is_paused, made_at, the moments of its last tick, of its next, and of when that comes with its jitter
ScheduleTuple: TypeAlias = tuple[
    str | None,
    str,
    tuple[str | None, str | None, int | None],
    bytes,
    int,
    str,
    bool,
    int,
    int | None,
    int | None,
    int | None,
]
#: name, app, triggers, retries, policies (JSON), is_archived, is_paused, crons
FunctionTuple: TypeAlias = tuple[
    str, str, list[str], int, bytes, bool, bool, list[ScheduleTuple]
]

@final
class Core:
    """An open store and the threads that drive it. Calls are safe from every thread."""

    @staticmethod
    def open(
        store: str,
        *,
        sync: str = "always",
        clock: str = "system",
        capacity: int = 1000,
        retention_ms: int | None = None,
        max_mailbox: int = 65_536,
        seed: int | None = None,
    ) -> Core:
        """Open or create a store: a path, `sled:PATH`, `redb:PATH`, `memory:`.

        `clock`: `system`; `scaled:60` (60 times as fast); `virtual` (moves by `advance` only);
        `virtual:auto` (jumps to the next deadline when nothing executes and Python is parked).
        """

    @property
    def notices(self) -> list[str]:
        """What opening did that the user should know: what was replayed or built again, and why."""

    def register(self, app: str, functions: Sequence[Function]) -> list[int]:
        """Say what an application's functions are now; durable when it returns. Blocks."""

    def pause(self, function: str, is_paused: bool) -> None:  # as it crosses the border
        """Pause a function or let it go on; durable when it returns. Blocks."""

    def cancel(self, run: str) -> bool:
        """Call a run off; durable when it returns. False where no such run lives. Blocks."""

    def cancel_many(self, runs: Sequence[str]) -> list[bool]:
        """The same for many, in few commits."""

    def cancel_event(self, event: str) -> int | None:
        """Call off the runs of an event that have not started, durable when it returns: how many they were. None
        where there is no such event. Blocks."""

    def rerun(
        self,
        run: str,
        from_step: str | None = None,
        output: bytes | None = None,
        data: bytes | None = None,
    ) -> str:
        """Start a run that repeats another, durable when it returns the new run's id. Blocks.

        `from_step`: what was recorded before it is taken over, and with `output` (JSON) that step too. `data` (a JSON
        object) takes the place of its event's.
        """

    def rerun_many(self, runs: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """Repeat each run that no later one of its event repeats yet: the new run's id, or why there is none."""

    def put_schedule(
        self, schedule: str, function: str, spec: bytes, data: bytes
    ) -> None:
        """Make a schedule or replace it; durable when it returns. The spec is a `ScheduleSpec` of durable-core's
        schedule.rs, JSON. Blocks."""

    def change_schedule(
        self, schedule: str, change: Literal["pause", "resume", "delete", "trigger"]
    ) -> str | None:
        """Do something with a schedule; durable when it returns. The run, where it triggers one. Blocks."""

    def connect(self, functions: Sequence[str]) -> None:
        """Be ready for work on these functions: it begins to come. All that an executor had before is
        offered again."""

    def drain_executor(self) -> None:
        """Want no more work. What executes may still be reported."""

    def fileno(self) -> int:
        """Readable when something has come while parked."""

    def drain(self, limit: int) -> list[Item]:
        """Take what has come, in order, at most so many items; empty when there is nothing."""

    def park(self) -> bool:
        """Be woken by `fileno` from now on. False: something is there already, drain first. Call it when the
        tasks that the pass woke have had their turn (`loop.call_soon`): a virtual clock takes it to mean
        that Python has nothing to do."""

    def submit(
        self,
        sends: Sequence[Send],
        calls: Sequence[Call],
        reports: Sequence[Report],
        dropped: Sequence[str] = (),
        reloads: Sequence[tuple[str, int]] = (),
    ) -> int:
        """Hand over a pass's whole output; never blocks.

        Reports are always taken. Returns how many of sends and then calls were taken, in order; when
        that is not all of them, the mailbox is full: try the rest again after `Room`.
        `dropped`: live runs that Python has forgotten. `reloads`: (run, epoch) of work that came as a
        difference to what Python has forgotten: it comes again, whole.
        """

    def wake(self, runs: Sequence[str]) -> None:
        """The code of these runs, which are parked, would go on by itself: give it a slot in its turn."""

    def send_wait(
        self, events: Sequence[NewEvent], source: tuple[str, int] | None = None
    ) -> list[str]:
        """The same as a send, from another thread: blocks until the events are durable."""

    def publish(self, ticket: int, channel: str, topic: str, data: bytes) -> None:
        """Publish a message; `Published` or `Refused` comes once it is durable. Never blocks."""

    def publish_wait(self, channel: str, topic: str, data: bytes) -> int:
        """The same from another thread: its number. Blocks."""

    def subscribe(self, channel: str) -> None:
        """Ask for `Stirred` now and whenever there is something new on a channel: a message, or, where a run's
        id is its name, something that the run has recorded."""

    def unsubscribe(self, channel: str) -> None:
        """No longer."""

    def watch(self, runs: Sequence[str]) -> None:
        """Ask for one `Ended` (or `Unknown`) for each of these runs, also for those that have ended."""

    def unwatch(self, runs: Sequence[str]) -> None:
        """No longer."""

    def join(self, ticket: int) -> None:
        """Ask for `Idle` once no run is queued, running or parked on a timer."""

    def unjoin(self, ticket: int) -> None:
        """Nobody waits under this ticket any more; a clock that it moves stands still where it is."""

    def advance(self, ticket: int, length_ms: int) -> None:
        """Move a virtual clock, deadline by deadline; `Idle` comes when it has arrived and nothing
        executes."""

    def now_ms(self) -> int:
        """The engine's time."""

    # These read what is stored. They block for at most one commit: call them from a thread.

    def run(self, run: str) -> RunTuple | None: ...
    def waiting_on(self, run: str) -> bytes | None:
        """What a live run waits for, JSON: a list of `WaitView`s (durable-core's shard/inspect.rs)."""

    def limits(self, function: str, most: int) -> bytes | None:
        """How a function's limits are used, JSON: a list of `LimitView`s, so many for each policy."""

    def runs(
        self,
        *,
        status: Sequence[str] = (),
        function: str | None = None,
        since_ms: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[RunTuple], str | None]:
        """Newest first; the second member is the cursor of the next page."""

    def select(
        self,
        status: Sequence[str],
        function: str | None,
        created: tuple[int | None, int | None],
        between: tuple[str | None, str | None],
        *,
        condition: str | None = None,
        last_only: bool = False,
    ) -> tuple[list[str], str | None]:
        """The ids of those runs among the next thousand or so, oldest first, and the last that was looked at where
        there are more.

        `created`: since and until. `between`: younger than the first run, not younger than the second. `condition`: an
        expression that each event of a run meets. `last_only`: without runs that a later one of their event repeats.
        """

    def event(self, event: str) -> StoredEvent | None: ...
    def events(
        self,
        *,
        name: str | None = None,
        since_ms: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[StoredEvent], str | None]: ...
    def functions(self) -> list[FunctionTuple]: ...
    def messages(self, channel: str, after: int, limit: int) -> MessagePage:
        """Messages of a channel behind the one of this number, at most so many; behind 0: all that are kept."""

    def schedule(self, schedule: str) -> ScheduleTuple | None: ...
    def schedules(
        self, *, function: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[ScheduleTuple], str | None]:
        """By their ids, without functions' triggers; the second member is the cursor of the next page."""

    def source_position(self, source: str) -> int | None:
        """How far a source of events has got: the position of its last accepted batch."""

    def stats(self) -> dict[str, object]:
        """Counts: `functions` {name: {queued, running, executing, completed, failed, cancelled, and
        parked: {sleep, retry}}}, `live`, `executing`, `timers`, `stale_reports`, `mailbox`, `outbox`, `now_ms`, `ahead_ms`,
        `commits` {count, bytes, turns, size_p50, size_p99, time_p50_us, time_p99_us}. Does not block."""

    def close(self, grace_ms: int = 0) -> None:
        """Stop: no more work, wait up to `grace_ms` for reports of what executes (drain and submit
        go on from the loop's thread), commit, end the threads. Blocks; safe to call twice."""

@final
class HttpServer:
    """An open engine behind HTTP, on threads of its own. Closed before its engine is."""

    @staticmethod
    def start(core: Core, settings: bytes) -> HttpServer:
        """Listen. Functions that live elsewhere, and were registered before, are called from now on.

        `settings` is a JSON object with all of: `host`, an IP address of this machine; `port`, 0 for any that is free;
        `is_dev`: for one programmer, without keys; `urls`: applications to ask for their functions; `discovers`: look
        for them at the usual places; `event_keys` and `signing_keys`; `allowed`: addresses and ranges that may be
        called beside the public network; `log`: what it says of itself to stderr, `text`, `json` or `off`;
        `retry_interval`: null, or s between tries, always. Raises CoreError: `invalid`, or `io` where nobody can listen
        there.
        """

    @property
    def port(self) -> int:
        """Where it listens."""

    def close(self) -> None:
        """Answer what has been asked, for a moment, and stop. Blocks for a few seconds at most; safe to call twice."""

def check_expression(
    text: str, scope: Literal["event", "async"], *, plain: bool = False
) -> tuple[str, int, int] | None:
    """What is wrong with an expression: the message, where it is and how long, in characters. None: nothing.

    The scope says which variables there are: `event`, or also `async`. `plain` refuses macros.
    """

def check_cron(text: str, tz: str) -> tuple[bool, str, int, int] | None:
    """What is wrong with a cron: True where it is the time zone's name, the message, and where in the text it is and
    how long, in characters. None: nothing."""

def expression_paths(text: str) -> list[tuple[str, int, int]]:
    """Each field an expression reads, as in `event.data.customer_id`, where it stands and how long, in characters."""

def expression_keys(text: str, events: Sequence[NewEvent]) -> list[str | None]:
    """The value of a key for each event, as flow control would have it; None where it has none."""

#: The event, when it comes and how long its run executes, both in microseconds
Arrival: TypeAlias = tuple[NewEvent, int, int]
#: For each event the place of its run, and the place of the word for why it has none; the words, among them
#: "duplicate". Here and below a column is 64-bit whole numbers in the machine's order, -1 for what is not there
EventColumns: TypeAlias = tuple[bytes, bytes, list[str]]
#: For each run the place of the event it was made for, when it started, when it ended, and how: 0 completed,
#: 1 failed, 2 cancelled
RunColumns: TypeAlias = tuple[bytes, bytes, bytes, bytes]

def rehearse(
    function: Function,
    arrivals: Sequence[Arrival],
    *,
    capacity: int = 1000,
    seed: int = 0,
    stop_at_us: int | None = None,
) -> tuple[EventColumns, RunColumns, int]:
    """What one function's flow control would do with events: the scheduler itself under a simulated clock.

    The events come in this order, at moments that rise, in microseconds since the epoch. It ends when nothing
    waits any more, or at `stop_at_us`; the last member is its last moment. Ctrl-C is heard a few times a second.
    """

def store_check(store: str) -> str:
    """Verify a store that nobody has open; a JSON object that says what was found."""

def store_backup(store: str, to: str) -> str:
    """Write a verified copy of a store that nobody has open to a file; a JSON object."""

def store_restore(source: str, store: str) -> str:
    """Make a new store out of a backup; a JSON object."""
