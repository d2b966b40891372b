"""What tests of requests share: a server on loopback that answers as its test's handler does, a model's provider."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from durable.ai import Anthropic, OpenAI

from .provider import KEY, Provider


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """Starts a server with this handler; its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        loop = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        loop.start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def provider(
    serve: Callable[[type[BaseHTTPRequestHandler]], str],
) -> Iterator[Provider]:
    made = Provider(serve)
    yield made
    made.released.set()


@pytest.fixture
def gpt(provider: Provider) -> OpenAI:
    return OpenAI("gpt-test", api_key=KEY, base_url=f"{provider.url}/v1")


@pytest.fixture
def claude(provider: Provider) -> Anthropic:
    return Anthropic("claude-test", api_key=KEY, base_url=provider.url)
