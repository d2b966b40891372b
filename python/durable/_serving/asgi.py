"""Requests as ASGI servers bring them: uvicorn, hypercorn, FastAPI, Starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote

from .exchange import MAX_BYTES, Answering, Reply, Request


Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


async def answer(  # noqa: PLR0917  # the three that ASGI hands in
    endpoint: Answering, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer what an ASGI server hands in."""
    kind = scope["type"]
    if kind == "http":
        request = await read(scope, receive)
        await _write(await endpoint.respond(request), send)
    elif kind == "websocket":
        await send({"type": "websocket.close", "code": 1003})
    else:
        await _live(receive, send)


async def read(scope: Scope, receive: Receive) -> Request:
    """One request, its body whole; of one that is too large the beginning."""
    body = bytearray()
    more = True
    while more and len(body) <= MAX_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in scope["headers"]
    }
    query = scope.get("query_string", b"").decode("latin-1")
    return Request(
        method=scope["method"],
        url=_url(scope, headers),
        query=dict(parse_qsl(query)),
        headers=headers,
        body=bytes(body),
        framework="asgi",
    )


def _url(scope: Scope, headers: dict[str, str]) -> str:
    host = headers.get("host")
    if host is None:
        name, port = scope.get("server") or ("localhost", None)
        host = name if port is None else f"{name}:{port}"
    # Some servers leave the prefix of a mounted application in its path, some do not.
    prefix, path = scope.get("root_path", ""), scope["path"]
    whole = path if path.startswith(prefix) else prefix + path
    return f"{scope.get('scheme', 'http')}://{host}{quote(whole)}"


async def _write(reply: Reply, send: Send) -> None:
    headers = {**reply.headers, "Content-Length": str(len(reply.body))}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in headers.items()
            ],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})


async def _live(receive: Receive, send: Send) -> None:
    """The server's start and its end, where it asks."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
