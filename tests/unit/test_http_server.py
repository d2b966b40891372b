"""An engine behind HTTP: events come in, and who may not ask is told why."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

import durable
from durable._http_server import ServerSettings, served

from .processes.sharing import Client, make_app


pytestmark = pytest.mark.asyncio

_HERE = ServerSettings(port=0)


async def test_an_event_is_accepted_and_starts_runs_in_this_process() -> None:
    app = make_app()
    async with durable.Engine(app, store="memory:") as engine:
        async with served(engine, _HERE) as port, _client(port) as http:
            event = {"name": "number", "data": {"n": 4}}
            answer = await http.post("/e/any", json=event)
        (accepted,) = answer.json()["ids"]
        (run,) = await engine.events.runs(accepted)
        assert (await engine.runs.wait(run.id)).status == "completed"


async def test_nobody_takes_the_name_of_an_application_of_this_process() -> None:
    async with (
        durable.Engine(make_app("shop"), store="memory:") as engine,
        served(engine, _HERE) as port,
        _client(port) as http,
    ):
        said = {"appName": "shop", "url": "http://127.0.0.1:1", "functions": []}
        answers = [await http.post("/fn/register", json=said) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert "choose another id" in answers[0].json()["error"]


async def test_names_that_others_own_are_not_this_machine() -> None:
    """A page of another site whose name leads here is refused, and so is one that says where it is from."""
    async with _opened(_HERE) as http:
        allowed = await http.get("/health")
        renamed = await http.get("/health", headers={"Host": "evil.example"})
        foreign = {"Origin": "http://evil.example"}
        posted = await http.post("/e/k", json={"name": "a"}, headers=foreign)
    codes = (allowed.status_code, renamed.status_code, posted.status_code)
    assert codes == (200, 403, 403)


async def test_a_server_for_others_wants_keys() -> None:
    with pytest.raises(durable.ConfigError, match="--signing-key"):
        await _open(ServerSettings(port=0, is_dev=False))
    wrong = ServerSettings(
        port=0, is_dev=False, event_keys=("e",), signing_keys=("secret",)
    )
    with pytest.raises(durable.ConfigError, match="hexadecimal"):
        await _open(wrong)
    with pytest.raises(durable.ConfigError, match="others can reach"):
        await _open(ServerSettings(host="0.0.0.0", port=0))  # noqa: S104  # it is refused
    with pytest.raises(durable.ConfigError, match="no length of time"):
        await _open(ServerSettings(port=0, retry_interval=-1))


async def test_keys_are_asked_for() -> None:
    key = "signkey-test-00ff"
    settings = ServerSettings(
        port=0, is_dev=False, event_keys=("e1",), signing_keys=(key,)
    )
    async with _opened(settings) as http:
        sent = [
            await http.post(f"/e/{one}", json={"name": "a"}) for one in ("e1", "e2")
        ]
        bearers = ({}, {"Authorization": f"Bearer {key}"})
        asked = [await http.get("/v1/events", headers=one) for one in bearers]
    assert [answer.status_code for answer in sent] == [200, 401]
    assert [answer.status_code for answer in asked] == [401, 200]


async def test_what_is_wrong_with_a_setting_is_said() -> None:
    with pytest.raises(durable.ConfigError, match="host='localhost' is no IP address"):
        await _open(ServerSettings(host="localhost", port=0))
    with pytest.raises(durable.ConfigError, match="neither an IP address"):
        await _open(ServerSettings(port=0, allowed=("10.0.0.0/40",)))


@pytest.mark.parametrize("origin", ["shop.example", "https://", "https://a/b", "*"])
async def test_whose_pages_may_listen_is_said_as_browsers_do(origin: str) -> None:
    with pytest.raises(durable.ConfigError, match=r"https://shop\.example"):
        await _open(ServerSettings(port=0, origins=(origin,)))


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(durable.StoreError, match=f"127.0.0.1:{port}.*--port"):
            await _open(ServerSettings(port=port))


async def test_the_server_is_where_the_store_is(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    async with owner, Client(make_app(), store=store) as client:
        with pytest.raises(durable.ConfigError, match="another process owns"):
            await served(client, _HERE).__aenter__()


async def test_connections_that_say_nothing_hold_nobody_up() -> None:
    async with _opened(_HERE) as http:
        port = http.base_url.port
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        assert (await http.get("/health")).status_code == 200
        for _, writer in silent:
            writer.close()


async def _open(settings: ServerSettings) -> None:
    async with _opened(settings):
        pass


@contextlib.asynccontextmanager
async def _opened(settings: ServerSettings) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        durable.Engine(store="memory:") as engine,
        served(engine, settings) as port,
        _client(port) as http,
    ):
        yield http


def _client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}")
