"""W1, W2, W4, W5 on Restate: its server with its defaults, the SDK behind granian, a lean HTTP client.

Usage: restate_load.py FOLDER W1=10000 ...; RESTATE_SERVER names the server's binary. The client keeps its
connections and parses only what it must, so that it takes as little as possible of the two cores.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from reply import free_port, runs, serve, spread


HERE = Path(__file__).resolve().parent
CONNECTIONS = 128


class Connection:
    """One kept HTTP/1.1 connection."""

    def __init__(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.port, self.reader, self.writer = port, reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect."""
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def post(self, path: str, body: dict[str, object]) -> bytes:
        """Send one request and wait for its answer's body."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        self.writer.write(head.encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length:" in answer:
            length = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
            text = await self.reader.readexactly(length)
        else:
            text = await self._chunks()
        if not answer.startswith((b"http/1.1 20",)):
            raise RuntimeError(answer.decode() + text.decode())
        return text

    async def _chunks(self) -> bytes:
        text = b""
        while length := int(await self.reader.readline(), 16):
            text += await self.reader.readexactly(length)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return text

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


def start(
    command: list[str], settings: dict[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own, but of our session: its share of the cores is ours."""
    return subprocess.Popen(
        command, cwd=HERE, env=settings, stdout=log, stderr=log, process_group=0
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that we started, with its workers; granian waits for streams that never end."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


async def answering(port: int, path: str, body: dict[str, object]) -> None:
    """Come back once a server has taken this request."""
    until = time.monotonic() + 60
    while True:
        try:
            connection = await Connection.open(port)
            await connection.post(path, body)
            connection.close()
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)
        else:
            return


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[int]:
    """Restate and granian, registered with each other; gives the ingress port."""
    ingress, admin, node, handler = (free_port() for _ in range(4))
    settings = os.environ | {
        "RESTATE_LOG_FILTER": "warn",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_PORT": str(node),
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "RESTATE_DISABLE_TELEMETRY": "true",
    }
    base = folder / "restate"
    base.mkdir(parents=True, exist_ok=True)
    log = (folder / "servers.log").open("ab")
    granian = Path(sys.executable).with_name("granian")
    server = [os.environ["RESTATE_SERVER"], "--no-logo", "--base-dir", str(base)]
    service = [
        *(str(granian), "--interface", "asgi", "--host", "127.0.0.1"),
        *("--port", str(handler), "--no-access-log", "restate_service:app"),
    ]
    started = [start(command, settings, log) for command in (server, service)]
    try:
        uri = f"http://127.0.0.1:{handler}"
        await answering(admin, "/deployments", {"uri": uri, "force": True})
        await answering(ingress, "/bench/one", {})
        yield ingress
    finally:
        for process in reversed(started):
            stop(process)
        log.close()


async def call_all(
    port: int, handler: str, bodies: list[dict[str, object]], *, connections: int
) -> list[bytes]:
    """Every request and its answer, over so many connections."""
    left, answers = iter(bodies), []

    async def caller() -> None:
        connection = await Connection.open(port)
        for body in left:
            answer = await connection.post(f"/bench/{handler}", body)
            answers.append(answer)
        connection.close()

    await asyncio.gather(*(caller() for _ in range(connections)))
    return answers


def many(
    handler: str, steps: int
) -> Callable[[int, int], Awaitable[dict[str, object]]]:
    """W1 and W2."""

    async def load(port: int, count: int) -> dict[str, object]:
        await call_all(port, handler, [{}] * 500, connections=CONNECTIONS)
        started = time.perf_counter()
        await call_all(port, handler, [{}] * count, connections=CONNECTIONS)
        return runs(count, time.perf_counter() - started, steps)

    return load


async def sleepers(port: int, count: int) -> dict[str, object]:
    """W4."""
    base = time.time() * 1e3 + 5_000 + count * 5
    bodies: list[dict[str, object]] = [
        {"due_ms": base + n * 1000 / count} for n in range(count)
    ]
    answers = await call_all(port, "sleeping", bodies, connections=count)
    return {"late_ms": spread([float(answer) for answer in answers])}


async def latencies(port: int, count: int) -> dict[str, object]:
    """W5."""
    connection = await Connection.open(port)
    taken = []
    for _ in range(count + 20):
        sent = time.monotonic()
        first = float(await connection.post("/bench/latency", {}))
        taken.append((first - sent) * 1e3)
        await asyncio.sleep(0.005)
    connection.close()
    return {"latency_ms": spread(taken[20:])}


LOADS = {
    "W1": many("one", 1),
    "W2": many("five", 5),
    "W4": sleepers,
    "W5": latencies,
}


async def one_load(load: str, count: int) -> dict[str, object]:
    """A load on fresh servers."""
    folder = Path(sys.argv[1]) / load
    async with servers(folder) as port:
        return await LOADS[load](port, count)


if __name__ == "__main__":
    serve({load: lambda n, load=load: asyncio.run(one_load(load, n)) for load in LOADS})
