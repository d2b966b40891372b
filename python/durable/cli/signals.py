"""Ctrl-C and SIGTERM as the end of what a command waits for."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def stops(work: asyncio.Future[Any]) -> Generator[None, None, None]:
    """Ctrl-C and SIGTERM cancel the work instead of the process, the first time."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def stop() -> None:
        work.cancel()
        restore()

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
            before[number] = handler
    try:
        yield
    finally:
        restore()
