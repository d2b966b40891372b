"""Tells middleware of the ends of runs, and sees to what may outlive a handler's call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from ._codec import read_plain
from ._errors import DurableError
from ._failure import read_error
from ._layered import outcome_through
from ._layers import tell_late
from ._middleware import Finished
from ._run_logger import ENDED, fields_of_end


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ._layered import Layered

_LOGGER: Final = logging.getLogger("durable.middleware")


class Ends:
    """Whose end is told of, once each, and the tasks that are about it."""

    __slots__ = ("_loop", "_tasks", "_watch", "_watched")

    def __init__(
        self,
        watch: Callable[[str], asyncio.Future[tuple[str, bytes, str]]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._watch = watch
        self._loop = loop
        self._watched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, layered: Layered) -> None:
        """Tell the run's middleware once its end is on disk."""
        run_id = layered.about.id
        if layered.stack.finished and run_id not in self._watched:
            self._watched.add(run_id)
            ending = self._watch(run_id)
            ending.add_done_callback(lambda done: self._tell(layered, done))

    def _tell(self, layered: Layered, ending: asyncio.Future[Any]) -> None:
        self._watched.discard(layered.about.id)
        if not ending.cancelled() and ending.exception() is None:
            status, json, _ = ending.result()
            self.clean_up(self._tell_all(layered, status, json))

    async def _tell_all(self, layered: Layered, status: str, json: bytes) -> None:
        about, stack = layered.about, layered.stack
        end = Finished(about, status)
        ENDED.set(fields_of_end(about))
        if status == "completed":
            find = about.find_origins
            try:
                json = await outcome_through(
                    stack, about.id, about.function_id, json, find
                )
            except Exception:
                _LOGGER.exception("middleware: the result of run %s", about.id)
            end.result = read_plain(json)
        else:
            end.error = read_error(json)
        await tell_late(stack.finished, end)

    def clean_up(self, work: Coroutine[Any, Any, None]) -> None:
        """See to this in a task of its own; what it raises is logged."""
        if self._loop.is_closed():
            work.close()
            return
        task = self._loop.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, grace_s: float) -> None:
        """Let what is under way finish, for so long at most."""
        if self._tasks:
            with contextlib.suppress(DurableError):
                await asyncio.wait(set(self._tasks), timeout=max(grace_s, 1.0))


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        _LOGGER.exception("middleware: what was cleaned up behind a run")
