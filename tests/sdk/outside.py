"""What functions ask outside: a provider of inference, and a way to the server on which an answer may be lost."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class Outside:
    """Answers on a port of its own; what is no request to a provider is handed on to the server."""

    def __init__(self, server: str) -> None:
        self.loses_next_answer = False
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                body = self.rfile.read(size)
                headers = dict(self.headers.items())
                status, said = outside.answer(self.path, headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if self.path.startswith("/pretends"):
                    self.send_header("X-Inngest-Sdk", "one-of-their-own:v1")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._answering = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server = httpx.Client(base_url=server)
        self.url = f"http://127.0.0.1:{self._answering.server_port}"

    def answer(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if path.startswith("/pretends"):  # to be an SDK
            return 200, b'"done"'
        if path == "/echo":
            own = headers.get("X-My-Header")
            return 200, json.dumps({"said": body.decode(), "own": own}).encode()
        if path.endswith("/chat/completions"):
            return self._inference(headers, json.loads(body))
        return self._handed_on(path, headers, body)

    def _handed_on(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        kept = {
            name: value
            for name, value in headers.items()
            if name.lower().startswith(("x-inngest", "content-type", "authorization"))
        }
        answer = self._server.post(path, content=body, headers=kept)
        if self.loses_next_answer:
            self.loses_next_answer = False
            return 500, b'{"error": "lost"}'
        return answer.status_code, answer.content

    @staticmethod
    def _inference(headers: dict[str, str], asked: Any) -> tuple[int, bytes]:
        said = asked["messages"][0]["content"]
        if headers.get("Authorization") != "Bearer secret" or said == "fail":
            return 400, b'{"error": "no"}'
        message = {"role": "assistant", "content": f"{asked['model']}: {said}"}
        return 200, json.dumps({"choices": [{"message": message}]}).encode()

    @contextlib.contextmanager
    def answering(self) -> Iterator[Outside]:
        thread = threading.Thread(target=self._answering.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._answering.shutdown()
            thread.join()
            self._answering.server_close()
            self._server.close()
