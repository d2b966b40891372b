"""The part of an engine that shares its store with other processes: one of them owns it, the others reach it through that one."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from ._bridge import Core, public_errors
from ._processes.address import can_be_shared
from ._processes.client import Successor
from ._processes.opening import LIMIT_S, SHORT_LIMIT_S, Welcome, open_or_connect
from ._session import (
    Session,
    awaited_on_own_thread,
    join_owner,
    on_own_thread,
    register,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from ._app import App
    from ._flow import Backoff
    from ._function import Function

_LOGGER: Final = logging.getLogger("durable")


class Sharing(ABC):
    """Finds the store, and takes it over from a process that is gone."""

    apps: tuple[App, ...]
    store: str
    _functions: dict[str, Function[Any, Any]]
    _clock: str
    _backoff: Backoff
    _session: Session | None
    #: Who opened the engine, and will close it.
    _opened_by: asyncio.Task[Any] | None = None
    #: What it had before this process owned the store.
    _former: Session | None = None
    _taking: asyncio.Task[None] | None = None

    @abstractmethod
    def _opening(self) -> Callable[[], Core]:
        """What opens the store; it knows nothing of the engine."""

    @abstractmethod
    def _connect(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        numbers: Mapping[int, Function[Any, Any]],
    ) -> Session:
        """Begin to execute what is in a store."""

    @abstractmethod
    def _begin(self, session: Session) -> None:
        """From now on the engine is open with this."""

    def is_owner(self) -> bool:
        """True where this process has the store and executes functions; False where another has it, or nobody yet."""
        session = self._session
        return session is not None and session.is_owner and not session.has_given_up()

    def process_of(self, function: str) -> int | None:
        """The process that executes a function, as far as this engine was told when it was opened; `None`: nobody does."""
        session = self._session
        if session is None or session.is_owner:
            is_ours = session is not None and function in self._functions
            return os.getpid() if is_ours else None
        reached = session.reached
        is_theirs = reached is not None and function in reached.functions
        return reached.pid if is_theirs and reached is not None else None

    def _open_core(self) -> Core:
        return self._opening()()

    async def _find(self, loop: asyncio.AbstractEventLoop) -> Core | Welcome:
        """On a thread. Who calls it off has no store, and keeps it from nobody."""
        called_off = threading.Event()
        finding = on_own_thread(self._find_store, called_off)
        try:
            return await asyncio.wrap_future(finding, loop=loop)
        except asyncio.CancelledError:
            called_off.set()
            finding.add_done_callback(_leave)
            raise

    def _find_store(self, called_off: threading.Event) -> Core | Welcome:
        """The store, or a connection to the process that has it: not of an application whose clock is virtual."""
        if not can_be_shared(self.store) or (self.apps and self._is_virtual):
            return self._open_core()
        limit_s = LIMIT_S if self.apps else SHORT_LIMIT_S
        return open_or_connect(
            self.store, self._open_core, limit_s, called_off=called_off
        )

    async def _enter(
        self, found: Core | Welcome, loop: asyncio.AbstractEventLoop
    ) -> Session:
        if not isinstance(found, Welcome):
            return await self._own(found, loop)
        successor = Successor(self.store, loop, self._functions)
        if not self._is_virtual:
            successor.may_take_over(self._opening(), self._take_over)
        return join_owner(found, successor, loop, self._functions)

    async def _own(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        *,
        is_successor: bool = False,
    ) -> Session:
        """Execute what is in the store, and let other processes in, or as a successor at least this one."""
        numbers = await awaited_on_own_thread(
            loop, register, core, self.apps, self._backoff
        )
        session = self._connect(core, loop, numbers)
        if can_be_shared(self.store) and not self._is_virtual:
            session.share(self.store, self._functions, is_needed=is_successor)
        return session

    def _take_over(self, core: Core, taken: Future[Any]) -> None:
        """The process that had the store is gone, and this one has opened it."""
        self._taking = asyncio.ensure_future(self._succeed(core, taken))

    async def _succeed(self, core: Core, taken: Future[Any]) -> None:
        former = self._session
        try:
            with public_errors():
                if former is None:
                    return
                session = await self._own(core, former.loop, is_successor=True)
                if self._session is not former:  # it was closed meanwhile
                    await session.leave(0)
                    return
            self._former = former
            self._begin(session)
            taken.set_result(None if session.owner is None else session.owner.connect)
        except Exception:
            _LOGGER.exception("the store %s could not be taken over", self.store)
        finally:
            if not taken.done():
                core.close()
                taken.set_result(None)

    async def _leave_former(self) -> None:
        """What asked of another process before this one owned the store asks no more."""
        taking, self._taking = self._taking, None
        if taking is not None:
            await asyncio.wait({taking})
        former, self._former = self._former, None
        if former is not None:
            await former.leave(0)

    @property
    def _is_virtual(self) -> bool:
        return self._clock.startswith("virtual")


def _leave(finding: Future[Core | Welcome]) -> None:
    """It was called off: what is found now, or was just found, is nobody's."""
    if not finding.cancelled() and finding.exception() is None:
        finding.result().close()
