"""A store opened only to be read: no application is there, and no time passes in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from .failure import told_plainly
from .options import existing


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable import Engine

T = TypeVar("T")


def read(store: str, ask: Callable[[Engine], Awaitable[T]]) -> T:
    """What `ask` gets from the store.

    Raises:
        CommandError: there is no store, another process has it open, or it cannot be read.
    """
    from durable import Engine  # noqa: PLC0415  # slow to import

    path = existing(store)

    async def opened() -> T:
        async with Engine(store=path, clock="virtual", settings={}) as engine:
            return await ask(engine)

    with told_plainly():
        return asyncio.run(opened())
