"""The process that owns a store, as others reach it: a thread answers on a Unix socket what they ask.

It has an event loop of its own, so that an application that blocks its loop holds nobody else up. Reads and orders
are calls of the `Core`, on a few threads; what ends later goes through the worker, on the worker's loop. Where the
engine has failed, or its loop has ended, it closes the store for it, so that another process takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from .._bridge import Core, CoreError
from .._fork import keep_from_children
from .address import forget, is_of_our_user, listen
from .frames import FrameError
from .peer import Peer


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from .._callers import Callers

_LOGGER: Final = logging.getLogger("durable")
_THREADS: Final = 8
_MOST_PEERS: Final = 256
_GIVEN_UP: Final = (
    "the store %s: this engine executes nothing any more, since it has failed or its event loop has ended: "
    "it is closed, so that another process takes over"
)


class Owner:
    """Answers others for one engine that has its store open."""

    def __init__(
        self, core: Core, worker: Callers, *, store: str, functions: Iterable[str]
    ) -> None:
        self.core = core
        self.worker = worker
        self.functions = tuple(functions)
        #: True once the store is left to others, though the engine was not closed.
        self.has_given_up = False
        self._store = store
        self._loop = asyncio.SelectorEventLoop()
        self._pool = ThreadPoolExecutor(_THREADS, "durable-owner")
        self._peers: set[Peer] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._is_full_told = False
        self._thread: threading.Thread | None = None

    def open(self, *, is_needed: bool = False) -> None:
        """Let others in.

        Args:
            is_needed: where there is no place for a socket, `connect` works all the same.

        Raises:
            OSError: there is no place for a socket.
        """
        try:
            own = listen(self._store)
        except OSError:
            if is_needed:
                self._start(None)
            else:
                self._loop.close()
            raise
        own.settimeout(0)
        self._start(own)

    def connect(self) -> socket.socket:
        """A connection for this very process, which asked another owner before.

        Raises:
            OSError: nobody answers any more.
        """
        ours, theirs = socket.socketpair()
        keep_from_children(ours)
        theirs.settimeout(0)
        try:
            self._loop.call_soon_threadsafe(self._let_in, theirs)
        except RuntimeError:
            ours.close()
            theirs.close()
            text = "the engine has ended"
            raise ConnectionRefusedError(text) from None
        return ours

    def close(self) -> None:
        """Answer what was asked, tell the others to look for another owner, and leave. Blocks for a few seconds at most."""
        if self._thread is None or not self._thread.is_alive():
            return
        with contextlib.suppress(RuntimeError):  # it has just ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _start(self, own: socket.socket | None) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(own,), name="durable-owner", daemon=True
        )
        self._thread.start()

    # --- the thread

    def _run(self, own: socket.socket | None) -> None:
        try:
            self._loop.run_until_complete(self._serve(own))
        except Exception:
            _LOGGER.exception("the store %s: others are let in no more", self._store)
        finally:
            if own is not None:
                own.close()
                forget(self._store)
            self._pool.shutdown(wait=False)
            self._loop.close()
            if self.has_given_up:
                self._close_store()

    def _close_store(self) -> None:
        try:
            self.core.close()
        except CoreError as error:
            text = "the store %s: it was not closed in order: %s"
            _LOGGER.warning(text, self._store, error.text)

    async def _serve(self, own: socket.socket | None) -> None:
        accepting = None if own is None else asyncio.ensure_future(self._accept(own))
        await self._closing.wait()
        if accepting is not None:
            accepting.cancel()
            await asyncio.wait({accepting})
        for peer in list(self._peers):
            if self.has_given_up:
                peer.cut()
            else:
                peer.send_away()
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
            self._let_in(connection)

    def _let_in(self, connection: socket.socket) -> None:
        keep_from_children(connection)
        try:
            is_welcome = self._has_room() and is_of_our_user(connection)
        except OSError:
            is_welcome = False  # it is gone
        if not is_welcome:
            connection.close()
            return
        task = asyncio.ensure_future(self._talk(connection))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    def _has_room(self) -> bool:
        if self._closing.is_set():
            return False
        is_full = len(self._talks) >= _MOST_PEERS
        if is_full and not self._is_full_told:
            self._is_full_told = True
            text = "the store %s: %d processes reach it through this one: no more are let in"
            _LOGGER.warning(text, self._store, _MOST_PEERS)
        return not is_full

    async def _talk(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        peer = Peer(self, reader, writer)
        if self._closing.is_set():
            peer.cut()
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
            await peer.end()

    # --- what its peers need

    def give_up(self) -> None:
        """The engine executes nothing any more: leave the store to another process."""
        if not self._closing.is_set():
            self.has_given_up = True
            _LOGGER.error(_GIVEN_UP, self._store)
            self._closing.set()

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
        answered = asyncio.wrap_future(asked)
        try:
            await asyncio.wait({answered})
        except asyncio.CancelledError:
            if not self.worker.loop.is_closed():  # else nothing there can be called off
                answered.cancel()
            raise
        return answered.result()


async def pause(seconds: float) -> None:
    """Let the loop turn for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
