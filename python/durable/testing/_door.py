"""The store on disk of an engine under test, as its core: closed and opened again beneath those who hold it."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from durable._bridge import CoreError, public_errors
from durable._session import awaited_on_own_thread


if TYPE_CHECKING:
    from collections.abc import Callable

    from durable._bridge import Core

_OPEN_TRIES: Final = 200
_OPEN_PAUSE_S: Final = 0.01


class Door:
    """Stands for a core. Reads of other threads wait while it is shut, and are waited for before it is.

    Made on the thread of the engine's loop, whose calls go through as they are: they never wait.
    """

    def __init__(self, core: Core) -> None:
        self._inner = core
        self._loop_thread = threading.get_ident()
        self._changed = threading.Condition()
        self._is_shut = False
        self._inside = 0

    def __getattr__(self, name: str) -> Any:
        """What the core has of that name."""
        found = getattr(self._inner, name)
        return partial(self._go_through, name) if callable(found) else found

    def _go_through(self, name: str, /, *args: Any, **named: Any) -> Any:
        if threading.get_ident() == self._loop_thread:
            return getattr(self._inner, name)(*args, **named)
        with self._changed:
            self._changed.wait_for(lambda: not self._is_shut)
            self._inside += 1
        try:
            call: Callable[..., Any] = getattr(self._inner, name)
            return call(*args, **named)
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    async def reopen(
        self, loop: asyncio.AbstractEventLoop, open_core: Callable[[], Core]
    ) -> None:
        """Close the core, and open another in its place.

        Raises:
            DurableError: it cannot be opened again; who waits is told that it is closed.
        """
        core: Core | None = None
        try:
            # not in the loop's pool, which may be full of those who wait here
            await awaited_on_own_thread(loop, self._shut)
            with public_errors():
                core = await _opened(loop, open_core)
        finally:
            self._open(core)

    def _shut(self) -> None:
        """Let nobody in any more, and close the core when nobody is inside. Blocks."""
        with self._changed:
            self._is_shut = True
            self._changed.wait_for(lambda: self._inside == 0)
        self._inner.close()

    def _open(self, core: Core | None) -> None:
        """Whoever waits goes on with this core; `None`: with the closed one, which says so."""
        with self._changed:
            if core is not None:
                self._inner = core
            self._is_shut = False
            self._changed.notify_all()


async def _opened(
    loop: asyncio.AbstractEventLoop, open_core: Callable[[], Core]
) -> Core:
    """What was read last may keep the closed store for a moment more."""
    for _ in range(_OPEN_TRIES):
        try:
            return await awaited_on_own_thread(loop, open_core)
        except CoreError as error:
            if error.kind != "locked":
                raise
        await asyncio.sleep(_OPEN_PAUSE_S)  # what keeps it is a thread  # noqa: TID251
    return await awaited_on_own_thread(loop, open_core)
