"""`kill -9` for ever on a server: events come in over HTTP, functions are called over HTTP, and both outlive it."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from . import programs
from .called import STEPS, Called
from .report import Report


if TYPE_CHECKING:
    from pathlib import Path

SENDERS = 4
OPENING_LIMIT_S = 60
ENDING_LIMIT_S = 300


def run(count: int, seed: int) -> Report:
    """Kill `count` servers, one after the other, then let the last one finish everything."""
    report = Report("server-kills", seed)
    chance = random.Random(seed)
    with programs.scratch() as folder:
        world = _World(folder, report)
        try:
            while report.trials < count and not report.violations:
                world.live_and_die(chance)
                report.trial()
            world.finish()
        finally:
            world.close()
    return report


class _World:
    """One store, one application, and senders that never rest."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder, self._report = folder, report
        self._called = Called()
        self._port = _free_port()
        self._numbers = itertools.count()
        self._accepted: list[str] = []
        self._is_over = threading.Event()
        self._is_registered = False
        self._senders = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for sender in self._senders:
            sender.start()

    def close(self) -> None:
        self._is_over.set()
        for sender in self._senders:
            sender.join()
        self._called.close()

    def live_and_die(self, chance: random.Random) -> None:
        """Half are killed at any moment from the start on, half once at work."""
        process = self._start()
        if chance.random() < 0.5:
            self._wait_until_open(process)
            time.sleep(chance.random() * 0.4)
            self._report.count("killed at work")
        else:
            time.sleep(chance.random() * 1.2)
            self._report.count("killed at any moment")
        if (ended := process.poll()) is not None:
            self._report.violation(f"ended by itself with {ended}: {self._said()}")
        process.send_signal(signal.SIGKILL)
        process.wait()
        for what in self._called.wrong:
            self._report.violation(what)

    def finish(self) -> None:
        """What was acknowledged has one run each, with each step recorded once."""
        process = self._start()
        try:
            self._wait_until_open(process)
            self._is_over.set()
            for sender in self._senders:
                sender.join()
            give_up = time.monotonic() + ENDING_LIMIT_S * programs.patience()
            for event in self._accepted:
                while (why := self._unfinished(event)) and time.monotonic() < give_up:
                    time.sleep(0.05)
                if why:
                    self._report.violation(f"event {event}: {why}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        self._report.count("events acknowledged", len(self._accepted))
        self._report.count("steps executed", sum(self._called.executed.values()))
        self._report.count("steps recorded", len(self._called.recorded))
        for what in self._called.wrong:
            self._report.violation(what)
        if self._report.violations:
            programs.keep(self._folder, self._report.campaign)

    def _unfinished(self, event: str) -> str:
        runs = self._ask("GET", f"/v1/events/{event}/runs")
        if runs is None:
            return "it is not in the store"
        found = runs["data"]
        if len(found) != 1:
            return f"it has {len(found)} runs"
        if found[0]["status"] != "Completed":
            return f"its run is {found[0]['status']}"
        missing = [
            name
            for name in STEPS
            if (found[0]["run_id"], name) not in self._called.recorded
        ]
        return f"steps {missing} were never recorded" if missing else ""

    def _start(self) -> subprocess.Popen[bytes]:
        command = [programs.PYTHON, "-m", "durable", "dev", "--no-discovery"]
        command += ["--store", str(self._folder / "store"), "--port", str(self._port)]
        with (self._folder / "stderr").open("wb") as errors:
            return subprocess.Popen(command, stderr=errors)

    def _said(self) -> str:
        return (self._folder / "stderr").read_text(errors="replace")[-2000:]

    def _wait_until_open(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + OPENING_LIMIT_S * programs.patience()
        while self._ask("GET", "/health") is None:
            if time.monotonic() > give_up or process.poll() is not None:
                self._report.violation(f"it does not open: {self._said()}")
                return
            time.sleep(0.01)
        if not self._is_registered:
            said = self._ask("POST", "/fn/register", self._called.registration())
            self._is_registered = said is not None and said.get("ok") is True

    def _send(self) -> None:
        while not self._is_over.is_set():
            if not self._is_registered:
                time.sleep(0.01)
                continue
            event = {"name": "kills/asked", "data": {"n": next(self._numbers)}}
            said = self._ask("POST", "/e/key", json.dumps(event).encode())
            if said is None:
                time.sleep(0.02)
            else:
                self._accepted += said["ids"]
            time.sleep(0.01)

    def _ask(
        self, method: str, path: str, body: bytes | None = None
    ) -> dict[str, object] | None:
        """The answer, where there was a whole one."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            return json.loads(said) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
