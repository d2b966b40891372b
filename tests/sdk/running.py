"""A server and the applications that it calls, each in a process of its own, and what is asked of them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


DEADLINE_S = 30.0
ENDED = {"Completed", "Failed", "Cancelled"}


def until(is_so: Callable[[], Any], limit_s: float = DEADLINE_S) -> Any:
    """Poll for what other processes do; what it was in the end."""
    end = time.monotonic() + limit_s
    while not (found := is_so()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)  # other processes are waited for
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def process(
    command: list[str], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is told to stop in the end; what it writes goes to a file."""
    inherited = {
        name: value for name, value in os.environ.items() if "INNGEST" not in name
    }
    environment = {
        **inherited,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **environment,
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment
        ) as running,
    ):
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()


@dataclass(slots=True, kw_only=True)
class Server:
    """One that listens, asked over HTTP."""

    url: str
    event_key: str
    http: httpx.Client

    def post_events(self, events: Any, **headers: str) -> httpx.Response:
        url = f"/e/{self.event_key}"
        return self.http.post(url, json=events, headers=headers)

    def send(self, name: str, data: dict[str, Any], **fields: Any) -> str:
        answer = self.post_events({"name": name, "data": data, **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ids"][0])

    def ask(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def runs(self, event: str) -> list[dict[str, Any]]:
        return list(self.ask(f"/v1/events/{event}/runs"))

    def run(self, run: str) -> dict[str, Any]:
        return dict(self.ask(f"/v1/runs/{run}"))

    def jobs(self, event: str) -> list[dict[str, Any]]:
        """The steps that runs of an event have asked for, and that have not ended."""
        paths = [f"/v1/runs/{run['run_id']}/jobs" for run in self.runs(event)]
        return [job for path in paths for job in self.ask(path)]

    def ended(self, event: str) -> dict[str, Any]:
        """The only run of an event, once that has ended."""

        def find() -> dict[str, Any] | None:
            runs = self.runs(event)
            assert len(runs) <= 1, runs
            return runs[0] if runs and runs[0]["status"] in ENDED else None

        return dict(until(find))


@contextlib.contextmanager
def listening(
    line: list[str], log: Path, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`durable dev` or `durable serve` as they are told, at a port that is free where they are told of none, and its address."""
    command = [sys.executable, "-m", "durable", line[0], "--port", "0", *line[1:]]
    with process(command, log, environment) as running:

        def listens() -> str | None:
            text = log.read_text()
            assert running.poll() is None, text
            found = re.search(r"listens on (http://\S+)", text)
            return found and found.group(1)

        yield running, until(listens)


@contextlib.contextmanager
def server(
    folder: Path, command: str, *options: str, key: str = ""
) -> Iterator[Server]:
    """The same, asked over HTTP; `key`: what opens its API."""
    line = [command, "--store", str(folder / "store"), *options]
    with listening(line, folder / f"{command}.log", {}) as (_, url):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            yield Server(url=url, event_key="an-event-key", http=http)


@dataclass(slots=True, kw_only=True)
class Application:
    """One that an official SDK serves."""

    name: str
    url: str
    server: Server
    http: httpx.Client
    process: subprocess.Popen[bytes]

    def new_key(self) -> str:
        """What tells the events of one test from those of all others."""
        return f"{self.name}-{uuid.uuid4().hex}"

    def send(self, function: str, key: str, **data: Any) -> str:
        return self.server.send(f"{self.name}/{function}", {"key": key, **data})

    def run(self, function: str, key: str, **data: Any) -> dict[str, Any]:
        """Send the event of a function, and wait for the end of its run."""
        return self.server.ended(self.send(function, key, **data))

    def output(self, function: str, key: str, **data: Any) -> Any:
        """What comes of an event of a function."""
        run = self.run(function, key, **data)
        assert run["status"] == "Completed", run
        return run["output"]

    def notes(self, key: str) -> list[Any]:
        """What its functions have noted for events with this key."""
        return [one["what"] for one in self.moments(key)]

    def moments(self, key: str) -> list[dict[str, Any]]:
        answer = self.http.get("/notes", params={"key": key})
        return list(answer.json())

    def register(self, path: str = "/api/inngest") -> httpx.Response:
        return self.http.put(path)


@dataclass(frozen=True, slots=True)
class Begun:
    """Events that were sent before their test was reached."""

    key: str
    events: list[str]


class Ahead:
    """What takes a second or more: begun for all tests at once, so that they wait for it together."""

    def __init__(self, app: Application) -> None:
        self._app = app
        n = [{"n": n} for n in range(5)]
        self.late = self._begin("start_timeout", {"n": 1, "hold": 1_500})
        self.batch = self._begin("batch", *n)
        self.batch_if = self._begin("batch_if", {"n": 1}, {"n": 0}, {"n": 2})
        self.burst = self._begin("debounce", *n[:3])
        self.endless_burst = self._begin("debounce_timeout", *n[:2])
        self.throttled = self._begin("throttle", *n[:2])
        self.mixed = self._begin("mixed", {})
        self.in_vain = self._begin("wait", {"timeout": 1})
        self.long_call = self._begin("invoke", {"how": "sleeps"})
        self.too_long = self._begin("finish_timeout", {"n": 1, "nap": 60_000})
        self.retried_later = self._begin("retry_after", {})
        until(lambda: app.notes(self.late.key))
        event = app.send("start_timeout", self.late.key, n=2, hold=0)
        self.late.events.append(event)

    def _begin(self, function: str, *data: dict[str, Any]) -> Begun:
        key = self._app.new_key()
        events = [self._app.send(function, key, **one) for one in data]
        return Begun(key, events)


def settings(name: str, port: int, of: Server, **environment: str) -> dict[str, str]:
    """What an application reads from its environment."""
    own = {
        "APP": name,
        "CARRIER": "connect" if "connect" in name else "http",
        "PORT": str(port),
        "SERVER": of.url,
        "EVENTS": of.url,
        "MODE": "dev",
        **environment,
    }
    # The names that the TypeScript SDK reads itself.
    own["INNGEST_API_BASE_URL"] = own["SERVER"]
    own["INNGEST_EVENT_API_BASE_URL"] = own["EVENTS"]
    return own


@contextlib.contextmanager
def application(
    name: str, command: list[str], of: Server, folder: Path, **environment: str
) -> Iterator[Application]:
    """Started, but not registered."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / f"{name}.log"
    with (
        process(command, log, settings(name, port, of, **environment)) as running,
        httpx.Client(base_url=url, timeout=60) as http,
    ):

        def answers() -> bool:
            assert running.poll() is None, log.read_text()
            with contextlib.suppress(httpx.HTTPError):
                return http.get("/notes", params={"key": ""}).status_code == 200
            return False

        until(answers)
        yield Application(name=name, url=url, server=of, http=http, process=running)
