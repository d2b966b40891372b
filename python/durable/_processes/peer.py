"""One process that reaches a store through its owner: what it asks, and how each question is answered.

It can have only so much done, and keep only so much in memory here, whatever it asks and however little it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from .._bridge import Core, CoreError, __version__, kind_of
from .._errors import DurableError
from .asked import (
    ASK,
    BYE,
    DROP,
    ERROR,
    FAILED,
    HELLO,
    JOIN,
    LISTEN,
    ONCE,
    PAGED,
    PROTOCOL,
    PUBLISH,
    REPEATABLE,
    SEND,
    STIRRED,
    VALUE,
    WAITS,
    WATCH,
)
from .frames import (
    FrameError,
    FrameTooLarge,
    decode,
    encode,
    members,
    read,
    read_body,
)
from .received import Received


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from .._bridge import NewEvent
    from .._callers import Callers

_LOGGER: Final = logging.getLogger("durable")
_HELLO_S: Final = 10.0
#: So long the close waits for what is being answered, and again for what was answered to be read.
_GRACE_S: Final = 3.0
#: So often it is looked whether the engine still executes, s.
_LOOK_S: Final = 1.0
#: So many calls of one process are under way at a time, until their answers are on their way: fewer than there are threads.
_CALLS: Final = 4
#: Of what will be answered soon, so much of one process is under way before more is read: questions, and their bytes.
_MOST_QUESTIONS: Final = 10_000
_MOST_BYTES: Final = 64 * 1024 * 1024
#: So much of one process may wait for what comes at any time or never.
_MOST_WAITS: Final = 100_000
#: What has more bytes is read on a thread.
_LARGE: Final = 64 * 1024


class Host(Protocol):
    """The owner, as its peers need it."""

    core: Core
    worker: Callers
    functions: tuple[str, ...]

    def give_up(self) -> None:
        """The engine executes nothing any more."""

    async def on_thread(self, call: Callable[[], Any]) -> Any:
        """Call this where it may block."""

    async def on_worker(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Wait for this on the worker's loop."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A question until it is answered.

    Attributes:
        size: bytes that it came in.
        is_begun: something may have been done of it.
    """

    ticket: int
    name: str
    args: tuple[Any, ...]
    named: dict[str, Any]
    size: int
    is_begun: bool = False
    task: asyncio.Task[None] | None = None

    @property
    def is_wait(self) -> bool:
        """True where its answer may come at any time, or never."""
        return self.name in WAITS

    @property
    def is_call(self) -> bool:
        """True where it is answered by a call of the `Core`."""
        return self.name in REPEATABLE or self.name in ONCE


