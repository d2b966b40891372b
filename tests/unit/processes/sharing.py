"""What the unit tests of sharing have in common: an owner, and an engine of the same process that reaches it by its socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from typing_extensions import override

import durable
from durable._bridge import Core
from durable._processes.opening import Welcome, greet


DEADLINE_S = 20


class Client(durable.Engine):
    """Reaches the owner, though that is in this process."""

    @override
    def _find_store(self, called_off: threading.Event) -> Core | Welcome:
        return greet(self.store)


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
