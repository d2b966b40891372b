"""`uvicorn --workers 3` on one store: the example of `examples/web`, whichever worker is asked, and whichever is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import DEADLINE_S, Place, until


pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "examples/web"
WORKERS = 3
#: The example, and the process that answers.
WEB = """
import os
from fastapi_app import web

@web.get("/pid")
async def pid() -> int:
    return os.getpid()
"""


@pytest.fixture
def url(place: Place) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (place.folder / "web.py").write_text(WEB)
    paths = [str(place.folder), str(FOLDER), *(path for path in sys.path if path)]
    words = ["--workers", str(WORKERS), "--port", port, "--log-level", "warning"]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "web:web", *words],
        env={
            **os.environ,
            "SHOP_STORE": str(place.store),
            "PYTHONPATH": os.pathsep.join(paths),
        },
    )
    place.processes.append(process)  # type: ignore[arg-type]
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) is not None


def pids(url: str) -> set[int]:
    """A connection of its own for each, so that any worker may answer."""
    return {
        int(answer.text) for _ in range(20) if (answer := get(url, "/pid")) is not None
    }


def get(url: str, path: str) -> httpx.Response | None:
    try:
        return httpx.get(url + path, trust_env=False, timeout=DEADLINE_S)
    except httpx.TransportError:
        return None  # the worker was killed, or is not there yet


def place_order(url: str, number: int) -> str | None:
    """The order's id; `None` where nobody has answered."""
    order = {"item": f"hat {number}", "cents": 100 * number}
    try:
        taken = httpx.post(
            f"{url}/orders", json=order, trust_env=False, timeout=DEADLINE_S
        )
    except httpx.TransportError:
        return None
    assert taken.status_code == 202, taken.text
    return str(taken.json()["order"])


def is_completed(url: str, order: str) -> bool:
    answer = get(url, f"/orders/{order}")
    if answer is None:
        return False
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["status"] == "completed")


def test_every_worker_takes_orders_and_none_is_lost_with_the_owner(
    place: Place, url: str
) -> None:
    until(lambda: len(pids(url)) == WORKERS)
    orders = [place_order(url, number) for number in range(30)]
    owner = place.holder()
    assert owner in pids(url)
    os.kill(owner, signal.SIGKILL)
    orders += [place_order(url, number) for number in range(30, 90)]
    until(lambda: len(pids(url) - {owner}) == WORKERS)
    orders += [place_order(url, number) for number in range(90, 120)]
    assert orders.count(None) <= 1 + WORKERS, "but for what the killed one was asked"
    taken = [order for order in orders if order is not None]
    assert len(set(taken)) == len(taken)
    for order in taken:
        until(lambda order=order: is_completed(url, order))
    assert place.holder() != owner
