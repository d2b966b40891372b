"""T42, slowloris: who says little and slowly, or reads nothing, is given up, and holds up nobody meanwhile.

Short: 200 sockets that say nothing, half a line or half of their headers, all closed within 10 s. Long: 1,000, and with them
bodies that do not come and answers that are not read, closed within 30 s. Good clients' p99 stays within 2 x what it was,
and 50 ms for the noise of a machine.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from .attacked import EVENT_KEY, IS_LONG, Served, count, serving


#: Of `rust/durable-server/src/server/accept.rs` and `http/body.rs`, s; and what a busy machine adds.
FOR_HEADERS, FOR_BODIES, SLACK = 10.0, 30.0, 8.0
QUICK = (
    b"",
    b"G",
    b"GET /hea",
    b"GET /health HTTP/1.1\r\n",
    b"GET /health HTTP/1.1\r\nHost: h\r\nX-A: ",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n",
)
BODIES = (
    b"POST /e/%b HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"
    % EVENT_KEY.encode(),
    b"POST /e/no HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
    b"POST /e/no HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
)
#: Answers that nobody reads: more than what is on the way may be.
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n" * 1_000


def connected(server: Served, said: bytes) -> socket.socket:
    door = socket.create_connection(("127.0.0.1", server.port), 30)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    door.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        door.send(said)
    return door


def still_open(doors: list[socket.socket]) -> list[socket.socket]:
    """Those that the server has not closed. An answer is left unread: whoever reads is not slow."""
    watch = select.poll()
    for door in doors:
        watch.register(door, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    gone = {number for number, _ in watch.poll(0)}
    return [door for door in doors if door.fileno() not in gone]


def latencies(server: Served, goes_on: Callable[[], bool]) -> list[float]:
    """How long good requests take one after the other, s: an event and a read."""
    taken = list[float]()
    while goes_on():
        started = time.perf_counter()
        sent = server.http.post(f"/e/{EVENT_KEY}", json={"name": "a"})
        found = server.http.get("/health")
        taken.append(time.perf_counter() - started)
        assert (sent.status_code, found.status_code) == (200, 200)
    return taken


def times(most: int) -> Callable[[], bool]:
    """True so often."""
    left = iter(range(most))
    return lambda: next(left, None) is not None


def p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


def test_slow_sockets_are_closed_and_hold_nobody_up(tmp_path: Path) -> None:
    total, kinds = count(200, 1_000), QUICK + ((*BODIES, UNREAD) if IS_LONG else ())
    limit = (FOR_BODIES if IS_LONG else FOR_HEADERS) + SLACK
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(least, 4_096)), most))
    with serving(tmp_path) as server, contextlib.ExitStack() as stack:
        latencies(server, times(50))
        usual = p99(latencies(server, times(500)))
        before = server.memory("VmRSS")
        doors = [connected(server, kinds[n % len(kinds)]) for n in range(total)]
        for door in doors:
            stack.callback(door.close)
        began = time.monotonic()
        assert len(still_open(doors)) == total

        def are_there() -> bool:
            return time.monotonic() < began + limit and bool(still_open(doors))

        meanwhile = p99(latencies(server, are_there))
        grown = server.memory("VmRSS") - before
        text = f"p99 {usual * 1e3:.1f} ms, with {total} slow sockets {meanwhile * 1e3:.1f} ms"
        print(
            f"{text}; all closed after {time.monotonic() - began:.1f} s; +{grown / 2**20:.1f} MB"
        )
        assert still_open(doors) == []
    assert meanwhile <= 2 * usual + 0.05, text
    assert grown <= 32 * 2**20


def test_slow_bodies_hold_nobody_up(tmp_path: Path) -> None:
    """The short form does not wait for their end."""
    with serving(tmp_path) as server, contextlib.ExitStack() as stack:
        usual = p99(latencies(server, times(300)))
        for number in range(count(200, 1_000)):
            door = connected(server, BODIES[number % len(BODIES)])
            stack.callback(door.close)
        meanwhile = p99(latencies(server, times(300)))
    assert meanwhile <= 2 * usual + 0.05, (usual, meanwhile)
