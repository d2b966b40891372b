"""What `engine.runs`, `engine.events` and `engine.functions` answer from the store."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, get_args

from ._bridge import Core, public_errors
from ._bulk import (
    LIVE,
    BulkResult,
    Selection,
    cancel_page,
    do_to_many,
    read_some,
    rerun_page,
)
from ._codec import MISSING, read_plain, write_object, write_plain
from ._duration import Duration, to_seconds
from ._errors import ConfigError, InvokeTimeoutError, NonDeterminismError, NotFoundError
from ._layered import run_through
from ._limits import Limit, read_limits
from ._setting import Place, near
from ._views import (
    ENDED,
    FunctionInfo,
    Page,
    ReceivedEvent,
    Run,
    RunStatus,
    read_function,
    read_received,
    read_run,
)


if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Sequence

    from ._bridge import RunTuple
    from ._callers import Callers
    from ._function import Function

T = TypeVar("T")

_MAX_LIMIT = 1000
_MAX_MS = 2**63 - 1
_STATUSES = get_args(RunStatus)


class OpenParts(Protocol):
    """What an open engine has."""

    core: Core
    worker: Callers


class Opened(Protocol):
    """The engine, as those who read for it see it."""

    @property
    def session(self) -> OpenParts:
        """Its store and its worker."""
        ...

    @property
    def runs(self) -> Runs:
        """Its runs."""
        ...

    def find_function(self, function_id: str) -> Function[Any, Any] | None:
        """A function of its apps."""
        ...


class Reader:
    """Reads for one engine, away from the loop."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Opened) -> None:
        self._engine = engine

    async def _read(self, read: Callable[[Core], T]) -> T:
        core = self._engine.session.core
        with public_errors():
            return await asyncio.get_running_loop().run_in_executor(None, read, core)

    async def _let_out(self, row: RunTuple) -> RunTuple:
        """A run as its function's middleware lets it out."""
        known = self._engine.find_function(row[1])
        if known is None or not known.stack.transform_input:
            return row
        find = self._engine.session.worker.origins_of
        return await run_through(known.stack, row, find)

    def _read_result(self, function_id: str, json: bytes) -> Any:
        known = self._engine.find_function(function_id)
        try:
            return read_plain(json) if known is None else known.codec.read(json)
        except NonDeterminismError:  # written by an earlier version of the function
            return read_plain(json)

    async def _refuse_unknown(self, function_id: str | None) -> None:
        """That there is such a function, here or in the store."""
        if function_id is None or self._engine.find_function(function_id) is not None:
            return
        known = [row[0] for row in await self._read(lambda core: core.functions())]
        if function_id not in known:
            text = f"there is no function '{function_id}' in this store.{near(function_id, known)}"
            raise NotFoundError(text)


