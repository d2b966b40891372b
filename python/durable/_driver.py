"""Drives a handler's coroutine by hand: the current task of its code, without being made by asyncio.

A handler that only awaits steps goes on with one `send(None)` a step and needs no future at all. What
else it awaits is treated as `asyncio.Task` does (its pure-Python form in `asyncio/tasks.py` is the
model), so that task groups, timeouts and anyio's cancel scopes work: they ask for the current task, cancel
it, and count its cancellations.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from ._step import PARK, StepOwner


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from types import FrameType


class Driver:
    """One handler's coroutine and where it stands."""

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_cancel_count",
        "_cancel_message",
        "_fut_waiter",
        "_is_due",
        "_must_cancel",
        "_name",
        "context",
        "coroutine",
        "is_at_step",
        "is_done",
        "is_stepping",
        "loop",
        "run",
    )

    has_begun: Final = True

    def __init__(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        run: StepOwner,
        coroutine: Coroutine[Any, Any, Any],
        context: Context,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.run = run
        self.coroutine = coroutine
        self.context = context
        self.loop = loop
        self.is_stepping = False
        self.is_done = False
        self.is_at_step = False
        self._is_due = False
        self._fut_waiter: asyncio.Future[Any] | None = None
        self._must_cancel = False
        self._cancel_count = 0
        self._cancel_message: str | None = None
        self._name: str | None = None
        self._callbacks: list[tuple[Callable[[Any], object], Context | None]] | None = (
            None
        )

    def wake(self) -> None:
        """Go on, if the code stands at a step."""
        if self.is_at_step:
            self.step()

    def step(self, error: BaseException | None = None) -> None:  # noqa: C901, PLR0912, PLR0915  # one table of cases
        """Run the code to where it waits next, or to its end."""
        if self.is_done:
            return
        if self._must_cancel:
            error = asyncio.CancelledError(*_words(self._cancel_message))
            self._must_cancel = False
        self._fut_waiter = None
        self.is_at_step = False
        self.is_stepping = True
        _enter_task(self.loop, self)  # type: ignore[arg-type]  # it is a task to whoever asks
        try:
            if error is None:
                yielded = self.context.run(self.coroutine.send, None)
            else:
                yielded = self.context.run(self.coroutine.throw, error)
        except StopIteration as stop:
            self._end()
            self.run.complete(stop.value)
        except (KeyboardInterrupt, SystemExit):
            self._end()
            self.run.drop()
            raise
        except BaseException as raised:  # how a handler fails is its own business  # noqa: BLE001
            self._end()
            self.run.fail(raised)
        else:
            if yielded is PARK and not self._must_cancel:
                self.is_at_step = True
            else:
                self._wait_for(yielded)
        finally:
            self.is_stepping = False
            _leave_task(self.loop, self)  # type: ignore[arg-type]  # as above

    def _wait_for(self, yielded: Any) -> None:
        if yielded is None or yielded is PARK:
            self._call_soon()
        elif getattr(yielded, "_asyncio_future_blocking", None):
            yielded._asyncio_future_blocking = (  # noqa: SLF001
                False  # how asyncio says "awaited by a task"
            )
            yielded.add_done_callback(self._wakeup)
            self._fut_waiter = yielded
            if self._must_cancel and yielded.cancel(msg=self._cancel_message):
                self._must_cancel = False
        else:
            text = f"a handler awaits {yielded!r}, which asyncio does not know"
            self._call_soon(RuntimeError(text))

    def _call_soon(self, error: BaseException | None = None) -> None:
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._step_when_due, error)

    def _step_when_due(self, error: BaseException | None) -> None:
        self._is_due = False
        if error is not None or self._fut_waiter is None:
            self.step(error)

    def _wakeup(self, future: asyncio.Future[Any]) -> None:
        try:
            future.result()
        except BaseException as error:  # it is the handler's to see  # noqa: BLE001
            self.step(error)
        else:
            self.step()

    def _end(self) -> None:
        self.is_done = True
        for callback, context in self._callbacks or ():
            self.loop.call_soon(callback, self, context=context)

    def close(self) -> None:
        """Forget the code where it stands."""
        if self.is_done:
            return
        self._end()
        if self._fut_waiter is not None:
            self._fut_waiter.remove_done_callback(self._wakeup)
            self._fut_waiter.add_done_callback(_look_at)
            self._fut_waiter.cancel()
        try:
            self.context.run(self.coroutine.close)
        except (RuntimeError, asyncio.CancelledError):
            pass  # it awaits in a `finally`: it is told no more
        except Exception as error:  # a dropped run's last words change nothing  # noqa: BLE001
            self.loop.call_exception_handler(
                {
                    "message": f"while run {self.run.id} was put aside",
                    "exception": error,
                }
            )

    def give_up(self, error: Exception) -> BaseException:
        """Have the run fail with this; what the code is told, which is not to go on."""
        self.run.fail(error)
        return asyncio.CancelledError()

    def call_off(self) -> None:
        """Cancel the code as a task is cancelled where it is in the middle of something; else forget it."""
        if self._fut_waiter is None and not self._is_due:
            self.close()
        else:
            self.cancel("the run was called off")

    # What asyncio and its users ask the current task.

    def cancel(self, msg: str | None = None) -> bool:
        """As `asyncio.Task.cancel`."""
        if self.is_done:
            return False
        self._cancel_count += 1
        if self._fut_waiter is not None and self._fut_waiter.cancel(msg=msg):
            return True
        self._must_cancel = True
        self._cancel_message = msg
        if not self.is_stepping and self._fut_waiter is None:
            self._call_soon()
        return True

    def cancelling(self) -> int:
        """As `asyncio.Task.cancelling`."""
        return self._cancel_count

    def uncancel(self) -> int:
        """As `asyncio.Task.uncancel`."""
        self._cancel_count = max(0, self._cancel_count - 1)
        if self._cancel_count == 0:
            self._must_cancel = False
        return self._cancel_count

    def done(self) -> bool:
        """As `asyncio.Task.done`."""
        return self.is_done

    def cancelled(self) -> bool:
        """As `asyncio.Task.cancelled`."""
        return False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As `asyncio.Task.get_loop`."""
        return self.loop

    def get_coro(self) -> Coroutine[Any, Any, Any]:
        """As `asyncio.Task.get_coro`."""
        return self.coroutine

    def get_context(self) -> Context:
        """As `asyncio.Task.get_context`."""
        return self.context

    def get_name(self) -> str:
        """As `asyncio.Task.get_name`."""
        return self._name or f"{self.run.function.id}-{self.run.id}"

    def set_name(self, value: object) -> None:
        """As `asyncio.Task.set_name`."""
        self._name = str(value)

    def get_stack(self, *, limit: int | None = None) -> list[FrameType]:
        """As `asyncio.Task.get_stack`: the frame where it stands."""
        frame = getattr(self.coroutine, "cr_frame", None)
        return [frame][:limit] if frame is not None else []

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """As `asyncio.Task.add_done_callback`."""
        if self.is_done:
            self.loop.call_soon(fn, self, context=context)
            return
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append((fn, context))

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """As `asyncio.Task.remove_done_callback`."""
        kept = [pair for pair in self._callbacks or () if pair[0] != fn]
        removed = len(self._callbacks or ()) - len(kept)
        self._callbacks = kept
        return removed

    @override
    def __repr__(self) -> str:
        return f"<handler of run {self.run.id} of function '{self.run.function.id}'>"


def _look_at(future: asyncio.Future[Any]) -> None:
    """What nobody waits for any more is not to be complained of."""
    if not future.cancelled():
        future.exception()


def _words(message: str | None) -> tuple[str, ...]:
    return () if message is None else (message,)
