"""What the server takes in and what a step over HTTP costs: `python bench/server.py [--rounds 3] [--folder FOLDER]`.

The server is a process of its own (`durable dev`) on a fresh store in a real folder, with `sync="always"`. Senders and the
function that it calls are in this process and do next to nothing, so that what is measured is the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limits import fdatasync_ms


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


STEPS = 20
HASHES = [hashlib.sha1(f"s{n}".encode()).hexdigest() for n in range(STEPS)]  # noqa: S324  # as the protocol has it
EVENT = {"name": "bench/sent", "data": {"customer": "c1", "cents": 1}}


async def ask(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, body: bytes
) -> bytes:
    """One request on a kept connection."""
    reader, writer = streams
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in answer[:20]:
        raise RuntimeError(answer)
    return await reader.readexactly(length_of(answer))


def length_of(head: bytes) -> int:
    """What a head says of its body."""
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


async def rate(port: int, *, connections: int, size: int, requests: int) -> float:
    """Events a second that were acknowledged."""
    body = json.dumps(EVENT if size == 1 else [EVENT] * size).encode()

    async def send() -> None:
        streams = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests // connections):
            await ask(streams, "/e/key", body)
        streams[1].close()

    began_at = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(connections)))
    return (
        requests // connections * connections * size / (time.perf_counter() - began_at)
    )


class Function:
    """A function of many steps in a row; notes how long the server took from each answer to its next call."""

    def __init__(self) -> None:
        self.gaps_ms: list[float] = []
        self.ended = asyncio.Event()
        self._answered_at = 0.0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer calls on one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if self._answered_at:
                    self.gaps_ms.append(
                        (time.perf_counter() - self._answered_at) * 1000
                    )
                steps = json.loads(await reader.readexactly(length_of(head)))["steps"]
                is_over = len(steps) == STEPS
                next_op = {"op": "StepRun", "data": 1}
                if not is_over:
                    number = len(steps)
                    next_op |= {"id": HASHES[number], "displayName": f"s{number}"}
                answer = b"1" if is_over else json.dumps([next_op]).encode()
                status = "200 OK" if is_over else "206 Partial Content"
                said = f"HTTP/1.1 {status}\r\nX-Inngest-Sdk: bench\r\nContent-Length: {len(answer)}\r\n\r\n"
                self._answered_at = 0.0 if is_over else time.perf_counter()
                writer.write(said.encode() + answer)
                if is_over:
                    self.ended.set()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()


async def step_gaps_ms(port: int, runs: int) -> list[float]:
    """One run after the other."""
    function = Function()
    listening = await asyncio.start_server(function.serve, "127.0.0.1", 0)
    own = listening.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{own}/api"
    step = {"runtime": {"type": "http", "url": url}}
    described = {
        "id": "bench-steps",
        "triggers": [{"event": "bench/steps"}],
        "steps": {"step": step},
    }
    said = {"appName": "bench", "url": url, "functions": [described]}
    streams = await asyncio.open_connection("127.0.0.1", port)
    await ask(streams, "/fn/register", json.dumps(said).encode())
    for _ in range(runs):
        function.ended.clear()
        await ask(streams, "/e/key", b'{"name":"bench/steps"}')
        await function.ended.wait()
    streams[1].close()
    listening.close()
    return function.gaps_ms


def with_server(folder: Path, measure: Callable[[int], Awaitable[Any]]) -> Any:
    """What is measured on a fresh server."""
    store = folder / "store"
    command = [sys.executable, "-m", "durable", "dev", "--no-discovery", "--port", "0"]
    with subprocess.Popen(
        [*command, "--store", str(store)], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().rsplit(":", 1)[1])
        try:
            return asyncio.run(measure(port))  # type: ignore[arg-type]  # a coroutine
        finally:
            server.terminate()
            server.wait(30)
            shutil.rmtree(store, ignore_errors=True)


def main() -> None:
    """Measure in turn, and say the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    chosen = parser.parse_args()
    rows: dict[str, list[float]] = {}
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
            folder = Path(name)
            for what, figure in _round(folder).items():
                rows.setdefault(what, []).append(figure)
    print(f"load {os.getloadavg()[0]:.1f}; medians of {chosen.rounds}")
    for what, figures in rows.items():
        told = ", ".join(f"{figure:,.2f}" for figure in figures)
        print(f"{what:46} {statistics.median(figures):>12,.2f}   ({told})")


def _round(folder: Path) -> dict[str, float]:
    one = with_server(
        folder, lambda port: rate(port, connections=32, size=1, requests=9_600)
    )
    many = with_server(
        folder, lambda port: rate(port, connections=8, size=100, requests=800)
    )
    gaps = with_server(folder, lambda port: step_gaps_ms(port, 30))
    gaps.sort()
    return {
        "fdatasync, p50, ms": fdatasync_ms(folder)["p50"],
        "events/s, one by one, 32 connections": one,
        "events/s, in batches of 100, 8 connections": many,
        "a step over HTTP, the server's part, p50, ms": statistics.median(gaps),
        "the same, p99, ms": gaps[len(gaps) * 99 // 100],
    }


if __name__ == "__main__":
    main()
