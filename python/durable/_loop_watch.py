"""Sees code that keeps the event loop from turning, while it does: a thread that asks the loop for a sign and looks where it is.

What is counted is how long this process was executing, not how long it was by the clock: a process that was suspended, or had
to wait for the processor, has blocked nothing.
"""

from __future__ import annotations

import linecache
import logging
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ._driver import Driver
from ._errors import BLOCKED_LOOP
from ._outside import is_of_user
from ._step import StepCall


if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import FrameType


_LOGGER: Final = logging.getLogger("durable")
_MAX_TOLD: Final = 1000
#: So many times within the limit the thread looks whether the loop has turned.
_LOOKS: Final = 4

_STEP: Final = StepCall[Any]._execute.__code__  # noqa: SLF001  # ours: whose frame is looked for
_HANDLER: Final = Driver.step.__code__


@dataclass(frozen=True, slots=True)
class Place:
    """Whose code it is that executes, and where it is.

    Attributes:
        function: the function's id.
        run: the run's id.
        who: the step, or the handler.
        line: as in `shop.py:12`.
        within: the Python function that the line is in.
        source: the line itself.
    """

    function: str
    run: str
    who: str
    line: str
    within: str
    source: str


class LoopWatch:
    """Warns, once for each line, of code that has kept a loop for `limit_s` seconds; `None`: it does nothing at all."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float | None,
        is_busy: Callable[[], bool],
        *,
        turned_at: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._limit_s = limit_s or 0.0
        self._is_busy = is_busy
        self._turned_at = turned_at  # when the worker last had a turn
        self._loop_thread = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._is_asleep = limit_s is not None
        self._is_closed = False
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._is_asked = (
            False  # the loop has been asked for a sign, and has not given it
        )
        self._held_s = 0.0
        self._told: set[tuple[str, str, str]] = set()

    # --- on the loop

    def wake(self) -> None:
        """There is work: look on."""
        if not self._is_asleep:
            return
        self._is_asleep = False
        if self._thread is None:
            self._loop_thread = threading.get_ident()
            self._thread = threading.Thread(
                target=self._watch, name="durable_loop_watch", daemon=True
            )
            self._thread.start()
        else:
            self._awake.set()

    def close(self) -> None:
        """Look no more."""
        self._is_asleep, self._is_closed = False, True
        self._closing.set()
        self._awake.set()

    def _turned(self) -> None:
        self._is_asked = False

    # --- on the thread

    def _watch(self) -> None:
        pause = self._limit_s / _LOOKS
        last, last_cpu = time.monotonic(), time.process_time()
        while not self._closing.wait(pause):
            now, cpu = time.monotonic(), time.process_time()
            executed = executed_s(pause, now - last, cpu - last_cpu)
            last, last_cpu = now, cpu
            if not self.look(executed):
                self._sleep()
                last, last_cpu = time.monotonic(), time.process_time()

    def _sleep(self) -> None:
        self._awake.clear()
        self._is_asleep = True
        if self._is_busy() or self._is_closed:
            self._is_asleep = False
            return
        self._awake.wait()

    def look(self, executed_s: float) -> bool:
        """Has the loop turned? The process has been executing for so long since the last look. False: nothing executes."""
        if self._is_asked:
            self._held_s += executed_s
            if self._held_s >= self._limit_s:
                self._tell()
            return True
        if not self._is_busy():
            return False
        # a function in C that lets no thread go on kept this one too, from before it could ask
        if min(executed_s, time.monotonic() - self._turned_at()) >= self._limit_s:
            self._held_s = executed_s
            self._tell()
        self._held_s, self._is_asked = 0.0, True
        try:
            self._loop.call_soon_threadsafe(self._turned)
        except RuntimeError:  # it is closed
            self._closing.set()
        return True

    def _tell(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # the only way to another thread's
        place = where_is(frame)
        if place is None:
            return
        known = (place.function, place.who, place.line)
        if known in self._told or len(self._told) >= _MAX_TOLD:
            return
        self._told.add(known)
        _LOGGER.warning(
            "function '%s', run %s: %s has kept the event loop for %.1f s so far: no other run, step or request of this "
            "process goes on meanwhile. It is at %s, in %s:\n    %s\n  Let a thread do it, as in "
            "ctx.step.options(blocking=True).run(...), or await something that does not block (%s; "
            "Engine(blocked_after=None) says nothing)",
            place.function,
            place.run,
            place.who,
            self._held_s,
            place.line,
            place.within,
            place.source,
            BLOCKED_LOOP,
        )


def executed_s(pause: float, passed: float, computed: float) -> float:
    """For how long of `passed` this process was executing, where a look was due after `pause`; all in seconds.

    The thread that looks comes later than that where the process did not execute, or where a function in C kept all threads: then
    it has computed.
    """
    return min(passed, max(pause, computed))


def where_is(frame: FrameType | None) -> Place | None:
    """Which step or handler executes in this frame of the loop's thread, if one does: the innermost line that a user wrote."""
    own: FrameType | None = None
    innermost = frame
    while frame is not None:
        code = frame.f_code
        if code is _STEP or code is _HANDLER:
            return _place(frame.f_locals["self"], own or innermost)
        module = frame.f_globals.get("__name__", "")
        if own is None and is_of_user(code.co_filename, module, ""):
            own = frame
        frame = frame.f_back
    return None


def _place(owner: Any, frame: FrameType | None) -> Place | None:
    if frame is None:
        return None
    file, line = frame.f_code.co_filename, frame.f_lineno
    who = (
        f"step '{owner.name}'"
        if isinstance(owner, StepCall)
        else "its handler, between steps,"
    )
    return Place(
        function=owner.run.function.id,
        run=owner.run.id,
        who=who,
        line=f"{file}:{line}",
        within=frame.f_code.co_name,
        source=linecache.getline(file, line).strip(),
    )
