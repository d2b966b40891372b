"""Requests as ASGI servers bring them."""

from __future__ import annotations

from typing import Any

import pytest

from durable._serving import asgi
from durable._serving.exchange import MAX_BYTES


pytestmark = pytest.mark.asyncio


def scope(**given: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "http", "method": "POST", "path": "/a b"}
    fields |= {"headers": [(b"Host", b"h:1"), (b"X-A", b"\xe9")]}
    return fields | {"query_string": b"fnId=a%2Fb&stepId=s", "scheme": "https"} | given


def receive(*parts: bytes) -> Any:
    messages = [
        {"body": part, "more_body": place + 1 < len(parts)}
        for place, part in enumerate(parts)
    ]

    async def next_one() -> Any:
        return messages.pop(0)

    return next_one


async def test_a_request_is_read_whole() -> None:
    read = await asgi.read(scope(), receive(b"{", b"", b"}"))
    assert (read.method, read.url, read.body) == ("POST", "https://h:1/a%20b", b"{}")
    assert read.query == {"fnId": "a/b", "stepId": "s"}
    assert read.headers == {"host": "h:1", "x-a": "é"}


async def test_what_is_too_large_is_not_read_to_its_end() -> None:
    half = b" " * (MAX_BYTES // 2 + 1)
    read = await asgi.read(scope(), receive(half, half, b"never"))
    assert len(read.body) == len(half) * 2


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"root_path": "/api", "path": "/api/d"}, "https://h:1/api/d"),
        ({"root_path": "/api", "path": "/d"}, "https://h:1/api/d"),
        ({"headers": [], "server": ("10.0.0.1", 80)}, "https://10.0.0.1:80/a%20b"),
        ({"headers": [], "server": ("/run/s", None)}, "https:///run/s/a%20b"),
        ({"headers": []}, "https://localhost/a%20b"),
    ],
)
async def test_where_it_went_to_is_known(given: Any, url: str) -> None:
    assert (await asgi.read(scope(**given), receive(b""))).url == url


async def test_what_is_no_request_is_answered_too() -> None:
    said: list[Any] = []
    asked = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive_next() -> Any:
        return asked.pop(0)

    async def send(message: Any) -> None:
        said.append(message["type"])

    nobody: Any = None
    await asgi.answer(nobody, {"type": "lifespan"}, receive_next, send)
    await asgi.answer(nobody, {"type": "websocket"}, receive_next, send)
    assert said == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
        "websocket.close",
    ]
