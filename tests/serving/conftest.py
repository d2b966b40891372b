"""What these tests share: an engine behind HTTP, and an endpoint behind uvicorn that it calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

import durable
from durable._http_server import ServerSettings, served


KEY = "signkey-test-00ff10aa"
OLD_KEY = "signkey-test-deadbeef"


@contextlib.asynccontextmanager
async def listening(web: Any, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """An ASGI application behind uvicorn, in this process: its address."""
    server = uvicorn.Server(uvicorn.Config(web, log_level="warning", lifespan="on"))
    door = socket.create_server((host, 0))  # who comes early waits there
    serving = asyncio.create_task(server.serve(sockets=[door]))
    try:
        yield f"http://{host}:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def engine_behind_http(
    **settings: Any,
) -> AsyncIterator[tuple[durable.Engine, str]]:
    """An engine without functions of its own, whose time passes at once, and its address."""
    async with (
        durable.Engine(store="memory:", clock="virtual:auto") as engine,
        served(engine, ServerSettings(port=0, **settings)) as port,
    ):
        yield engine, f"http://127.0.0.1:{port}"
