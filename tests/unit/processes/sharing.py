"""What the unit tests of sharing have in common: an owner, and an engine of the same process that reaches it by its socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from typing_extensions import override

import durable
from durable._bridge import Core
from durable._processes.address import connect
from durable._processes.frames import encode, receive
from durable._processes.opening import Welcome, greet


DEADLINE_S = 20


class Client(durable.Engine):
    """Reaches the owner, though that is in this process."""

    @override
    def _find_store(self, called_off: threading.Event) -> Core | Welcome:
        return greet(self.store)


def reach(engine: durable.Engine) -> socket.socket:
    connection = connect(engine.store, 10)
    assert connection is not None
    return connection


class Peer:
    """Another process, by its words alone."""

    def __init__(self, engine: durable.Engine) -> None:
        self.connection = greet(engine.store).connection
        self.said: dict[int, list[Any]] = {}

    def say(self, ticket: int, name: str, *args: Any, **named: Any) -> None:
        self.connection.sendall(encode((ticket, name, args, named)))

    async def hear(self, ticket: int) -> Any:
        while not self.said.get(ticket):
            number, *what = await asyncio.to_thread(receive, self.connection)
            self.said.setdefault(number, []).append(tuple(what))
        return self.said[ticket].pop(0)

    async def ask(self, name: str, *args: Any, **named: Any) -> Any:
        self.say(7, name, *args, **named)
        return await self.hear(7)


def make_app(name: str = "t") -> durable.App:
    app = durable.App(name)

    @app.function("double", on="number", retries=0)
    async def double(ctx: durable.Context) -> int:
        return await ctx.step.run("two", lambda: 2 * ctx.event.data["n"])

    @app.function("wait", on="wait")
    async def wait(ctx: durable.Context) -> Any:
        name = ctx.event.data["signal"]
        return await ctx.step.wait_for_signal("it", signal=name, timeout="1h")

    return app


async def until(is_so: Callable[[], Any]) -> None:
    """Poll for what another thread or process does."""
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end, "it never came"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
