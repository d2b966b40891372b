"""A function that a server calls over HTTP, in the words of the Inngest SDK protocol: three steps, each seen and counted."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


STEPS = ("first", "second", "third")
HASHES = {name: hashlib.sha1(name.encode()).hexdigest() for name in STEPS}  # noqa: S324  # as the protocol has it
FUNCTION = "kills-work"


class Called:
    """Answers calls on a port of its own until it is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: How often each step of each run was executed.
        self.executed: Counter[tuple[str, str]] = Counter()
        #: What the server has shown to be recorded: a step's number of executions then.
        self.recorded: dict[tuple[str, str], int] = {}
        self.wrong: list[str] = []
        handler = type("Handler", (_Handler,), {"called": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def registration(self) -> bytes:
        """What an SDK says of its functions."""
        url = f"http://127.0.0.1:{self.port}/api/inngest"
        runtime = {"type": "http", "url": f"{url}?fnId={FUNCTION}&stepId=step"}
        function = {
            "id": FUNCTION,
            "name": "work",
            "triggers": [{"event": "kills/asked"}],
            "steps": {"step": {"id": "step", "name": "step", "runtime": runtime}},
        }
        said = {"appName": "kills", "url": url, "functions": [function], "v": "0.1"}
        return json.dumps(said).encode()

    def answer(self, run: str, memos: dict[str, Any]) -> tuple[int, object]:
        """The next step that has no memo, executed; or the end."""
        with self._lock:
            for name in STEPS:
                key = (run, name)
                if HASHES[name] in memos:
                    self._check(key, memos[HASHES[name]])
                    continue
                if key in self.recorded:
                    self.wrong.append(
                        f"run {run}: step '{name}' was recorded and is forgotten"
                    )
                self.executed[key] += 1
                data = self.executed[key]
                op = {
                    "id": HASHES[name],
                    "op": "StepRun",
                    "displayName": name,
                    "data": data,
                }
                return 206, [op]
            return 200, "done"

    def _check(self, key: tuple[str, str], memo: Any) -> None:
        """A step's memo is one of its results, and stays the same."""
        result = memo.get("data")
        before = self.recorded.setdefault(key, result)
        if result != before or not 1 <= result <= self.executed[key]:
            self.wrong.append(
                f"run {key[0]}: step '{key[1]}' had the result {before} and has {result}"
            )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever called was killed: that is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    called: Called
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        step = parse_qs(urlsplit(self.path).query)["stepId"]
        if step != ["step"]:
            self.called.wrong.append(f"step {step} was asked for by itself")
        status, answer = self.called.answer(body["ctx"]["run_id"], body["steps"])
        said = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("X-Inngest-Sdk", "durable-test:v1")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as it is called
        pass
