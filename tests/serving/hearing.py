"""Whoever listens over HTTP, through a WebSocket or to a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect


LIMIT_S = 20
Topics = Iterable[tuple[str, str]]


class Socket:
    """One who listens through a WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: object) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def next(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.connection.recv(), LIMIT_S)
        message: dict[str, Any] = orjson.loads(text)
        return message

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]


class Stream:
    """One who listens to a stream of events."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def line(self) -> str | None:
        """The next; None: that was all."""
        return await asyncio.wait_for(anext(self._lines, None), LIMIT_S)

    async def next(self) -> dict[str, Any]:
        while (line := await self.line()) is not None:
            if line.startswith("data: "):
                message: dict[str, Any] = orjson.loads(line[6:])
                return message
        raise EOFError

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]


async def token(http: httpx.AsyncClient, topics: Topics, **headers: str) -> str:
    asked = [{"channel": one, "name": name, "kind": "run"} for one, name in topics]
    answer = await http.post("/v1/realtime/token", json=asked, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jwt"])


@contextlib.asynccontextmanager
async def through_socket(
    http: httpx.AsyncClient, *topics: tuple[str, str]
) -> AsyncIterator[Socket]:
    url = socket_url(http, await token(http, topics))
    async with connect(url, max_size=None) as connection:
        yield Socket(connection)


@contextlib.asynccontextmanager
async def to_stream(
    http: httpx.AsyncClient, *topics: tuple[str, str]
) -> AsyncIterator[Stream]:
    params = {"token": await token(http, topics)}
    async with http.stream("GET", "/v1/realtime/sse", params=params) as answer:
        assert answer.status_code == 200
        yield Stream(answer)


def socket_url(http: httpx.AsyncClient, jwt: str) -> str:
    base = str(http.base_url).replace("http", "ws", 1).rstrip("/")
    return f"{base}/v1/realtime/connect?token={jwt}"


async def publish(
    http: httpx.AsyncClient, channel: str, topic: str, body: Any, **params: str
) -> httpx.Response:
    """What is not bytes, or comes in pieces, as JSON."""
    is_bytes = isinstance(body, bytes)
    return await http.post(
        "/v1/realtime/publish",
        params={"channel": channel, "topic": topic, **params},
        content=body if is_bytes else orjson.dumps(body),
        headers={"Content-Type": "application/json"},
    )
