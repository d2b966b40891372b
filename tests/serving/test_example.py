"""The example of `examples/web` that a server calls takes an order and brings it to its end."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import engine_behind_http, listening


pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples/web/served_app.py"


def example() -> Any:
    spec = importlib.util.spec_from_file_location("served_app", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_an_order_is_taken_and_fulfilled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with engine_behind_http() as (engine, server):
        monkeypatch.setenv("DURABLE_SERVER", server)
        module = example()
        async with (
            listening(module.web) as url,
            httpx.AsyncClient(base_url=url, trust_env=False) as client,
        ):
            assert (await client.put("/api/durable")).json()["ok"] is True
            answer = await client.post("/orders", json={"item": "a hat", "cents": 420})
            assert answer.status_code == 202, answer.text
            (run,) = await engine.events.runs(answer.json()["order"])
            ended = await engine.runs.wait(run.id, timeout="60s")
    assert ended.result == "a hat is on its way, 4.20 paid"
