"""Finds out whether code that awaits other tasks waits, in the end, for steps alone.

Only then may its run give its slot back. What asyncio and anyio use to wait for tasks is looked into;
whatever else is awaited (a socket, a timer of the loop, a future of the user's own) counts as code
that executes.
"""

from __future__ import annotations

import asyncio
import gc
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, cast


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

#: Names of functions that wait for tasks, and where in their frames these are.
_TASKS_OF: Final[dict[str, Callable[[dict[str, Any]], Iterable[Any]]]] = {
    "TaskGroup.__aexit__": lambda frame: frame["self"]._tasks,  # noqa: SLF001  # shown nowhere else
    "TaskGroup._aexit": lambda frame: frame["self"]._tasks,  # noqa: SLF001  # shown nowhere else
    "_wait": lambda frame: frame["fs"],
    "wait_for": lambda frame: [frame["fut"]],
}
#: Functions that wait for what another task of the same handler will do; which one cannot be seen.
_UNSEEN: Final = frozenset(
    {
        "Queue.get",
        "Queue.put",
        "Event.wait",
        "Lock.acquire",
        "Semaphore.acquire",
        "Condition.wait",
        "Barrier._block",
        "Barrier._wait",
    }
)
_MODULES: Final = ("asyncio.", "anyio.")
#: The kinds of code, by the first letters of what Python shows of it, and where that says what it awaits.
_NEXT: Final = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}
_KINDS: Final = tuple(_NEXT)
_WRAPPERS: Final = frozenset(
    {
        "anext_awaitable",
        "async_generator_asend",
        "async_generator_athrow",
        "coroutine_wrapper",
    }
)


#: How many passes code must stand still that cannot be seen through, before it counts as waiting.
_PATIENCE: Final = 3


class HandlerTasks:
    """The tasks that one handler has made, as far as they have come to a step.

    A handler that makes none has no such object.
    """

    __slots__ = ("_at_steps", "_driver", "_known", "_looks_at", "_stillness")

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._at_steps: dict[Any, int] = {}  # how many steps each stands at
        self._known: set[Any] = set()
        self._stillness = 0  # for how many passes all seemed to wait
        self._looks_at: asyncio.Future[Any] | None = None

    def enter(self) -> asyncio.Task[Any] | None:
        """The current task comes to a step."""
        task = asyncio.current_task()
        self._known.add(task)
        self._at_steps[task] = self._at_steps.get(task, 0) + 1
        self._stillness = 0
        return task

    def know(self, task: asyncio.Task[Any]) -> None:
        """A task of the handler's, which need not come to a step."""
        self._known.add(task)
        self._stillness = 0

    def leave(self, task: object) -> None:
        """It goes on."""
        count = self._at_steps.pop(task, 1) - 1
        if count > 0:
            self._at_steps[task] = count
        self._stillness = 0

    def cancel(self, message: str) -> None:
        """Call off those that stand at steps."""
        for task in list(self._at_steps):
            if isinstance(task, asyncio.Task):
                task.cancel(message)

    def at_steps(self) -> list[object]:
        """Those that stand at steps."""
        return list(self._at_steps)

    def stand_still(self, look_again: Callable[[], None]) -> bool:
        """True where all of the handler waits for steps. Else `look_again` is called when that may be."""
        standing = find_foreign(self._driver, self._is_at_step)
        if standing is Standing.AT_STEPS:
            return True
        if standing is Standing.UNSURE:
            standing = self._standing_of_known()
            self._stillness += 1
        if isinstance(standing, asyncio.Future):
            if standing is not self._looks_at:
                self._looks_at = standing
                standing.add_done_callback(lambda _: look_again())
        elif standing is Standing.UNSURE and self._stillness > _PATIENCE:
            return True
        else:
            look_again()
        return False

    def _standing_of_known(self) -> Standing | asyncio.Future[Any]:
        self._known = {task for task in self._known if not task.done()}
        for task in self._known:
            standing = find_foreign(task, self._is_at_step)
            if standing is Standing.MOVING or isinstance(standing, asyncio.Future):
                return standing
        return Standing.UNSURE

    def _is_at_step(self, task: Any) -> bool:
        return bool(task.is_at_step) if task is self._driver else task in self._at_steps


class Standing(Enum):
    """How code stands that does not wait for something foreign."""

    AT_STEPS = auto()  # it waits for steps alone
    UNSURE = (
        auto()
    )  # it waits for other code of the same handler, which may be about to go on
    MOVING = auto()  # it does not wait


def find_foreign(  # noqa: C901, PLR0911  # one table of cases
    task: Any, at_steps: Callable[[Any], bool]
) -> Standing | asyncio.Future[Any]:
    """What `task`, or what stands in for one, waits for besides steps: a future, if anything.

    `at_steps` says whether a task stands at a step.
    """
    if at_steps(task):
        return Standing.AT_STEPS
    waits_for = getattr(task, "_fut_waiter", None)
    if waits_for is None or waits_for.done():
        return Standing.MOVING
    inner = _inner_tasks(task, waits_for)
    if isinstance(inner, Standing):
        return inner
    if inner is None:
        return cast("asyncio.Future[Any]", waits_for)
    # Who is told by a task that is done is told a pass later.
    ended = [one.done() for one in inner]
    if all(ended):
        return Standing.MOVING
    standing = Standing.UNSURE if any(ended) else Standing.AT_STEPS
    for one in inner:
        found = Standing.AT_STEPS if one.done() else find_foreign(one, at_steps)
        if found is Standing.UNSURE:
            standing = found
        elif found is not Standing.AT_STEPS:
            return found
    return standing


def _inner_tasks(task: Any, waits_for: Any) -> list[Any] | Standing | None:  # noqa: PLR0911  # one answer for each case
    """The tasks that something waits for; `None` where it is no task it waits for."""
    if isinstance(waits_for, asyncio.Task):
        return [cast("object", waits_for)]
    children = getattr(waits_for, "_children", None)
    if children is not None:  # asyncio.gather
        return list(children)
    frame = _innermost_frame(task)
    if frame is None or not frame.f_globals.get("__name__", "").startswith(_MODULES):
        return None
    name = frame.f_code.co_qualname
    if name in _UNSEEN:
        return Standing.UNSURE
    tasks_of = _TASKS_OF.get(name)
    return None if tasks_of is None else list(tasks_of(frame.f_locals))


def _innermost_frame(task: Any) -> FrameType | None:
    coroutine = task.get_coro() if hasattr(task, "get_coro") else None
    frame: FrameType | None = None
    while coroutine is not None:
        for kind in _KINDS:
            if hasattr(coroutine, f"{kind}_frame"):
                frame = getattr(coroutine, f"{kind}_frame")
                coroutine = getattr(coroutine, _NEXT[kind])
                break
        else:
            coroutine = _behind(coroutine)
    return frame


def _behind(awaited: object) -> object | None:
    """The code behind what Python puts around a coroutine or a step of an async generator, and shows no other way."""
    if type(awaited).__name__ not in _WRAPPERS:
        return None
    for one in gc.get_referents(awaited):
        is_code = any(hasattr(one, f"{kind}_frame") for kind in _KINDS)
        if is_code or type(one).__name__ in _WRAPPERS:
            return cast("object", one)
    return None
