"""What these tests share: keys, servers to attack, applications that answer them, and how much is tried.

`DURABLE_SECURITY=long pytest tests/security` tries as much as `spec/reliability.md` asks for, in place of what is
enough for every change.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import durable
from durable._http_server import ServerSettings, served
from durable._serving.keys import Keys

from ..sdk.running import listening


KEY = "signkey-test-00ff10aa"
OLD_KEY = "signkey-test-deadbeef"
EVENT_KEY = "an-event-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
SEED = 20261122
IS_LONG = os.environ.get("DURABLE_SECURITY") == "long"


def count(short: int, long: int) -> int:
    """How often something is tried."""
    return long if IS_LONG else short


def now_s() -> int:
    return int(time.time())


def function(app: str, name: str, url: str, **settings: Any) -> dict[str, Any]:
    """A function as SDKs register it: never tried again, for an event of its own name."""
    runtime = {"type": "http", "url": url}
    step = {"id": "step", "name": "step", "runtime": runtime}
    made = {
        "id": f"{app}-{name}",
        "name": name,
        "triggers": [{"event": f"{app}/{name}"}],
        "steps": {"step": {**step, "retries": {"attempts": 0}}},
    }
    return made | settings


def registration(app: str, *functions: dict[str, Any]) -> dict[str, Any]:
    url = "http://1.1.1.1/"
    return {"url": url, "appName": app, "functions": list(functions)}


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    """The headers of a genuine reply."""
    keys = Keys([key])
    return {"X-Inngest-Sdk": "a:v1", "X-Inngest-Signature": keys.sign(body, now_s())}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application is asked."""

    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]
Answers = Callable[[Asked], Answer]


def application(answers: Answers) -> Callable[..., Awaitable[None]]:
    """An ASGI application that answers as it is told."""

    async def web(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            while scope["type"] == "lifespan":
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, said, content = answers(Asked(scope["path"], headers, body))
        names = [(name.encode(), value.encode()) for name, value in said.items()]
        begin = {"type": "http.response.start", "status": status, "headers": names}
        await send(begin)
        await send({"type": "http.response.body", "body": content})

    return web


@contextlib.asynccontextmanager
async def engine_with_keys(
    *signing_keys: str, **settings: Any
) -> AsyncIterator[tuple[durable.Engine, httpx.AsyncClient]]:
    """A server for others in this process, and a client without keys."""
    given = {
        "is_dev": False,
        "event_keys": (EVENT_KEY,),
        "signing_keys": signing_keys or (KEY,),
    }
    async with (
        durable.Engine(store="memory:", clock="virtual:auto") as engine,
        served(engine, ServerSettings(port=0, **(given | settings))) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        yield engine, http


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """`durable serve` in a process of its own."""

    http: httpx.Client
    port: int
    pid: int
    log: Path

    def memory(self, field: str) -> int:
        """A figure of its memory, bytes: VmRSS now, VmHWM at most."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", text)
        assert found
        return int(found.group(1)) * 1024

    def forget_the_most(self) -> None:
        """From now on VmHWM counts anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[Served]:
    """`durable serve` with one key of each kind; the client has the signing key."""
    log = folder / "serve.log"
    keys = ["--event-key", EVENT_KEY, "--signing-key", KEY]
    line = ["serve", "--store", str(folder / "store"), *keys, *options]
    with listening(line, log, environment) as (running, url):
        port = httpx.URL(url).port
        assert port is not None
        with httpx.Client(base_url=url, headers=BEARER, timeout=60) as http:
            yield Served(http=http, port=port, pid=running.pid, log=log)