class Peer:
    """One process at the other end."""

    def __init__(
        self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._writing = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._under_way: dict[int, _Asked] = {}
        self._waits = 0
        self._bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._turns = asyncio.Semaphore(_CALLS)
        self._stirred: set[int] = set()
        self._leaving: asyncio.Task[None] | None = None
        self._received = Received(host.core, host.on_thread)
        self._finders: dict[str, Callable[..., Callable[[], Awaitable[Any]]]] = {
            SEND: self._find_ids,
            PUBLISH: self._find_number,
            ASK: self._find_run,
            WATCH: self._find_end,
            JOIN: self._find_idle,
            LISTEN: self._find_stirs,
        }

    async def serve(self) -> None:
        """Greet it, and answer until it leaves or this process does."""
        async with asyncio.timeout(_HELLO_S):
            if not await self._greet():
                return
        reading = self._reading = asyncio.ensure_future(self._read())
        while not reading.done():
            self._look()
            await asyncio.wait({reading}, timeout=_LOOK_S)
        if self._leaving is not None:
            await self._leaving
        if not reading.cancelled():
            reading.result()

    def send_away(self) -> None:
        """Answer what has been asked and can be answered now; say of the rest that it was not begun, or what was."""
        if self._reading is None:
            self.cut()  # it has not said who it is
        elif self._leaving is None:
            self._leaving = asyncio.ensure_future(self._leave())
            self._reading.cancel()

    def cut(self) -> None:
        """Let it look for another owner: nobody says what was done of what it asked."""
        self._writer.transport.abort()
        if self._reading is not None:
            self._reading.cancel()  # it may wait for something else than what is said

    async def end(self) -> None:
        """Nothing more is answered; what was answered it is given time to read."""
        tasks = [one.task for one in self._under_way.values()]
        for task in (self._leaving, *tasks):
            if task is not None:
                task.cancel()
        self._writer.close()
        try:
            await self._received.end()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await self._writer.wait_closed()
        finally:
            self.cut()

    async def _leave(self) -> None:
        asked = list(self._under_way.values())
        soon = [one.task for one in asked if one.task and not one.is_wait]
        if soon:
            await asyncio.wait(soon, timeout=_GRACE_S)
        unsure: list[int] = []
        for one in list(self._under_way.values()):
            if one.task is None or one.task.done():
                continue
            if one.is_begun and not one.is_wait:
                unsure.append(one.ticket)
            else:
                one.task.cancel()
        try:
            async with asyncio.timeout(_GRACE_S):
                await self._say(0, BYE, unsure)
        except TimeoutError:
            self.cut()

    def _look(self) -> None:
        if self._host.worker.has_ended():
            self._host.give_up()

    # --- what it says

    async def _greet(self) -> bool:
        """The greeting is the same in each version: of another one it is told so."""
        said = await read(self._reader)
        ticket, name, about, _ = members(said, int, str, tuple, dict)
        protocol, version = members(about, int, str)
        if name != HELLO:
            text = "it does not begin as a process of this package does"
            raise FrameError(text)
        if (protocol, version) != (PROTOCOL, __version__):
            text = (
                f"process {os.getpid()} has durable {__version__}, this one {version}"
            )
            await self._say(ticket, ERROR, ("version", text))
            return False
        now_ms = self._host.core.now_ms()
        functions = self._host.functions
        await self._say(ticket, VALUE, (os.getpid(), now_ms, functions))
        return True

    async def _read(self) -> None:
        while True:
            await self._has_room.wait()
            body = await read_body(self._reader)
            if len(body) > _LARGE:
                said = await self._host.on_thread(partial(decode, body))
            else:
                said = decode(body)
            ticket, name, args, named = members(said, int, str, tuple, dict)
            self._begin(_Asked(ticket, name, args, named, len(body)))

    def _begin(self, asked: _Asked) -> None:
        known = self._under_way.get(asked.ticket)
        if asked.name == DROP:
            if known is not None and known.task is not None:
                known.task.cancel()
            return
        if known is not None:
            text = f"question {asked.ticket} is under way"
            raise FrameError(text)
        if asked.is_wait and self._waits >= _MOST_WAITS:
            text = f"it waits for more than {_MOST_WAITS} things at a time"
            raise FrameError(text)
        find = self._finder_of(asked)
        asked.task = asyncio.ensure_future(self._answer(asked, find))
        self._count(asked, 1)
        asked.task.add_done_callback(lambda _: self._count(asked, -1))

    def _count(self, asked: _Asked, step: int) -> None:
        if step > 0:
            self._under_way[asked.ticket] = asked
        else:
            del self._under_way[asked.ticket]
        if asked.is_wait:
            self._waits += step
        else:
            self._bytes += step * asked.size
        soon = len(self._under_way) - self._waits
        if self._bytes < _MOST_BYTES and soon < _MOST_QUESTIONS:
            self._has_room.set()
        else:
            self._has_room.clear()

    # --- what answers it

    def _finder_of(self, asked: _Asked) -> Callable[[], Awaitable[Any]]:
        """What gives the answer.

        Raises:
            FrameError: there is no such question.
        """
        if asked.is_call:
            return partial(self._host.on_thread, partial(_call, self._host.core, asked))
        finder = self._finders.get(asked.name)
        try:
            if finder is not None:
                return finder(asked.ticket, *asked.args)
        except TypeError:
            pass  # other arguments
        text = f"there is no question {asked.name!r} with such arguments"
        raise FrameError(text)

    # each in the words of `asked`

    def _find_ids(
        self,
        _: int,
        events: list[NewEvent],
        source: tuple[str, int] | None,
        since_ms: int | None,
    ) -> Callable[[], Awaitable[Any]]:
        if type(events) is not list or not all(type(one) is tuple for one in events):
            raise TypeError
        return partial(self._received.take, events, source, since_ms)

    def _find_number(self, _: int, *asked: Any) -> Callable[[], Awaitable[Any]]:
        publish = partial(
            self._host.worker.publish_number, *members(asked, str, str, bytes)
        )
        return partial(self._host.on_worker, publish)

    def _find_run(self, _: int, *asked: Any) -> Callable[[], Awaitable[Any]]:
        name, data, is_signal = members(asked, str, bytes, bool)
        ask = partial(_ask, self._host.worker, name, data, is_signal=is_signal)
        return partial(self._host.on_worker, ask)

    def _find_end(self, _: int, run_id: str) -> Callable[[], Awaitable[Any]]:
        return partial(
            self._host.on_worker, partial(self._host.worker.ending_of, run_id)
        )

    def _find_idle(self, _: int) -> Callable[[], Awaitable[Any]]:
        worker, core = self._host.worker, self._host.core
        return partial(self._host.on_worker, partial(worker.idle, core.join))

    def _find_stirs(self, ticket: int, channel: str) -> Callable[[], Awaitable[Any]]:
        tell = self._stir_later(ticket)
        listen = partial(_listen, self._host.worker, channel, tell)
        return partial(self._host.on_worker, listen)

    async def _answer(self, asked: _Asked, find: Callable[[], Awaitable[Any]]) -> None:
        if asked.is_call:
            async with self._turns:
                await self._settle(asked, find)
        else:
            await self._settle(asked, find)

    async def _settle(self, asked: _Asked, find: Callable[[], Awaitable[Any]]) -> None:
        asked.is_begun = True
        try:
            value = await find()
        except CoreError as error:
            await self._refuse(asked.ticket, error.kind, error.text)
        except DurableError as error:
            await self._refuse(asked.ticket, kind_of(error), str(error))
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            await self._refuse(asked.ticket, "invalid", str(error))
        except Exception as error:
            _LOGGER.exception("a question of another process has no answer")
            await self._refuse(asked.ticket, "io", repr(error))
        else:
            if asked.is_call:
                await self._write(lambda: value)
            else:
                await self._say(asked.ticket, VALUE, value)

    async def _refuse(self, ticket: int, kind: str, text: str) -> None:
        if kind in FAILED or self._host.worker.has_ended():  # it asks the next owner
            self.cut()
            self._host.give_up()
        else:
            await self._say(ticket, ERROR, (kind, text))

    async def _say(self, ticket: int, kind: str, value: object) -> None:
        await self._write(partial(_framed, ticket, kind, value))

    async def _write(self, make: Callable[[], bytes]) -> None:
        """The frame is made when the one before is on its way: one that reads nothing has no others in memory."""
        async with self._writing:
            if self._writer.is_closing():
                return
            with contextlib.suppress(
                OSError
            ):  # it is gone: that is noticed where it is read from
                self._writer.write(make())
                await self._writer.drain()

    # --- channels

    def _stir_later(self, ticket: int) -> Callable[[], None]:
        """Say from the worker's loop that there is something new: once, however often before it is on its way."""
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def stir() -> None:
            if ticket not in self._stirred:
                self._stirred.add(ticket)
                task = asyncio.ensure_future(self._stir(ticket))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the owner has ended
                loop.call_soon_threadsafe(stir)

        return tell

    async def _stir(self, ticket: int) -> None:
        def make() -> bytes:
            self._stirred.discard(ticket)
            return encode((ticket, STIRRED, None))

        await self._write(make)


def _call(core: Core, asked: _Asked) -> bytes:
    """On a thread: the answer as it is sent."""
    value = getattr(core, asked.name)(*asked.args, **asked.named)
    try:
        return encode((asked.ticket, VALUE, value))
    except FrameTooLarge as error:
        return encode(
            (asked.ticket, ERROR, ("too_large", _too_large(asked.name, error)))
        )


def _too_large(name: str, error: FrameTooLarge) -> str:
    less = "ask for less, with limit="
    here = f"process {os.getpid()}, which owns the store, can read it"
    return f"the answer has {error}: {less if name in PAGED else here}"


def _framed(ticket: int, kind: str, value: object) -> bytes:
    try:
        return encode((ticket, kind, value))
    except FrameTooLarge as error:
        return encode((ticket, ERROR, ("too_large", _too_large(kind, error))))


async def _ask(worker: Callers, name: str, data: bytes, *, is_signal: bool) -> Any:
    return await worker.ask(name, data, is_signal=is_signal)


async def _listen(worker: Callers, channel: str, tell: Callable[[], None]) -> None:
    with worker.listening(channel) as listener:
        while True:
            listener.clear()
            tell()
            await listener.wait()
