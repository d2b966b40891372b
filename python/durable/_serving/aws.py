"""Requests as AWS Lambda brings them: of an API Gateway (both forms), a function's URL, a load balancer."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qsl, quote

from .exchange import Answering, Request


def answer(endpoint: Answering, event: dict[str, Any]) -> dict[str, Any]:
    """What Lambda is to return for its event."""
    reply = asyncio.run(endpoint.respond(read(event)))
    return {
        "statusCode": reply.status,
        "headers": dict(reply.headers),
        "body": reply.body.decode(),
        "isBase64Encoded": False,
    }


def read(event: dict[str, Any]) -> Request:
    """One request."""
    sent: dict[str, str] = event.get("headers") or {}
    headers = {name.lower(): value for name, value in sent.items()}
    about: dict[str, Any] = event.get("requestContext") or {}
    if "http" in about:  # the second form, and function URLs
        method, path = about["http"]["method"], event.get("rawPath") or "/"
        query = dict(parse_qsl(event.get("rawQueryString") or ""))
    else:
        method = event["httpMethod"]
        path = about.get("path") or event.get("path") or "/"
        query = dict(event.get("queryStringParameters") or {})
    host = headers.get("host") or about.get("domainName") or "localhost"
    scheme = headers.get("x-forwarded-proto", "https")
    return Request(
        method=method,
        url=f"{scheme}://{host}{quote(path)}",
        query=query,
        headers=headers,
        body=_body(event),
        framework="aws-lambda",
    )


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body)
    return str(body).encode()
