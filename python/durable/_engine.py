"""The engine as users hold it: opens a store, runs the functions of applications, sends, invokes, reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from typing_extensions import Unpack, override

from ._app import App
from ._bridge import Core, public_errors
from ._codec import write_plain
from ._duration import Duration
from ._engine_settings import EngineSettings, Placed, read_settings, told
from ._errors import (
    ConfigError,
    EngineClosed,
    UsageError,
)
from ._events import Event
from ._fork import forget, watch
from ._function import Function
from ._invoking import Invoking
from ._layers import enter_lifespans, flatten, send_through, stack_of
from ._middleware import Sending
from ._reading import Events, Functions, Runs
from ._realtime import Realtime
from ._schedules import Schedules
from ._sending import encode_events, tell_notices, tell_of_strays
from ._session import Session, read_apps
from ._setting import Place
from ._settings_file import is_set_outside
from ._sharing import Sharing
from ._signals import wrong_signal
from ._web import Lifespan, why_called, why_closed
from ._worker import Worker


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    from ._bridge import NewEvent
    from ._processes.owner import Owner
    from ._settings import Settings

T = TypeVar("T")


class Engine(Sharing, Realtime, Invoking):
    """Runs the functions of applications on a store: `async with Engine(app, store="./state") as engine`.

    Several processes may open one store. The first owns it and executes; the others reach it through that one, whose
    settings count, and one of them takes it over when that one goes: `is_owner()` tells.

    Args:
        apps: whose functions it executes.
        settings: what is used of what is not given here: a `durable.Settings`; by default `Settings()`, which reads the
            variables `DURABLE_<NAME>` and the nearest `durable.toml` or `[tool.durable]`. `settings={}`: nothing outside
            is read.
        store: a path, `sled:PATH`, `redb:PATH` or `memory:`; by default `./.durable`.
        max_in_flight: how many stretches of code and steps execute at one instant; 1000 by default.
        hot_runs: how many waiting runs keep their live code; the others are called again. 10,000 by default.
        sync: `"always"`, the default: nothing is acknowledged before it is on disk. `"50ms"`: at most that much is
            lost on power failure.
        clock: `"system"`, the default, `"scaled:60"` (60 times as fast) or `"virtual"` (for tests).
        grace: how long leaving the engine waits for steps that execute; `"10s"` by default.
        retention: how long ended runs are kept, a day at least; 7 days by default.
        backoff: how long failed tries wait, of functions whose `retries` do not say so themselves.
        threads: how many threads plain handlers and blocking steps share; by default 4 more than there are
            processors, and 32 at most.
        seed: for the engine's chance (jitter, ids): the same seed gives the same.
        replay: `"needed"`, or `"always"`, which drops a handler's live code at each step, so that code which depends on
            something outside of steps shows itself in tests: a call of `time.time`, `random`, `uuid4` and the like by
            the handler itself fails its run.
        blocked_after: a warning names the line of a step or a handler that has kept the event loop for so long,
            10 ms to 1 h, `"500ms"` by default; `None`: there is none.

    Attributes:
        stats_before: what `stats()` said before this process executed anything; `None` until it owns the store.

    Raises:
        ConfigError: a setting is wrong.
        StoreLocked: on entering: another process has the store and lets this one not in, or this one has it already.
    """

    _worker_type: ClassVar[type[Worker]] = Worker

    def __init__(
        self,
        *apps: App,
        settings: Settings | EngineSettings | None = None,
        **given: Unpack[EngineSettings],
    ) -> None:
        read = read_settings(given, _beside(given, settings))
        self.apps = apps
        self.store = read.store
        self._functions = read_apps(apps)
        self._capacity = read.max_in_flight
        self._hot_runs = read.hot_runs
        self._sync = read.sync
        self._clock = read.clock
        self.grace_s = read.grace_ms / 1000
        self._retention_ms = read.retention_ms
        self._backoff = read.backoff
        self._threads = read.threads
        self._seed = read.seed
        self._forgets = read.forgets
        self._blocked_after_s = (
            None if read.blocked_after_ms is None else read.blocked_after_ms / 1000
        )
        self._session: Session | None = None
        self.stats_before: dict[str, Any] | None = None
        self.stack = stack_of(())
        self._lifespans = contextlib.AsyncExitStack()
        self._closing: weakref.finalize[..., Any] | None = None
        self.runs = Runs(self)
        self.events = Events(self)
        self.functions = Functions(self)
        self.schedules = Schedules(self)

    # --- open and close

    async def __aenter__(self) -> Self:
        if self.is_open():
            text = "this engine is open already: make a second Engine, on another store"
            raise UsageError(text)
        self._check_apps()
        self._functions = read_apps(self.apps)
        self.stack = stack_of(app.stack for app in self.apps)
        loop = asyncio.get_running_loop()
        self._opened_by = asyncio.current_task()
        watch(self, self.store)
        with public_errors():
            found = await self._find(loop)
            try:
                await enter_lifespans(self._lifespans, self.apps)
                self._begin(await self._enter(found, loop))
            except BaseException:
                found.close()
                await self._lifespans.aclose()
                raise
        for app in self.apps:
            app.use_engine(self)
        return self

    @override
    def _begin(self, session: Session) -> None:
        """From now on it is open with this."""
        self._session = session
        if self._closing is not None:
            self._closing.detach()
        self._closing = weakref.finalize(
            self, _close_quietly, session.owner, session.core
        )
        if self.apps and session.is_owner:  # else it was opened to be read
            tell_of_strays(self.stats(), self._functions)
            tell_notices(self.store, session.core.notices)

    @override
    def _opening(self) -> Callable[[], Core]:
        return partial(
            Core.open,
            self.store,
            sync=self._sync,
            clock=self._clock,
            capacity=self._capacity,
            retention_ms=self._retention_ms,
            seed=self._seed,
        )

    @override
    def _connect(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        numbers: Mapping[int, Function[Any, Any]],
    ) -> Session:
        self.stats_before = core.stats()
        worker = self._make_worker(core, loop, numbers)
        worker.open(blocked_after_s=self._blocked_after_s, opened_by=self._opened_by)
        try:
            core.connect([function.id for function in numbers.values()])
        except BaseException:
            worker.close()
            raise
        return Session(core, loop, worker)

    def _make_worker(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        numbers: Mapping[int, Function[Any, Any]],
    ) -> Worker:
        return self._worker_type(
            core,
            loop,
            numbers,
            hot_runs=self._hot_runs,
            forgets=self._forgets,
            thread_count=self._threads,
        )

    def _check_apps(self) -> None:
        for app in self.apps:
            if app.has_engine:
                text = f"app '{app.name}' has an open engine already: close it first"
                raise UsageError(text)

    if not TYPE_CHECKING:  # checkers refuse it

        def __enter__(self) -> None:
            text = "an engine is opened by `async with`, in a coroutine: `async with durable.Engine(app) as engine`"
            raise UsageError(text)

        def __exit__(self, *_error: object) -> None: ...

        def __call__(self, *_given: object) -> None:
            raise UsageError(why_called())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no more work, let what executes finish for the time of grace, and close the store."""
        session, self._session = self._session, None
        if session is None:
            return
        for app in self.apps:
            app.use_engine(None)
        try:
            with public_errors():
                await self._leave_former()
                await session.leave(self.grace_s)
        finally:
            self._opened_by = None
            forget(self)
            if self._closing is not None:
                self._closing.detach()
            await self._lifespans.aclose()

    def lifespan(self, _app: object = None) -> Lifespan:
        """Open while a FastAPI or Starlette application runs: `FastAPI(lifespan=engine.lifespan)`."""
        return Lifespan(self)

    def is_open(self) -> bool:
        """True until it is closed. One whose loop has ended without leaving it is closed by asking."""
        session = self._session
        if session is not None and session.loop.is_closed():
            self._session = None
            session.close()
        return self._session is not None

    @property
    @override
    def session(self) -> Session:
        """What the open engine has; for the parts of this package.

        Raises:
            EngineClosed: it is not open.
        """
        if self._session is None or not self.is_open():
            raise EngineClosed(why_closed())
        return self._session

    @property
    def notices(self) -> list[str]:
        """What opening the store did or found that its owner should know.

        What was replayed or built again, and how far its time is ahead of this machine's clock. Each is logged as a
        warning of `durable.notices`, too.
        """
        with public_errors():
            return self.session.core.notices

    # --- in

    async def send(self, *events: Event[Any] | Iterable[Event[Any]]) -> list[str]:
        """Have events accepted, all or none: on disk when this returns their ids.

        Raises:
            EventRefused: a name or a shape is not accepted.
            PayloadTooLarge: an event is.
            SerializationError: data is not JSON.
            EngineClosed: the engine is not open.
        """
        return await self._take(events)

    async def _take(
        self, events: Iterable[Any], source: tuple[str, int] | None = None
    ) -> list[str]:
        if self.stack.sends:
            return await self._send_through(events, source)
        return await self._send_all(events, source)

    async def _send_through(
        self, events: Iterable[Any], source: tuple[str, int] | None = None
    ) -> list[str]:
        """Send by way of middleware."""

        def send(given: list[Event[Any]]) -> Awaitable[list[str]]:
            return self._send_all(given, source)

        ids: list[str] = await send_through(self.stack, Sending(flatten(events)), send)
        return ids

    async def _send_all(
        self, events: Iterable[Any], source: tuple[str, int] | None = None
    ) -> list[str]:
        encoded = encode_events(events)
        if not encoded and source is None:
            return []
        session = self.session
        if session.worker.is_own_loop():
            return await session.worker.send(encoded, source)
        elsewhere = asyncio.run_coroutine_threadsafe(
            self._send(encoded, source), session.loop
        )
        return await asyncio.wrap_future(elsewhere)

    async def _send(
        self, encoded: list[NewEvent], source: tuple[str, int] | None
    ) -> list[str]:
        return await self.session.worker.send(encoded, source)

    def send_sync(self, *events: Event[Any] | Iterable[Event[Any]]) -> list[str]:
        """The same from another thread: blocks until the events are on disk.

        Raises:
            UsageError: it is called on the engine's own loop, which it would block for ever.
        """
        session = self.session
        if session.worker.is_own_loop():
            text = "send_sync would block the engine's own loop: use `await engine.send(...)` here"
            raise UsageError(text)
        if self.stack.sends:
            through = self._send_through(events)
            return asyncio.run_coroutine_threadsafe(through, session.loop).result()
        encoded = encode_events(events)
        session.worker.unheard.look(encoded)
        with public_errors():
            return session.core.send_wait(encoded) if encoded else []

    async def send_from(
        self, source: str, position: int, events: Iterable[Event[Any]]
    ) -> list[str]:
        """Send a batch of a source that may be read again: a position already passed is ignored.

        Args:
            source: names the source in this store.
            position: how far the source is read with this batch, from 0; rises with each.
            events: the batch.

        Raises:
            EventRefused, SerializationError, EngineClosed: as `send`.
            UsageError: the source or the position cannot be one.
        """
        return await self._take(events, (source, position))

    async def source_position(self, source: str) -> int | None:
        """How far a source has got: the position of its last accepted batch."""
        session = self.session
        with public_errors():
            return await session.loop.run_in_executor(
                None, session.core.source_position, source
            )

    async def signal(self, signal: str, data: object = None) -> str:
        """Resume the run that waits for this signal; on disk when it returns.

        Args:
            signal: its name, 1 to 256 bytes, as given to `ctx.step.wait_for_signal`.
            data: what the waiter is given with it: anything that JSON can say, or a pydantic model.

        Returns:
            The id of the run that was resumed.

        Raises:
            SignalNotFound: nobody waits for it; it is not kept for later.
            SerializationError: the data is not JSON.
            PayloadTooLarge: the data has more than 4 MB.
        """
        if problem := wrong_signal(signal):
            text = f"engine.signal: {problem}"
            raise ConfigError(text)
        json = write_plain(data, "data", f"engine.signal('{signal}')")
        run_id: str = await self.session.worker.ask(signal, json, is_signal=True)
        return run_id

    # --- out

    async def join(self, timeout: Duration | None = None) -> None:  # the work goes on  # noqa: ASYNC109  # what is waited for goes on
        """Wait until no run is queued, running, or parked on a timer or a retry.

        Runs of paused functions, and runs that wait for a signal, an event or another run alone, do not hold it up.

        Raises:
            TimeoutError: there still is one after `timeout`.
        """
        session = self.session
        timeout_s = None
        if timeout is not None:
            timeout_s = Place("join", "timeout").duration_ms(timeout) / 1000
        await session.worker.idle(session.core.join, timeout_s)

    async def advance(self, length: Duration) -> None:
        """Move a virtual clock, moment by moment, until all that fell due meanwhile is done.

        Called off, it leaves the clock where it is.
        """
        session = self.session
        ms = Place("advance", "length").duration_ms(length)
        await session.worker.idle(lambda ticket: session.core.advance(ticket, ms))

    def now_ms(self) -> int:
        """The engine's time, ms since the epoch."""
        with public_errors():
            return self.session.core.now_ms()

    def stats(self) -> dict[str, Any]:
        """What runs do, and what commits cost. Costs next to nothing, does not block.

        `functions`: for each by its id how many runs are `queued`, `running` and `parked` (by what they wait
        for: `sleep`, `retry`, more `events`, a `signal` alone), how much is `executing`, how many ever `completed`, `failed`, were
        `cancelled`, how many events were ever `skipped`, how often a key had no value (`missing_keys`) or a
        priority no number (`priority_errors`), and whether it is `paused`. `commits`: `count`, `turns`, `bytes`, `size_p50`, `size_p99`, `time_p50_us`, `time_p99_us`.
        And `live`, `executing`, `timers`, `mailbox`, `outbox`, `staged_bytes`, `now_ms`, and `ahead_ms`: how far
        that is ahead of this machine's clock, 0 unless that was set back or the store was last open on a faster one.
        """
        with public_errors():
            return self.session.core.stats()

    @override
    def __repr__(self) -> str:
        state = "closed" if self._session is None else "open"
        return f"<durable engine on {self.store}, {state}>"


def _beside(
    given: EngineSettings, settings: Settings | EngineSettings | None
) -> Mapping[str, Placed]:
    """What an engine is to use where its arguments do not say it."""
    if isinstance(settings, Mapping):
        place = Place("settings", "")
        return {name: Placed(one, place.at(name)) for name, one in settings.items()}
    if settings is None:
        if not is_set_outside(os.environ):
            return {}
        from ._settings import outside  # noqa: PLC0415  # slow to import

        return outside(told(given))
    return settings.placed()


def _close_quietly(owner: Owner | None, core: Core) -> None:
    """For an engine that was never left: at exit, or when it is forgotten."""
    if owner is not None:
        with contextlib.suppress(Exception):
            owner.close()
    with contextlib.suppress(Exception):
        core.close()
