"""Follows the tasks that a coroutine makes, and those that they make in turn.

Whether a handler waits for steps alone can be seen where it waits for its tasks by name. A library may have them meet
through events and streams: then one has to know them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from typing_extensions import override

from ._step import CURRENT_STEP


if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")


class Followed(Coroutine[Any, Any, T]):
    """A coroutine, each task of which is told to `know`: not those of its steps, which are nobody's to wait for."""

    __slots__ = ("_coroutine", "_know")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        know: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._coroutine = coroutine
        self._know = know

    @override
    def send(self, value: Any, /) -> Any:
        return self._go_on(self._coroutine.send, value)

    @override
    def throw(  # as it is called
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> Any:
        given = [one for one in (typ, val, tb) if one is not None]
        return self._go_on(self._coroutine.throw, *given)

    @override
    def close(self) -> None:
        self._coroutine.close()

    @override
    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        """What Python and libraries look at: where it stands, what it is called."""
        return getattr(self._coroutine, name)

    def _go_on(self, go_on: Callable[..., Any], *given: Any) -> Any:
        """Tasks are made while code executes: so long the loop makes them here."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()

        def make(
            loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any
        ) -> Any:
            is_own = CURRENT_STEP.get() is None
            if is_own:
                coroutine = Followed(coroutine, self._know)
            if before is None:
                task = asyncio.Task(coroutine, loop=loop, **settings)
            else:
                task = cast("asyncio.Task[Any]", before(loop, coroutine, **settings))
            if is_own:
                self._know(task)
            return task

        loop.set_task_factory(make)
        try:
            return go_on(*given)
        finally:
            loop.set_task_factory(before)
