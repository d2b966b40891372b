"""The process that owns a store, as others reach it: a thread answers on a Unix socket what they ask.

It has an event loop of its own, so that an application that blocks its loop holds nobody else up. Reads and orders
are calls of the `Core`, on a few threads; what ends later goes through the worker, on the worker's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .._bridge import Core, CoreError, __version__, kind_of
from .._errors import DurableError
from .._fork import keep_from_children
from .address import forget, is_of_our_user, listen
from .asked import (
    ASK,
    BYE,
    DROP,
    ERROR,
    HELLO,
    JOIN,
    LISTEN,
    ONCE,
    PROTOCOL,
    REPEATABLE,
    SEND,
    STIRRED,
    VALUE,
    WAITS,
    WATCH,
)
from .frames import FrameError, FrameTooLarge, encode, members, read
from .received import Received


if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterable

    from .._bridge import NewEvent
    from .._callers import Callers

_LOGGER: Final = logging.getLogger("durable")
_HELLO_S: Final = 10.0
#: So long the close waits for what is being answered.
_GRACE_S: Final = 3.0
_THREADS: Final = 8
_MOST_PEERS: Final = 256
#: So much of one process may be under way at a time.
_MOST_UNDER_WAY: Final = 100_000


class Owner:
    """Answers others for one engine that has its store open."""

    def __init__(
        self, core: Core, worker: Callers, *, store: str, functions: Iterable[str]
    ) -> None:
        self.core = core
        self.worker = worker
        self.functions = tuple(functions)
        self._store = store
        self._loop = asyncio.SelectorEventLoop()
        self._pool = ThreadPoolExecutor(_THREADS, "durable-owner")
        self._peers: set[Peer] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Let others in.

        Raises:
            OSError: there is no place for a socket.
        """
        try:
            own = listen(self._store)
        except OSError:
            self._loop.close()
            raise
        own.settimeout(0)
        self._thread = threading.Thread(
            target=self._run, args=(own,), name="durable-owner", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer what was asked, tell the others to look for another owner, and leave. Blocks for a few seconds at most."""
        if self._thread is None or not self._thread.is_alive():
            return
        with contextlib.suppress(RuntimeError):  # it has just ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    # --- the thread

    def _run(self, own: socket.socket) -> None:
        try:
            self._loop.run_until_complete(self._serve(own))
        except Exception:
            _LOGGER.exception("the store %s: others are let in no more", self._store)
        finally:
            own.close()
            forget(self._store)
            self._pool.shutdown(wait=False)
            self._loop.close()

    async def _serve(self, own: socket.socket) -> None:
        accepting = asyncio.ensure_future(self._accept(own))
        await self._closing.wait()
        accepting.cancel()
        await asyncio.wait({accepting})
        if self._peers:
            leaving = [asyncio.ensure_future(peer.leave()) for peer in self._peers]
            await asyncio.wait(leaving)
        for task in self._talks:
            task.cancel()  # one that has not said who it is
        if self._talks:
            await asyncio.wait(self._talks)
        await pause(0)  # for what they have closed

    async def _accept(self, own: socket.socket) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(own)
            except OSError as error:
                # no descriptors are left: others may be closed meanwhile
                _LOGGER.warning(
                    "the store %s: nobody can connect: %s", self._store, error
                )
                await pause(1.0)
                continue
            keep_from_children(connection)
            if len(self._peers) >= _MOST_PEERS or not is_of_our_user(connection):
                connection.close()
                continue
            task = asyncio.ensure_future(self._talk(connection))
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)

    async def _talk(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        peer = Peer(self, reader, writer)
        self._peers.add(peer)
        try:
            await peer.serve()
        except (FrameError, TimeoutError) as error:
            _LOGGER.warning(
                "the store %s: a connection is closed: %s", self._store, error
            )
        except (EOFError, OSError):
            pass  # it is gone
        finally:
            self._peers.discard(peer)
            peer.close()

    # --- what is asked

    async def on_thread(self, call: Callable[[], Any]) -> Any:
        """Call this where it may block."""
        return await self._loop.run_in_executor(self._pool, call)

    async def on_worker(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Wait for this on the worker's loop.

        Raises:
            CoreError: that loop has ended.
        """
        work = call()
        try:
            asked = asyncio.run_coroutine_threadsafe(work, self.worker.loop)
        except RuntimeError:
            work.close()
            kind, text = "closed", "the event loop of the store's owner has ended"
            raise CoreError(kind, text) from None
        return await asyncio.wrap_future(asked)


@dataclass(frozen=True, slots=True)
class _Asked:
    ticket: int
    name: str
    args: tuple[Any, ...]
    named: dict[str, Any]


class Peer:
    """One process at the other end."""

    def __init__(
        self, owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._owner = owner
        self._reader = reader
        self._writer = writer
        self._writing = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._under_way: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._stirred: set[int] = set()
        self._is_leaving = False
        self._left = asyncio.Event()
        self._received = Received(owner.core, owner.on_thread)
        self._questions: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
            SEND: self._find_ids,
            ASK: self._find_ask,
            WATCH: self._find_end,
            JOIN: self._find_idle,
            LISTEN: self._find_stirs,
        }

    async def serve(self) -> None:
        """Greet it, and answer until it leaves or this process does."""
        async with asyncio.timeout(_HELLO_S):
            if not await self._greet():
                return
        self._reading = asyncio.ensure_future(self._read())
        await asyncio.wait({self._reading})
        if self._is_leaving:
            await self._left.wait()
        else:
            self._reading.result()

    def close(self) -> None:
        """Nothing more is answered."""
        for _, task in list(self._under_way.values()):
            task.cancel()
        self._writer.close()

    async def leave(self) -> None:
        """Answer what has been asked and can be answered now; say of the rest that it was not begun, or what was."""
        if self._reading is None:
            return
        self._is_leaving = True
        self._reading.cancel()
        begun = [task for name, task in self._under_way.values() if name not in WAITS]
        if begun:
            await asyncio.wait(begun, timeout=_GRACE_S)
        unsure = [
            ticket
            for ticket, (name, task) in self._under_way.items()
            if name not in WAITS and not task.done()
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await self._say(0, BYE, unsure)
        self._left.set()

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
        now_ms = self._owner.core.now_ms()
        functions = self._owner.functions
        await self._say(ticket, VALUE, (os.getpid(), now_ms, functions))
        return True

    async def _read(self) -> None:
        while True:
            said = members(await read(self._reader), int, str, tuple, dict)
            self._begin(_Asked(*said))

    def _begin(self, asked: _Asked) -> None:
        if asked.name == DROP:
            if asked.ticket in self._under_way:
                self._under_way[asked.ticket][1].cancel()
            return
        if asked.ticket in self._under_way:
            text = f"question {asked.ticket} is under way"
            raise FrameError(text)
        if len(self._under_way) >= _MOST_UNDER_WAY:
            text = f"more than {_MOST_UNDER_WAY} questions at a time"
            raise FrameError(text)
        answer = self._answer(asked.ticket, self._find(asked))
        task = asyncio.ensure_future(answer)
        self._under_way[asked.ticket] = (asked.name, task)
        task.add_done_callback(lambda _: self._under_way.pop(asked.ticket, None))

    def _find(self, asked: _Asked) -> Coroutine[Any, Any, Any]:
        """What gives the answer.

        Raises:
            FrameError: there is no such question.
        """
        owner, name, args = self._owner, asked.name, asked.args
        if name in REPEATABLE or name in ONCE:
            call = partial(getattr(owner.core, name), *args, **asked.named)
            return owner.on_thread(call)
        find = self._questions.get(name)
        try:
            if find is not None:
                return find(asked.ticket, *args)
        except TypeError:
            pass  # other arguments
        text = f"there is no question {name!r} with such arguments"
        raise FrameError(text)

    # each in the words of `_asked`

    def _find_ids(
        self,
        _: int,
        events: list[NewEvent],
        source: tuple[str, int] | None,
        since_ms: int | None,
    ) -> Coroutine[Any, Any, Any]:
        if type(events) is not list or not all(type(one) is tuple for one in events):
            raise TypeError
        return self._received.take(events, source, since_ms)

    def _find_ask(self, _: int, *asked: Any) -> Coroutine[Any, Any, Any]:
        name, data, is_signal = members(asked, str, bytes, bool)
        ask = partial(_ask, self._owner.worker, name, data, is_signal=is_signal)
        return self._owner.on_worker(ask)

    def _find_end(self, _: int, run_id: str) -> Coroutine[Any, Any, Any]:
        return self._owner.on_worker(partial(self._owner.worker.ending_of, run_id))

    def _find_idle(self, _: int) -> Coroutine[Any, Any, Any]:
        worker, core = self._owner.worker, self._owner.core
        return self._owner.on_worker(partial(worker.idle, core.join))

    def _find_stirs(self, ticket: int, channel: str) -> Coroutine[Any, Any, Any]:
        tell = self._stir_later(ticket)
        return self._owner.on_worker(
            partial(_listen, self._owner.worker, channel, tell)
        )

    async def _answer(self, ticket: int, finding: Coroutine[Any, Any, Any]) -> None:
        try:
            value = await finding
        except CoreError as error:
            await self._refuse(ticket, error.kind, error.text)
        except DurableError as error:
            await self._refuse(ticket, kind_of(error), str(error))
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            await self._refuse(ticket, "invalid", str(error))
        except Exception as error:
            _LOGGER.exception("a question of another process has no answer")
            await self._refuse(ticket, "io", repr(error))
        else:
            await self._say(ticket, VALUE, value)

    async def _refuse(self, ticket: int, kind: str, text: str) -> None:
        if kind == "closed":  # it asks the next owner
            self._writer.close()
        else:
            await self._say(ticket, ERROR, (kind, text))

    async def _say(self, ticket: int, kind: str, value: object) -> None:
        try:
            frame = encode((ticket, kind, value))
        except FrameTooLarge as error:
            text = f"the answer has {error}: ask for less, with limit="
            frame = encode((ticket, ERROR, ("too_large", text)))
        async with self._writing:
            with contextlib.suppress(
                OSError
            ):  # it is gone: that is noticed where it is read from
                self._writer.write(frame)
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
        async with self._writing:
            self._stirred.discard(ticket)
            with contextlib.suppress(OSError):
                self._writer.write(encode((ticket, STIRRED, None)))
                await self._writer.drain()


async def _ask(worker: Callers, name: str, data: bytes, *, is_signal: bool) -> Any:
    return await worker.ask(name, data, is_signal=is_signal)


async def _listen(worker: Callers, channel: str, tell: Callable[[], None]) -> None:
    with worker.listening(channel) as listener:
        while True:
            listener.clear()
            tell()
            await listener.wait()


async def pause(seconds: float) -> None:
    """Let the loop turn for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
