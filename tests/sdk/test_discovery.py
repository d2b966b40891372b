"""`durable dev` looks for applications itself: those that it is told of, and those at the usual places of this machine."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .running import free_port, server, until


#: Where `rust/durable-server/src/server/discovery.rs` looks.
PORTS = (3000, 3001, 4000, 5000, 5173, 8000, 8080, 8787)


@contextlib.contextmanager
def application(port: int, status: int = 200) -> Iterator[list[str]]:
    """Answers as an SDK does; what it is asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("content-length") or 0))
            is_there = self.path.partition("?")[0] == "/x/inngest"
            self.send_response(status if is_there else 404)
            if is_there:
                self.send_header("x-inngest-sdk", "test:v1")
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_PUT = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield asked
        web.shutdown()


@pytest.fixture
def usual() -> Iterator[list[str]]:
    """An application at one of the usual ports: the first that is free here."""
    for port in PORTS:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            asked = stack.enter_context(application(port))
            yield asked
            return
    pytest.fail(f"none of the ports {PORTS} is free")


def test_an_application_at_a_usual_place_is_found(
    usual: list[str], tmp_path: Path
) -> None:
    with server(tmp_path, "dev"):
        until(lambda: "PUT /x/inngest" in usual)
    assert "GET /x/inngest" in usual
    assert "PUT /api/inngest" not in usual, "who is no SDK is not asked"


def test_who_is_told_not_to_look_does_not(usual: list[str], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api/inngest"
    with server(tmp_path, "dev", "--no-discovery", "-u", url):
        until(lambda: "did not say" in (tmp_path / "dev.log").read_text())
    assert not usual


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_a_named_application_that_does_not_say_what_it_has_is_told_once_for_each_cause(
    command: str, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / f"{command}.log"
    url = f"http://127.0.0.1:{port}/x/inngest?key=secret"
    keys = ["--event-key", "e", "--signing-key", "signkey-test-00ff", "--allow"]
    options = ["--no-discovery"] if command == "dev" else [*keys, "127.0.0.1"]

    def told() -> list[str]:
        return [line for line in log.read_text().splitlines() if "did not say" in line]

    with server(tmp_path, command, *options, "-u", url, key="signkey-test-00ff"):
        (nobody,) = until(told)
        with application(port, status=501) as asked:
            until(lambda: len(asked) > 1)
            *_, last = told()
    assert "501" in last
    assert last != nobody
    assert "secret" not in nobody + last
    assert len(told()) == len({*told()}) <= 3
    if command == "serve":
        assert json.loads(nobody)["url"] == f"http://127.0.0.1:{port}/x/inngest"
