"""`durable dev` begins again when a file of its application changes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from durable.cli.reloading import Sources

from ...sdk.running import free_port, until


APP = """
import durable
from other import NAME

app = durable.App("shop")

@app.function(NAME, on="shop/order")
async def handler(ctx: durable.Context) -> str:
    await ctx.step.sleep("wait", "1h" if NAME == "first" else "1ms")
    return NAME
"""


class Shop:
    """`durable dev` with an application in two files."""

    def __init__(self, folder: Path) -> None:
        self.other, self.log = folder / "other.py", folder / "log"
        (folder / "shop.py").write_text(APP)
        self.other.write_text('NAME = "first"\n')
        port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}")
        line = [sys.executable, "-m", "durable", "dev", "shop:app", "--no-discovery"]
        line += ["--store", str(folder / "store"), "--port", str(port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603  # this program
                line, cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )

    def functions(self) -> list[str]:
        try:
            said = self.http.get("/dev").json()
        except httpx.HTTPError:
            return []
        return [one["slug"] for one in said["functions"]]

    def has(self, name: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.functions() == [name]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    one = Shop(tmp_path)
    with one.http, one.process:
        yield one
        one.process.kill()


def test_a_change_of_any_file_begins_it_again_with_the_same_runs(shop: Shop) -> None:
    until(lambda: shop.has("first"))
    shop.http.post("/e/any", json={"name": "shop/order", "data": {}, "id": "o1"})
    shop.other.write_text('NAME = "second"\n')
    until(lambda: shop.has("second"))
    events = shop.http.get("/v1/events").json()["data"]
    assert [event["id"] for event in events] == ["o1"]
    shop.process.send_signal(signal.SIGTERM)
    assert shop.process.wait(30) == 0


def test_a_file_that_cannot_be_read_is_told_and_its_next_change_waited_for(
    shop: Shop,
) -> None:
    until(lambda: shop.has("first"))
    shop.other.write_text("NAME = \n")
    until(lambda: "SyntaxError" in shop.log.read_text())
    assert shop.functions() == []
    shop.other.write_text('NAME = "third"\n')
    until(lambda: shop.has("third"))
    shop.other.write_text("NAME = 1 / 0\n")
    until(lambda: "ZeroDivisionError" in shop.log.read_text())
    shop.process.send_signal(signal.SIGINT)
    assert shop.process.wait(30) == 130


def test_files_of_libraries_are_not_looked_at(monkeypatch: Any, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("")
    monkeypatch.setenv("DURABLE_RELOADED", str(own))
    seen = {Path(file) for file in Sources()._seen}
    assert {own, Path(__file__)} <= seen
    assert not [one for one in seen if "site-packages" in one.parts]
    assert not [one for one in seen if one.name in {"asyncio.py", "serving.py"}]
