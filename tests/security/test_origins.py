"""T41, the part without a browser: no page of another site gets anything done, however it asks; no name of others is this machine.

All of it at every change: 190 combinations of host, origin, method, kind of request and body, with and without keys. 0 let in. What only a
browser shows (scripts in what is displayed) is in the dashboard's tests.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from .attacked import BEARER, EVENT_KEY, engine_with_keys


pytestmark = pytest.mark.asyncio

OF_OTHERS = (
    "http://evil.example",
    "https://evil.example",
    "null",
    "http://127.0.0.1.evil.example:{port}",
    "http://localhost.evil.example",
    "http://evil.example:{port}",
    "http://127.0.0.1:1",
    "http://localhost:3000",
    "http://127.0.0.1",
    "file://",
    "chrome-extension://abc",
    "http://127.0.0.1:{port}.evil.example",
    "http://evil.example@127.0.0.1:{port}",
    "http://127.0.0.1:{port}@evil.example",
    "\xff",
)
#: What a page sends without being asked about it: a form, a text, a beacon.
SIMPLE = (
    ("application/x-www-form-urlencoded", "name=page%2Fsent&a=b"),
    ("text/plain", json.dumps({"name": "page/sent"})),
    ("multipart/form-data; boundary=x", '--x\r\n\r\n{"name":"page/sent"}\r\n--x--'),
    ("application/json", json.dumps({"name": "page/sent"})),
)
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
HOSTS_OF_OTHERS = (
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.nip.io:{port}",
    "127.0.0.2:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0.0.0.0:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "localhost.:{port}",
    "localhost:{port}:80",
    "localhost:{port}x",
    "localhost@evil.example",
    "evil.example#localhost",
    "192.168.0.1:{port}",
    "\xff",
    "",
)


def latin(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def asked(http: httpx.AsyncClient, *request: str, **said: Any) -> int:
    """The status of an answer; that no script of another site may read it is looked at as well."""
    headers = latin(said.pop("headers"))
    answer = await http.request(*request, headers=headers, **said)
    assert not any("access-control" in name for name in answer.headers), answer.headers
    return answer.status_code


def with_port(text: str, http: httpx.AsyncClient) -> str:
    return text.replace("{port}", str(http.base_url.port))


KEYS: list[dict[str, Any]] = [
    {},
    {"is_dev": True, "event_keys": (), "signing_keys": ()},
]


@pytest.mark.parametrize("settings", KEYS, ids=["serve", "dev"])
async def test_a_page_of_another_site_gets_nothing_done(
    settings: dict[str, Any],
) -> None:
    """Even where it knows the keys: a browser's user has them, not the page."""
    async with engine_with_keys(**settings) as (engine, http):
        for origin, (kind, body) in itertools.product(OF_OTHERS, SIMPLE):
            headers = {"Origin": with_port(origin, http), "Content-Type": kind}
            said = {"headers": {**headers, **BEARER}, "content": body}
            assert await asked(http, "POST", f"/e/{EVENT_KEY}", **said) == 403
        for origin in OF_OTHERS:
            headers = {"Origin": with_port(origin, http), **BEARER}
            said = {"headers": headers, "content": b"{}"}
            assert await asked(http, "POST", "/invoke/f", **said) == 403
            assert await asked(http, "DELETE", "/v1/runs/x", **said) == 403
            assert await asked(http, "PUT", "/fn/register", **said) == 403
            assert await asked(http, "GET", "/v1/events", **said) == 200
        assert await engine.events.list() == []


@pytest.mark.parametrize("settings", KEYS, ids=["serve", "dev"])
async def test_no_page_opens_a_socket(settings: dict[str, Any]) -> None:
    async with engine_with_keys(**settings) as (_, http):
        started = await http.post("/v0/connect/start", headers=BEARER)
        assert started.status_code == 200
        for origin in OF_OTHERS:
            headers = {**UPGRADE, "Origin": with_port(origin, http)}
            assert await asked(http, "GET", "/v0/connect", headers=headers) == 403
        own = {**UPGRADE, "Origin": f"http://127.0.0.1:{http.base_url.port}"}
        assert await asked(http, "GET", "/v0/connect", headers=own) == 101


async def test_a_socket_is_for_whom_a_key_has_let_start_one() -> None:
    async with engine_with_keys() as (_, http):
        assert await asked(http, "GET", "/v0/connect", headers=UPGRADE) == 401
        assert (await http.post("/v0/connect/start")).status_code == 401
        assert await asked(http, "GET", "/v0/connect", headers=UPGRADE) == 401


@pytest.mark.parametrize("settings", KEYS, ids=["serve", "dev"])
async def test_what_a_browser_says_is_of_another_site_is_refused(
    settings: dict[str, Any],
) -> None:
    cross = {"Sec-Fetch-Site": "cross-site", **BEARER}
    modes = ("navigate", "no-cors", "cors", "websocket")
    async with engine_with_keys(**settings) as (_, http):
        for mode, method in itertools.product(modes, ("GET", "POST")):
            headers = {**cross, "Sec-Fetch-Mode": mode}
            assert await asked(http, method, "/v1/events", headers=headers) == 403
            assert await asked(http, method, "/e/k", headers=headers) == 403


async def test_names_of_others_are_not_this_machine() -> None:
    """A page's own name may lead here the second time: what it asks then is of its own origin."""
    async with engine_with_keys(**KEYS[1]) as (engine, http):
        for host, method in itertools.product(HOSTS_OF_OTHERS, ("GET", "POST")):
            own = with_port(host, http)
            headers = {"Host": own, "Origin": f"http://{own}"}
            for path in ("/health", "/dev", "/v1/events", "/e/k", "/metrics"):
                assert await asked(http, method, path, headers=headers) == 403, host
        assert await engine.events.list() == []
        for host in ("localhost", "127.0.0.1", "[::1]"):
            headers = {"Host": f"{host}:{http.base_url.port}"}
            assert await asked(http, "GET", "/dev", headers=headers) == 200


async def test_a_name_of_others_opens_nothing_without_a_key() -> None:
    """A server for others may have any name: it has keys instead, which a page has not."""
    async with engine_with_keys() as (engine, http):
        for host in HOSTS_OF_OTHERS[:-2]:
            own = with_port(host, http)
            headers = {"Host": own, "Origin": f"http://{own}"}
            body = {"headers": headers, "content": b'{"name":"page/sent"}'}
            assert await asked(http, "GET", "/v1/events", headers=headers) == 401
            assert await asked(http, "POST", "/e/guess", **body) == 401
            assert await asked(http, "GET", "/dev", headers=headers) == 404
        assert await engine.events.list() == []
