"""Whoever listens to channels of the server, with a token that an SDK has asked for."""

from __future__ import annotations

from typing import Any

import orjson
from websockets.sync.client import ClientConnection, connect

from .running import Application


LIMIT_S = 30


def listener(app: Application, channel: str, *topics: str) -> ClientConnection:
    """Through a WebSocket."""
    asked = app.http.post("/token", params={"channel": channel}, json=topics)
    jwt = asked.json()["key"]
    url = app.server.url.replace("http", "ws")
    return connect(f"{url}/v1/realtime/connect?token={jwt}")


def heard(connection: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(connection.recv(LIMIT_S))
    return message
