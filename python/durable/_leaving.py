"""What was called off and still cleans up: it is waited for when the engine closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ._driver import Driver


if TYPE_CHECKING:
    from collections.abc import Callable

    from ._execution import LiveRun


class Leaving:
    """Handlers and tasks on their way to their ends; `on_end` is called with each that comes to its own."""

    __slots__ = ("_left", "_on_end")

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._left: set[Any] = set()
        self._on_end = on_end

    def add(self, run: LiveRun) -> None:
        """A run was called off: what of it does not end at once."""
        if run.tasks is None and getattr(run.driver, "is_done", True):
            return  # as most runs that end
        steps: list[Any] = [] if run.tasks is None else run.tasks.at_steps()
        tasks: list[Any] = [run.driver, *steps]
        for task in filter(_may_go_on, tasks):
            if not task.done():
                self._left.add(task)
                task.add_done_callback(self._end)

    def __bool__(self) -> bool:
        return bool(self._left)

    def _end(self, task: Any) -> None:
        self._left.discard(task)
        self._on_end()


def _may_go_on(task: object) -> bool:
    """False for a thread, which is not told that it was called off."""
    return isinstance(task, Driver | asyncio.Task)
