"""What callers ask of an engine, and how each is told: tickets for questions, watches for runs' ends."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ._bridge import Core, CoreError, public_error, public_errors
from ._errors import DurableError, NotFoundError, UsageError
from ._messages import Position
from ._noticed import Noticed
from ._setting import wrong_id


if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._sending import Unheard

_MOST_POSITION: Final = 2**64 - 1


class Callers(ABC):
    """All who wait for an answer of one engine, on one loop."""

    def __init__(
        self, core: Core, loop: asyncio.AbstractEventLoop, unheard: Unheard
    ) -> None:
        self.loop = loop
        self.unheard = unheard
        self.noticed = Noticed(partial(_ahead_ms, core))
        self._core = core
        # in the order of their calls: each pair is the sends and then the calls of one submit
        self._requests: deque[tuple[list[Any], list[Any]]] = deque()
        self._tickets: dict[int, asyncio.Future[Any]] = {}
        self._last_ticket = 0
        self._watched: dict[str, list[asyncio.Future[tuple[str, bytes, str]]]] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._failure: DurableError | None = None

    @abstractmethod
    def _schedule(self) -> None:
        """Have what is asked handed over at the end of the pass."""

    @abstractmethod
    async def leave(self, grace_s: float) -> None:
        """Hand over what is asked, and let what executes finish, for so long at most."""

    @abstractmethod
    def close(self) -> None:
        """Tell all who wait that nothing more comes."""

    def is_own_loop(self) -> bool:
        """True where the caller is on the loop that the engine lives on."""
        with contextlib.suppress(RuntimeError):
            return asyncio.get_running_loop() is self.loop
        return False

    def has_ended(self) -> bool:
        """True where nothing is executed or answered any more: it has failed, is closed, or its loop has ended."""
        return self._failure is not None or self.loop.is_closed()

    # --- what they ask

    def send(
        self, events: list[Any], source: tuple[str, int] | None = None
    ) -> asyncio.Future[list[str]]:
        """Have these events accepted, all or none.

        Raises:
            UsageError: the source or its position cannot be one.
        """
        if source is not None:
            _check_source(*source)
        ticket, future = self._ticket()
        self.unheard.look(events)
        if not self._requests or self._requests[-1][1]:
            self._requests.append(([], []))
        self._requests[-1][0].append((ticket, events, source))
        return future

    def ask(self, name: str, data: bytes, *, is_signal: bool) -> asyncio.Future[Any]:
        """Start a run of a function: its id comes, and that of the event that stands for the call.

        Or give a signal to the run that waits for it, whose id comes.

        Raises:
            UsageError: nothing can have that name.
        """
        what = "signal" if is_signal else "function"
        if (problem := wrong_id(what, "a name", name)) is not None:
            raise UsageError(problem)
        ticket, future = self._ticket()
        if not self._requests:
            self._requests.append(([], []))
        self._requests[-1][1].append((ticket, name, data, is_signal))
        return future

    async def publish(self, channel: str, topic: str, data: bytes) -> str:
        """Publish a message: its id, once it is kept."""
        return Position(await self.publish_number(channel, topic, data)).id

    async def publish_number(self, channel: str, topic: str, data: bytes) -> int:
        """The same: its number."""
        ticket, future = self._ticket()
        try:
            with public_errors():
                self._core.publish(ticket, channel, topic, data)
        except BaseException:
            del self._tickets[ticket]  # no answer comes
            raise
        number: int = await future
        return number

    def publish_wait(self, channel: str, topic: str, data: bytes) -> str:
        """The same on another thread, which it blocks."""
        with public_errors():
            return Position(self._core.publish_wait(channel, topic, data)).id

    async def origins_of(self, run_id: str) -> list[str]:
        """The runs that a run repeats, the nearest first."""
        found: list[str] = []
        while True:
            with public_errors():
                row = await self.loop.run_in_executor(None, self._core.run, run_id)
            run_id = "" if row is None else row[-1] or ""
            if not run_id:
                return found
            found.append(run_id)

    @contextlib.contextmanager
    def listening(self, channel: str) -> Generator[Listener]:
        """Hear of what is new on a channel."""
        self._check()
        listener = Listener()
        listeners = self._listeners.setdefault(channel, [])
        listeners.append(listener)
        try:
            if len(listeners) == 1:
                self._listen(channel)
            yield listener
        finally:
            listeners.remove(listener)
            if not listeners:
                del self._listeners[channel]
                with contextlib.suppress(CoreError):  # it is closing
                    self._core.unsubscribe(channel)

    def _listen(self, channel: str) -> None:
        """Have the engine tell of what is new on a channel."""
        with public_errors():
            self._core.subscribe(channel)

    async def idle(
        self, ask: Callable[[int], None], timeout_s: float | None = None
    ) -> None:
        """Ask for `Idle` with a ticket, and wait for it.

        Raises:
            TimeoutError: it has not come in time.
        """
        ticket, future = self._ticket()
        try:
            with public_errors():
                ask(ticket)
            await asyncio.wait_for(future, timeout_s)
        finally:
            if self._tickets.pop(ticket, None) is not None and self._failure is None:
                with contextlib.suppress(CoreError):
                    self._core.unjoin(ticket)

    async def ending_of(
        self, run_id: str, timeout_s: float | None = None
    ) -> tuple[str, bytes, str]:
        """The status and the result or error that a run ends with, and the event that started it.

        Raises:
            NotFoundError: there is no such run.
            TimeoutError: it has not ended in time.
        """
        future = self._watch(run_id)
        try:
            return await asyncio.wait_for(future, timeout_s)
        finally:
            if future.cancelled():
                self._unwatch(run_id, future)

    def _watch(self, run_id: str) -> asyncio.Future[tuple[str, bytes, str]]:
        future: asyncio.Future[tuple[str, bytes, str]] = self.loop.create_future()
        self._check()
        if run_id not in self._watched:
            self._ask_for_end(run_id)
        self._watched.setdefault(run_id, []).append(future)
        return future

    def _ask_for_end(self, run_id: str) -> None:
        """Have the engine tell how a run ends."""
        with public_errors():
            self._core.watch([run_id])

    def _unwatch(self, run_id: str, future: asyncio.Future[Any]) -> None:
        """Nobody waits for this future any more."""
        futures = self._watched.get(run_id, [])
        if future in futures:
            futures.remove(future)
            if not futures:
                del self._watched[run_id]
                with contextlib.suppress(CoreError):  # it is closing
                    self._core.unwatch([run_id])

    def _ticket(self) -> tuple[int, asyncio.Future[Any]]:
        self._check()
        self._last_ticket += 1
        future = self._tickets[self._last_ticket] = self.loop.create_future()
        self._schedule()
        return self._last_ticket, future

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # --- what they are told

    def _take_answer(self, item: Any) -> None:
        settle(self._tickets.pop(item[1], None), item[2])

    def _take_start(self, item: Any) -> None:
        _, ticket, run_id, event_id = item
        settle(self._tickets.pop(ticket, None), (run_id, event_id))

    def _take_idle(self, item: Any) -> None:
        settle(self._tickets.pop(item[1], None), None)

    def _take_refusal(self, item: Any) -> None:
        _, ticket, kind, text = item
        refuse(self._tickets.pop(ticket, None), public_error(kind, text))

    def _take_end(self, item: Any) -> None:
        _, run_id, status, data, event_id = item
        for future in self._watched.pop(run_id, ()):
            settle(future, (status, data, event_id))

    def _take_unknown(self, item: Any) -> None:
        for future in self._watched.pop(item[1], ()):
            refuse(future, NotFoundError(f"there is no run {item[1]} in this store"))

    def _take_stir(self, item: Any) -> None:
        for listener in self._listeners.get(item[1], ()):
            listener.tell()

    def _fail_callers(self, error: DurableError) -> None:
        self._failure = self._failure or error
        for listener in chain.from_iterable(self._listeners.values()):
            listener.tell(self._failure)
        waiting = [*self._tickets.values()]
        waiting += [future for futures in self._watched.values() for future in futures]
        self._tickets.clear()
        self._watched.clear()
        for future in waiting:
            refuse(future, error)


class Listener:
    """Somebody who wants to know when there is something new on a channel."""

    __slots__ = ("_error", "_event")

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._error: DurableError | None = None

    def clear(self) -> None:
        """What is new from here on counts."""
        self._event.clear()

    async def wait(self) -> None:
        """Until there is something.

        Raises:
            DurableError: there will never be, since the engine has ended.
        """
        if self._error is None:
            await self._event.wait()
        if self._error is not None:
            raise self._error

    def tell(self, error: DurableError | None = None) -> None:
        """There is; or there never will be."""
        self._error = self._error or error
        self._event.set()


def _ahead_ms(core: Core) -> int:
    """How far the engine's time is ahead of this machine's clock."""
    stats: Any = core.stats()
    return int(stats["ahead_ms"])


def settle(future: asyncio.Future[Any] | None, value: object) -> None:
    """Tell whoever waits, if somebody does."""
    if future is not None and not future.done():
        future.set_result(value)


def refuse(future: asyncio.Future[Any] | None, error: BaseException) -> None:
    """Tell whoever waits that it cannot be, if somebody does."""
    if future is not None and not future.done():
        future.set_exception(error)


def _check_source(source: object, position: object) -> None:
    problem: str | None
    if not isinstance(source, str) or not source:
        problem = f"source {source!r}: a name is a text that is not empty"
    elif type(position) is not int or not 0 <= position <= _MOST_POSITION:
        problem = (
            f"source {source!r}: a position is a whole number from 0 to 2**64 - 1 that rises with each batch, "
            f"not {position!r}"
        )
    else:
        problem = wrong_id("source", "a name", source)
    if problem is not None:
        raise UsageError(problem)