class Runs(Reader):
    """`engine.runs`: what is known of runs."""

    __slots__ = ()

    async def get(self, run_id: str) -> Run:
        """One run with its steps.

        Raises:
            NotFoundError: there is no such run, or no longer.
        """
        row, waits = await self._read(lambda core: _look(core, run_id))
        if row is None:
            text = f"there is no run {run_id} in this store"
            raise NotFoundError(text)
        return read_run(await self._let_out(row), self._read_result, waits)

    async def cancel(self, run_id: str) -> bool:
        """Call a run off: what it holds and waits for goes with it, and what of it executes is cancelled.

        A plain function on a thread runs out, and its result counts for nothing.

        Returns:
            True once it is cancelled; False where it had ended before, which changes nothing.

        Raises:
            NotFoundError: there is no such run, or no longer.
        """
        if await self._read(lambda core: core.cancel(run_id)):
            return True
        await self.get(run_id)
        return False

    async def cancel_many(  # filters, all by name  # noqa: PLR0913
        self,
        *,
        function: str | Function[Any, Any] | None = None,
        since: datetime | int | None = None,
        until: datetime | int | None = None,
        if_: str | None = None,
        status: RunStatus | Sequence[RunStatus] = (),
        limit: int | None = None,
        dry_run: bool = False,
    ) -> BulkResult:
        """Call off all runs that are there now and match, as `cancel` does, page by page.

        Say at least one thing of them. Called again after a crash in the middle it calls off the rest: each run is
        cancelled once.

        Args:
            function: only runs of this function.
            since: created then or later.
            until: created before.
            if_: CEL over `event`, met by the run's event; of a batch by each of its events.
            status: only these of `queued`, `running`, `parked`.
            limit: the oldest so many.
            dry_run: only count them.

        Raises:
            ConfigError: nothing is said of the runs, or something wrong.
        """
        place = Place("runs.cancel_many", "status")
        if not status and all(one is None for one in (function, since, until, if_)):
            accepted = "function=, since=, until=, if_= or status=: say which runs"
            raise place.error(status, "is all that is said", accepted)
        statuses = read_some(place, _read_statuses(status), LIVE)
        asked = Selection(statuses, _name_or_none(function), last_only=False)
        known = asked.function and self._engine.find_function(asked.function)
        asked.see(place, if_, (_to_ms(since), _to_ms(until)), known=known or None)
        done = await do_to_many(
            self._read, asked, cancel_page, limit=limit, dry_run=dry_run
        )
        if not done.count:
            await self._refuse_unknown(asked.function)
        return done

    async def rerun(
        self,
        run_id: str,
        from_step: str | None = None,
        *,
        output: object = MISSING,
        data: object = None,
    ) -> str:
        """Start a new run of the same function with the same event, or events: the id of the new run.

        The run may have ended in any way, or live: it stays as it is. The new one is paced as any other, by
        concurrency, throttle, priority and timeouts; what its event was let through by before (its id, rate limit,
        idempotency, debounce, batch) is not asked again. `Run.rerun_of` says which run it repeats.

        Args:
            run_id: the run.
            from_step: a step's name. The results of steps that were recorded before it are taken over, and their
                functions are not called again; it and all after it execute. It may have failed, or the run's end may
                have cut it off; of one that was never asked for the error names those there are.
            output: a result for that step: it is taken over too, and what comes after it executes. In the shape in
                which `Run.steps[...].result` has it.
            data: takes the place of the event's data: a mapping, or a model. The run is then of a new event with an
                id of the engine's own, which is otherwise as the first, and starts nothing else.

        Raises:
            NotFoundError: there is no such run or no such step, or the run's event is no longer kept.
            InvokeError: the function is paused, or it is a singleton and has a run.
            ConfigError: `output` without `from_step`, or `data` for a batch.
            SerializationError: what is given is not JSON.
            PayloadTooLarge: it has more than 4 MB.
        """
        place = Place("runs.rerun", "output")
        if output is not MISSING and from_step is None:
            raise place.error(output, "has no step", "output= together with from_step=")
        result = (
            None if output is MISSING else write_plain(output, "output", "runs.rerun")
        )
        json = None if data is None else write_object(data, "data", "runs.rerun")
        return await self._read(
            lambda core: core.rerun(run_id, from_step, result, json)
        )

    async def rerun_many(  # filters, all by name  # noqa: PLR0913
        self,
        *,
        status: RunStatus | Sequence[RunStatus] = "failed",
        function: str | Function[Any, Any] | None = None,
        since: datetime | int | None = None,
        until: datetime | int | None = None,
        if_: str | None = None,
        limit: int | None = None,
        dry_run: bool = False,
    ) -> BulkResult:
        """Repeat all runs that are there now, have ended and match, as `rerun` does, the oldest first, page by page.

        A run that was repeated already is left out: of those that repeat each other only the last one counts. So
        after a crash in the middle the same call repeats the rest, and nothing twice.

        Args:
            status: of `completed`, `failed`, `cancelled`.
            function: only runs of this function.
            since: created then or later.
            until: created before.
            if_: CEL over `event`, met by the run's event; of a batch by each of its events.
            limit: the oldest so many.
            dry_run: only count them.

        Raises:
            ConfigError: something wrong is said of the runs.
        """
        place = Place("runs.rerun_many", "status")
        statuses = read_some(place, _read_statuses(status), ENDED)
        asked = Selection(statuses, _name_or_none(function), last_only=True)
        known = asked.function and self._engine.find_function(asked.function)
        asked.see(place, if_, (_to_ms(since), _to_ms(until)), known=known or None)
        done = await do_to_many(
            self._read, asked, rerun_page, limit=limit, dry_run=dry_run
        )
        if not done.count:
            await self._refuse_unknown(asked.function)
        return done

    async def list(
        self,
        *,
        status: RunStatus | Sequence[RunStatus] = (),
        function: str | Function[Any, Any] | None = None,
        since: datetime | int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """Runs without their steps, newest first. `since` is a moment of creation.

        `get` has a run's `steps` and what it is `waiting_on`: to look at those of a listed run raises a `UsageError`.

        Raises:
            NotFoundError: there is no such function in the store.
        """
        statuses = _read_statuses(status)
        name = _name_or_none(function)
        rows, following = await self._read(
            lambda core: core.runs(
                status=statuses,
                function=name,
                since_ms=_to_ms(since),
                limit=check_limit(limit),
                cursor=cursor,
            )
        )
        if not rows:
            await self._refuse_unknown(name)
        shown = [await self._let_out(row) for row in rows]
        listed = (read_run(row, self._read_result, is_listed=True) for row in shown)
        return Page(listed, following)

    async def wait(self, run_id: str, *, timeout: Duration | None = None) -> Run:  # noqa: ASYNC109  # what is waited for goes on
        """The run, once it has ended.

        Raises:
            NotFoundError: there is no such run.
            InvokeTimeoutError: it has not ended within `timeout`; it goes on.
        """
        worker = self._engine.session.worker
        try:
            await worker.ending_of(
                run_id, None if timeout is None else to_seconds(timeout)
            )
        except TimeoutError:
            text = f"run {run_id} has not ended within {timeout}; it goes on"
            raise InvokeTimeoutError(text, run_id=run_id) from None
        return await self.get(run_id)


class Events(Reader):
    """`engine.events`: what is known of events."""

    __slots__ = ()

    async def get(self, event_id: str) -> ReceivedEvent:
        """One event, by the engine's id.

        Raises:
            NotFoundError: there is no such event, or no longer.
        """
        row = await self._read(lambda core: core.event(event_id))
        if row is None:
            text = f"there is no event {event_id} in this store"
            raise NotFoundError(text)
        return read_received(row)

    async def list(
        self,
        *,
        name: str | None = None,
        since: datetime | int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[ReceivedEvent]:
        """Events, newest first. `since` is a moment of receipt."""
        rows, following = await self._read(
            lambda core: core.events(
                name=name,
                since_ms=_to_ms(since),
                limit=check_limit(limit),
                cursor=cursor,
            )
        )
        return Page((read_received(row) for row in rows), following)

    async def cancel(self, event_id: str) -> int:
        """Call off what an event has not started yet: a moment ahead, a place in a queue, a batch that gathers.

        Runs that have started are left alone. A run with other events of a batch goes on without this one. Of a
        debounce it is the event that came last whose run is called off: the others are of no run any more. The event
        itself stays, and so does its sender's id: sent again within a day it starts nothing.

        Returns:
            How many runs were cancelled, or go on without it.

        Raises:
            NotFoundError: there is no such event, or no longer.
        """
        count = await self._read(lambda core: core.cancel_event(event_id))
        if count is None:
            text = f"there is no event {event_id} in this store"
            raise NotFoundError(text)
        return count

    async def runs(self, event_id: str) -> builtins.list[Run]:
        """The runs that an event started, and those that repeat them, each with its steps.

        Raises:
            NotFoundError: there is no such event, or no longer.
        """
        received = await self.get(event_id)
        return [await self._engine.runs.get(run_id) for run_id in received.run_ids]


class Functions(Reader):
    """`engine.functions`: what is registered."""

    __slots__ = ()

    async def list(self) -> builtins.list[FunctionInfo]:
        """All functions in the store, also those that their app no longer has."""
        rows = await self._read(lambda core: core.functions())
        return [read_function(row) for row in rows]

    async def limits(
        self, function: str | Function[Any, Any], *, limit: int = 100
    ) -> builtins.list[Limit]:
        """How much of a function's limits is used at this moment, and how much waits for it.

        Args:
            function: the function, or its id.
            limit: how many values of each policy's key at most, 1 to 1,000: the busiest.

        Raises:
            NotFoundError: there is no such function in the store.
        """
        name = name_of(function)
        most = check_limit(limit)
        await self._refuse_unknown(name)
        json = await self._read(lambda core: core.limits(name, most))
        if json is None:
            text = f"there is no function '{name}' in this store"
            raise NotFoundError(text)
        return read_limits(json)

    async def pause(self, function: str | Function[Any, Any]) -> None:
        """Let nothing of a function go on until `resume`: also not after a restart.

        What executes ends its step; runs that sleep or wait do so; events that would start one are listed as
        skipped.

        Raises:
            NotFoundError: there is no such function in the store.
        """
        await self._pause(function, is_paused=True)

    async def resume(self, function: str | Function[Any, Any]) -> None:
        """Let a paused function go on; nothing happens where it is not paused.

        Raises:
            NotFoundError: there is no such function in the store.
        """
        await self._pause(function, is_paused=False)

    async def _pause(
        self, function: str | Function[Any, Any], *, is_paused: bool
    ) -> None:
        name = name_of(function)
        await self._refuse_unknown(name)
        await self._read(lambda core: core.pause(name, is_paused))


def _look(core: Core, run_id: str) -> tuple[RunTuple | None, bytes | None]:
    """A run, and where it lives what it waits for, which only the scheduler knows."""
    row = core.run(run_id)
    is_live = row is not None and row[3] not in ENDED
    return row, core.waiting_on(run_id) if is_live else None


def name_of(function: object) -> str:
    """The id of a function that was given as one or by its id.

    Raises:
        ConfigError: it is neither.
    """
    name = getattr(function, "id", function)
    if not isinstance(name, str):
        text = f"function={function!r}: accepted is a function of an app, or its id"
        raise ConfigError(text)
    return name


def _name_or_none(function: object) -> str | None:
    return None if function is None else name_of(function)


def _read_statuses(status: RunStatus | Sequence[RunStatus]) -> Sequence[str]:
    statuses = (status,) if isinstance(status, str) else status
    for one in statuses:
        if one not in _STATUSES:
            text = f"status={one!r}: accepted are {', '.join(_STATUSES)}"
            raise ConfigError(text)
    return cast("Sequence[str]", statuses)


def check_limit(limit: int) -> int:
    """How many at most, where that may be asked for.

    Raises:
        ConfigError: it may not.
    """
    if not 1 <= limit <= _MAX_LIMIT:
        text = f"limit={limit}: accepted is a whole number from 1 to {_MAX_LIMIT}"
        raise ConfigError(text)
    return limit


def _to_ms(when: datetime | int | None) -> int | None:
    ms = round(when.timestamp() * 1000) if isinstance(when, datetime) else when
    if ms is not None and not 0 <= ms <= _MAX_MS:
        text = (
            f"{when!r}: accepted is a moment from 1970 on, a datetime or ms since then"
        )
        raise ConfigError(text)
    return ms
