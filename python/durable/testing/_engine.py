"""The engine for tests: in memory, on a clock that jumps, with crashes where a test wants them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar, cast

from typing_extensions import override

from durable._codec import write_object
from durable._engine import Engine
from durable._errors import UsageError
from durable._events import Event, flat, is_event
from durable._layers import copy_event
from durable._setting import Place
from durable._step import CURRENT_RUN
from durable._views import moment

from ._disturbances import Disturbances, EventFate
from ._door import Door
from ._executed import Executed, check_known, executed, not_started, trigger_of
from ._mocks import Mocks
from ._pictures import picture, pictures
from ._steered import SteeredWorker


if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
    from types import TracebackType

    from durable._app import App
    from durable._bridge import Core
    from durable._duration import Duration
    from durable._execution import LiveRun
    from durable._function import Function
    from durable._session import Session
    from durable._views import Run
    from durable._worker import Worker

T = TypeVar("T")

#: How far the clock is moved at once where something is waited for: longer than any single wait is.
_JUMP_MS: Final = 400 * 86_400_000
_MAX_JUMPS: Final = 10
_RETENTION: Final = "366d"
_MAX_SHOWN_RUNS: Final = 5
#: What takes each event that comes for one more, before it is known as one that came before.
_COUNTING: Final = frozenset({"batch", "debounce", "rate_limit"})


class TestEngine(Engine):
    """An engine for tests: `async with TestEngine(app) as t`. It does all that `durable.Engine` does.

    Its store is in memory, its clock stands still until the test moves it or waits for a run, and all of its chance
    comes from `seed`. What the test sends or signals has been done, as far as it is due, when the call returns; where it
    executes or invokes, the clock jumps from moment to moment until the run has ended.

    Args:
        apps: whose functions are tested.
        seed: the same seed gives the same ids and jitter.
        replay: `"always"` forgets a handler's live code at each step, so that code which depends on something
            outside of steps shows itself.
        now: when the clock begins, a datetime or ms since the epoch; by default it is the wall's time.
        disturb: True: the seed also chooses crashes between steps, the order of steps in parallel, and events that
            come late or twice; or the disturbances themselves, as a test that failed has printed them.
        store: a path, for a crash that closes the store and opens it again.
        settings: those of `durable.Engine`. Variables and files are not read: a test is the same on every machine.

    Raises:
        ConfigError: a setting is wrong.
    """

    __test__ = False  # no test class, whatever its name
    _worker_type: ClassVar[type[Worker]] = SteeredWorker

    def __init__(  # settings, all by name
        self,
        *apps: App,
        seed: int = 1,
        replay: Literal["needed", "always"] = "needed",
        now: datetime | int | None = None,
        disturb: bool | Collection[str] | Disturbances = False,
        store: str | os.PathLike[str] = "memory:",
        **settings: Any,
    ) -> None:
        outside = settings.pop("settings", {})
        settings = {"grace": 0, "retention": _RETENTION, **settings}
        clock = "virtual" if now is None else f"virtual:{_to_ms(now)}"
        settings |= {"store": store, "clock": clock, "seed": seed, "replay": replay}
        super().__init__(*apps, settings=outside, **settings)
        self._is_all = not isinstance(disturb, Disturbances)
        if not isinstance(disturb, Disturbances):
            chosen = None if isinstance(disturb, bool) else disturb
            disturb = Disturbances(seed if disturb is True else None, chosen)
        #: What was done to the runs so far is `disturbances.done`.
        self.disturbances = disturb
        self._ours = disturb.of_engine()
        self._mocks: dict[tuple[str, str], Mocks] = {}
        self._event_count = 0
        self._crashing: asyncio.Task[None] | None = None
        self._jumping = asyncio.Lock()  # one moves the clock to what it waits for
        #: Is told of the newest runs when the engine closes: the plugin draws them where the test failed.
        self.keep: Callable[[list[Run], int], None] | None = None

    # --- time

    @property
    def now(self) -> datetime:
        """The engine's time, in UTC."""
        return moment(self.now_ms())

    @override
    async def advance(self, length: Duration) -> None:
        """Move the clock by so much, moment by moment, until all that fell due meanwhile is done."""
        await self._ready()
        until_ms = self.now_ms() + Place("advance", "length").duration_ms(length)
        await self._steered.idle(partial(self._move_to, until_ms))

    def _move_to(self, until_ms: int, ticket: int) -> None:
        """Have the clock moved to this moment; asked again, where a crash has come between, it is the same one."""
        core = self.session.core
        core.advance(ticket, max(0, until_ms - core.now_ms()))

    async def run_until_idle(self) -> None:
        """Let all go on that does so by itself: as `join`, with the clock jumping from moment to moment.

        Sleeps end, what failed is tried again, runs that a limit holds up get their turn. Runs that wait for an
        event, a signal or another run alone stay where they are: their time-outs come with `advance`.

        Raises:
            UsageError: there is no end to it.
        """
        await self._ready()
        worker, core = self._steered, self.session.core

        def join(ticket: int) -> None:
            worker.halt_at = ticket
            core.join(ticket)

        async with self._jumping:
            joined = asyncio.ensure_future(worker.idle(join))
            await self._jump_until(joined, self._count_commits)
        if joined.cancelled():
            drawn = pictures(await self._newest_runs(), self.now_ms())
            text = (
                f"run_until_idle: there is no end to what goes on by itself\n\n{drawn}"
            )
            raise UsageError(text)

    async def _jump_until(
        self,
        waiting: asyncio.Future[Any],
        progress: Callable[[], Awaitable[object]],
        most_ms: int = _JUMP_MS,
    ) -> None:
        """Move the clock to the moment at which this is done, and not farther; or give up and cancel it."""
        before: object = None
        try:
            for _ in range(_MAX_JUMPS):
                await self._jump(waiting, most_ms)
                await self._ready()
                after = self._crashing, await progress()
                if waiting.done() or after == before or most_ms < _JUMP_MS:
                    return
                before = after
        finally:
            self._steered.halt_at = None
            waiting.cancel()
            await asyncio.wait({waiting})

    async def _jump(self, waiting: asyncio.Future[Any], most_ms: int) -> None:
        await self._ready()
        worker, until_ms = self._steered, self.now_ms() + most_ms

        def move(ticket: int) -> None:
            worker.moved_by = ticket
            self._move_to(until_ms, ticket)

        moving = asyncio.ensure_future(worker.idle(move))
        try:
            await asyncio.wait({waiting, moving}, return_when="FIRST_COMPLETED")
        finally:
            moving.cancel()
            await asyncio.wait({moving})
        if not moving.cancelled():
            moving.result()

    async def _count_commits(self) -> object:
        commits: Any = self.stats()["commits"]
        return commits["bytes"]

    # --- in

    @override
    async def send(self, *events: Event[Any] | Iterable[Event[Any]]) -> list[str]:
        """Send events, and let all be done that they start, as far as it is due now: their ids.

        Raises:
            EventRefused: a name or a shape is not accepted.
            PayloadTooLarge: an event is.
            SerializationError: data is not JSON.
            EngineClosed: the engine is not open.
        """
        if not self._is_asked_by_test():
            return await super().send(*events)
        await self._ready()
        ids = await self._deliver(flat(events))
        await self.advance(0)
        return ids

    def _is_asked_by_test(self) -> bool:
        """False where code under test asks, which would wait for itself, or another thread."""
        return self.session.worker.is_own_loop() and CURRENT_RUN.get() is None

    @override
    async def signal(self, signal: str, data: object = None) -> str:
        """Resume the run that waits for this signal, and let all be done that is due then: the run's id.

        As `send`: the run has gone on when this returns, and the clock stands.

        Raises:
            SignalNotFound: nobody waits for it; it is not kept for later.
            ConfigError: it is no name of a signal.
            SerializationError: the data is not JSON.
            PayloadTooLarge: the data has more than 4 MB.
        """
        if not self._is_asked_by_test():
            return await super().signal(signal, data)
        await self._ready()
        run_id = await super().signal(signal, data)
        await self.advance(0)
        return run_id

    async def _deliver(self, events: list[Event[Any]]) -> list[str]:
        """Send events as the disturbances have them come."""
        fates = [self._fate_of(one) for one in events]
        late_ms = max((fate.late_ms for fate in fates), default=0)
        if late_ms:
            await self.advance(late_ms / 1000)
        known = [
            self._with_id(one) if fate.is_twice or fate.is_again else one
            for one, fate in zip(events, fates, strict=True)
        ]
        ids = await super().send(known)
        pairs = list(zip(known, fates, strict=True))
        await super().send([one for one, fate in pairs if fate.is_twice])
        again = [one for one, fate in pairs if fate.is_again]
        if again:
            await self.advance(0)
            await super().send(again)
        return ids

    def _fate_of(self, event: Event[Any]) -> EventFate:
        """What the disturbances do with it: it comes once where some function counts what comes."""
        name = str(getattr(event, "name", event))
        counts = any(
            trigger_of(function, name) and not _COUNTING.isdisjoint(function.flow)
            for function in self._functions.values()
        )
        return self._ours.next_event(name, comes_once=counts)

    def _with_id(self, event: Event[Any]) -> Event[Any]:
        """The event with an id by which it is known again."""
        if event.id is not None:
            return event
        self._event_count += 1
        return copy_event(event, id=f"test/{self._event_count}")

    async def execute(
        self,
        function: Function[Any, T],
        event: Event[Any] | object = None,
        *,
        steps: Mapping[str, object] | None = None,
    ) -> Executed[T]:
        """Start one run of a function and jump from moment to moment until it has ended, and not farther.

        Through sleeps, retries and time-outs: a wait for an event that nobody sends ends with `None`.

        Args:
            function: the function.
            event: the event that starts it, and whatever else listens to it; or, as for `invoke`, data.
            steps: what stands for steps, by id (of all uses; `"id:1"` is the second alone): what the step gives,
                an exception that it raises at each try, or a function that is called in its place. A step that
                waits is answered at once: with an event, a signal, what an invoked function returns, or `None`.

        Returns:
            The run, whether it was completed, failed or was cancelled.

        Raises:
            UsageError: it is no function of the engine's apps, the event starts no run of it, the run does not end, or
                it was completed and never came to one of `steps`. Of one that was not, only a name that looks misspelt
                is told, with its failure.
        """
        mocks = Mocks(steps or {})
        await self.advance(0)
        check_known(function, self._functions)
        if is_event(event):
            run_id = await self._start(function, self._with_id(event), mocks)
        else:
            self._mocks[function.id, ""] = mocks
            given: object = {} if event is None else event
            json = write_object(given, "data", f"execute('{function.id}')")
            run_id, _ = await self._ask_for(function.id, json)
        run = await self._end_of(run_id)
        mocks.check_used(run, self.picture)
        return executed(function, run)

    async def _start(
        self, function: Function[Any, Any], event: Event[Any], mocks: Mocks
    ) -> str:
        self._mocks[function.id, cast("str", event.id)] = mocks
        (event_id,) = await self._deliver([event])
        received = await self.events.get(event_id)
        for run_id in received.run_ids:
            if (await self.runs.get(run_id)).function == function.id:
                return run_id
        raise not_started(function, event.name, received.skipped)

    async def _end_of(self, run_id: str) -> Run:
        _ = await self._jump_to_end(run_id, _JUMP_MS)
        run = await self.runs.get(run_id)
        if not run.is_ended:
            raise self._endless(run)
        return run

    async def _jump_to_end(
        self, run_id: str, most_ms: int
    ) -> asyncio.Future[tuple[str, bytes, str]]:
        """How the run ended; cancelled where it did not."""

        async def look() -> object:
            run = await self.runs.get(run_id)
            return run.status, len(run.steps)

        async with self._jumping:
            worker = self._steered
            worker.halt_at = run_id
            ending = asyncio.ensure_future(worker.ending_of(run_id))
            await self._jump_until(ending, look, most_ms)
        return ending

    def _endless(self, run: Run) -> UsageError:
        text = f"run {run.id} of '{run.function}' does not end by itself"
        return UsageError(f"{text}\n\n{self.picture(run)}")

    @override
    async def _ending_of(
        self, run_id: str, timeout_s: float | None
    ) -> tuple[str, bytes, str]:
        """Jump there; a time-out is one of this engine's clock, and of the wall's where a step hangs."""
        if not self._is_asked_by_test():
            return await super()._ending_of(run_id, timeout_s)
        most_ms = _JUMP_MS if timeout_s is None else round(timeout_s * 1000)
        jumping = self._jump_to_end(run_id, most_ms)
        ending = await asyncio.wait_for(jumping, timeout_s)
        if not ending.cancelled():
            return ending.result()
        if timeout_s is not None:
            raise TimeoutError
        raise self._endless(await self.runs.get(run_id))

    def _mocks_of(self, run: LiveRun) -> Mocks | None:
        if not self._mocks:
            return None
        function, events = run.function.id, run.event_tuples
        for event in events:
            found = self._mocks.get((function, event[5] or ""))
            if found is not None:
                return found
        return None

    # --- crashes

    async def crash(self) -> None:
        """Drop all that lives in memory, as when the process dies, and go on from the store.

        What was acknowledged is there, what executed begins anew. Called inside a step, it ends that step where it
        stands. With `store=` a path the store is closed and opened again; the one in memory lives on. Who waits for an
        answer of the engine does not notice.

        Returns when all that was due is done.
        """
        if self._crashing is None or self._crashing.done():
            # A task of its own: the code that asks for it may be among what goes.
            self._crashing = asyncio.ensure_future(self._crash())
        await self.advance(0)

    async def _ready(self) -> None:
        """Wait until a crash is over that a step has asked for."""
        if self._crashing is not None:
            await asyncio.shield(self._crashing)

    async def _crash(self) -> None:
        core: Any = self.session.core
        if isinstance(core, Door):
            self._clock = f"virtual:{self.now_ms()}"
            await self._steered.crash_with(core, self._open_core)
        else:
            self._steered.crash()

    @override
    def _connect(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        numbers: Mapping[int, Function[Any, Any]],
    ) -> Session:
        if self.store != "memory:":
            core = cast("Core", Door(core))
        return super()._connect(core, loop, numbers)

    # --- what is said of runs

    def picture(self, run: Run) -> str:
        """The run drawn on an axis of time, as `durable runs show` does."""
        return picture(run, self.now_ms())

    def assert_completed(self, run: Run) -> None:
        """That a run was completed.

        Raises:
            AssertionError: it was not; the message draws it.
        """
        self._assert_status(run, "completed")

    def assert_failed(self, run: Run, error: str | None = None) -> None:
        """That a run failed, and that its error, as `ValueError: no stock`, has this text in it.

        Raises:
            AssertionError: it did not, or with another error; the message draws it.
        """
        self._assert_status(run, "failed")
        if error is not None and error not in str(run.error):
            raise self._unexpected(run, f"failed with {run.error}, not with {error!r}")

    def _assert_status(self, run: Run, status: str) -> None:
        if run.status != status:
            raise self._unexpected(run, f"is {run.status}, not {status}")

    def _unexpected(self, run: Run, what: str) -> AssertionError:
        text = f"run of '{run.function}' {what}\n\n{self.picture(run)}"
        return AssertionError(text)

    async def _newest_runs(self) -> list[Run]:
        listed = await self.runs.list(limit=_MAX_SHOWN_RUNS)
        return [await self.runs.get(run.id) for run in reversed(listed)]

    # --- open and close

    @property
    def _steered(self) -> SteeredWorker:
        return cast("SteeredWorker", self.session.worker)

    @override
    def _make_worker(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        numbers: Mapping[int, Function[Any, Any]],
    ) -> SteeredWorker:
        worker = cast("SteeredWorker", super()._make_worker(core, loop, numbers))
        worker.disturbances = self._ours
        worker.mocks_of = self._mocks_of
        return worker

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._ready()
        try:
            if self.keep is not None and self.is_open():
                self.keep(await self._newest_runs(), self.now_ms())
        finally:
            await super().__aexit__(kind, error, traceback)
        if kind is None and self._is_all and self.disturbances.undone():
            never = ", ".join(repr(one) for one in self.disturbances.undone())
            text = f"TestEngine(disturb=...): the test never came to {never}"
            raise UsageError(text)


def _to_ms(at: datetime | int) -> int:
    return round(at.timestamp() * 1000) if isinstance(at, datetime) else at
