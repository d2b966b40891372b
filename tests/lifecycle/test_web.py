"""Each web framework's example takes an order, brings it to its end, and still knows of it when it was killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest


pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "examples/web"
UVICORN = ["-m", "uvicorn", "--log-level", "warning", "--port", "{port}"]
COMMANDS = {
    "fastapi": [*UVICORN, "fastapi_app:web"],
    "starlette": [*UVICORN, "starlette_app:web"],
    "litestar": [*UVICORN, "litestar_app:web"],
    "flask": ["flask_app.py", "{port}"],
    "django": ["django_app.py", "runserver", "--noreload", "{port}"],
}
TIMEOUT_S = 60


@contextmanager
def served(framework: str, store: Path) -> Iterator[httpx.Client]:
    """The example in a process of its own, killed in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [
        sys.executable,
        *(word.format(port=port) for word in COMMANDS[framework]),
    ]
    environment = {**os.environ, "SHOP_STORE": str(store)}
    with (
        subprocess.Popen(command, cwd=FOLDER, env=environment) as process,  # noqa: S603  # ourselves
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        try:
            until_it(lambda: answers(client), process)
            yield client
        finally:
            process.kill()


def answers(client: httpx.Client) -> bool:
    try:
        client.get("/nothing")
    except httpx.TransportError:
        return False
    return True


def until_it(is_so: Any, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert process is None or process.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(0.05)  # another process is waited for


@pytest.mark.parametrize("framework", COMMANDS)
def test_an_order_is_taken_fulfilled_and_not_forgotten(
    framework: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with served(framework, store) as client:
        taken = client.post("/orders", json={"item": "a hat", "cents": 4200})
        assert taken.status_code == 202, taken.text
    place = f"/orders/{taken.json()['order']}"
    with served(framework, store) as client:
        until_it(lambda: client.get(place).json()["status"] == "completed")
        assert client.get(place).json()["result"] == "a hat is on its way, 42.00 paid"
        for unknown in ("01M80PMN50QVNRV8B5HVP6E000", "no-id-at-all"):
            answer = client.get(f"/orders/{unknown}")
            assert answer.status_code == 404, answer.text
            assert f"there is no order {unknown}" in answer.text
