"""An engine behind HTTP, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import orjson

from ._bridge import HttpServer, public_errors
from ._errors import ConfigError


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ._engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server is set to.

    Attributes:
        host: an IP address of this machine.
        port: 0: any that is free.
        is_dev: for one programmer: without keys, on this machine only.
        urls: applications to ask for their functions.
        discovers: look for applications at the usual places of this machine.
        event_keys: what opens the event API.
        signing_keys: what requests are signed with, the first; and what opens the rest of the API.
        allowed: IP addresses, and ranges as "10.2.0.0/16", that may be called beside the public network; in dev mode
            this machine may be anyway.
        origins: whose pages may listen to channels beside the server's own, as "https://shop.example"; in dev mode
            all pages of this machine may anyway.
        log: what it says of itself to the standard error: lines for people, or JSON.
        retry_interval: s between tries of what failed, always; None: longer each time.
    """

    host: str = "127.0.0.1"
    port: int = 8288
    is_dev: bool = True
    urls: tuple[str, ...] = ()
    discovers: bool = False
    event_keys: tuple[str, ...] = field(default=(), repr=False)
    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    allowed: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    log: Literal["text", "json", "off"] = "off"
    retry_interval: float | None = None


@contextlib.asynccontextmanager
async def served(engine: Engine, settings: ServerSettings) -> AsyncGenerator[int]:
    """Serve an open engine; gives the port.

    Raises:
        ConfigError: another process owns the store, or a setting is wrong.
        StoreError: nobody can listen there.
    """
    session = engine.session
    if not session.is_owner:
        text = f"another process owns the store {engine.store}: start the server there, or stop that one"
        raise ConfigError(text)
    loop = asyncio.get_running_loop()

    def start() -> HttpServer:
        return HttpServer.start(session.core, orjson.dumps(asdict(settings)))

    with public_errors():
        server = await loop.run_in_executor(None, start)
    try:
        yield server.port
    finally:
        await asyncio.shield(loop.run_in_executor(None, server.close))
