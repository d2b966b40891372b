"""Requests as WSGI servers bring them: gunicorn, uWSGI, Flask."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from wsgiref.util import request_uri

from .exchange import MAX_BYTES, Answering, Reply, Request


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def answer(
    endpoint: Answering, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Answer what a WSGI server hands in, on a loop of its own: others may be answered on other threads."""
    reply = asyncio.run(endpoint.respond(read(environ)))
    headers = {**reply.headers, "Content-Length": str(len(reply.body))}
    start_response(_status(reply), list(headers.items()))
    return [reply.body]


def read(environ: dict[str, Any]) -> Request:
    """One request."""
    length = environ.get("CONTENT_LENGTH") or "0"
    count = min(int(length), MAX_BYTES + 1) if length.isdecimal() else 0
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Request(
        method=environ["REQUEST_METHOD"],
        url=request_uri(environ, include_query=False),
        query=dict(parse_qsl(environ.get("QUERY_STRING", ""))),
        headers=headers,
        body=environ["wsgi.input"].read(count) if count else b"",
        framework="wsgi",
    )


def _status(reply: Reply) -> str:
    return f"{reply.status} {HTTPStatus(reply.status).phrase}"
