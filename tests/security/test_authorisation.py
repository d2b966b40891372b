"""T40: every route of the served OpenAPI document, with every method and everything that is no key for it, is refused.

What is tried is made of the document, so that a new route is tried too: short some 3,000 requests, long 9,000, where methods
that a path has not are tried with every id as well. Whoever has no key is told the same of what is there, of what is not,
and of what is no id at all. The document itself is compared with the routes in `rust/durable-server/src/http.rs`.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any

import httpx
import pytest

import durable

from .attacked import (
    BEARER,
    EVENT_KEY,
    KEY,
    count,
    engine_with_keys,
    function,
    registration,
)


pytestmark = pytest.mark.asyncio

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE")
#: All that may be asked without the signing key, and what for. Whoever adds one says here why.
OPEN = {
    ("GET", "/"): "the page, which asks for the key and has nothing of its own",
    ("GET", "/ui/{file}"): "its files",
    ("GET", "/health"): "whether it is up",
    ("GET", "/openapi.json"): "what there is to ask",
    ("GET", "/dev"): "SDKs look whether it is there; with keys it is not",
    ("POST", "/e/{key}"): "has a key of its own",
    **dict.fromkeys(
        [
            ("GET", "/v0/connect"),
            ("GET", "/v1/realtime/connect"),
            ("GET", "/v1/realtime/sse"),
        ],
        "has a token that the signing key gave",
    ),
}
#: What is asked with a ticket of its own, in the address: the key does not open it.
OF_TICKETS = ("/v1/checkpoint/{run}/output", "/v1/http/runs/{run}/output")
NOT_IT = {"Authorization": "Bearer signkey-test-00ff10ab"}
NOT_KEYS: dict[str, dict[str, str]] = {
    "none": {},
    "another": NOT_IT,
    "the event key": {"Authorization": f"Bearer {EVENT_KEY}"},
    "empty": {"Authorization": "Bearer"},
    "basic": {"Authorization": f"Basic {KEY}"},
    "in a header of its own": {"X-Inngest-Signing-Key": KEY, "X-Api-Key": KEY},
    "in a cookie": {"Cookie": f"authorization=Bearer {KEY}; key={KEY}"},
    "for another method": {"X-HTTP-Method-Override": "GET", **NOT_IT},
    "from a proxy": {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    "of an SDK": {"X-Inngest-Sdk": "js:v4", "X-Inngest-Signature": "t=1&s=00"},
    "with another address": {"X-Original-Url": "/health", "X-Rewrite-Url": "/health"},
}
SECRET = "what only the owner of the key may read"  # noqa: S105  # it is looked for in answers


async def routes(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """The paths of the document, with what it says of their methods."""
    document = (await http.get("/openapi.json")).json()
    found: dict[str, dict[str, Any]] = document["paths"]
    return found


async def objects(engine: durable.Engine, http: httpx.AsyncClient) -> dict[str, str]:
    """Something for each name in a path that is really there."""
    said = registration("shop", function("shop", "pay", "http://127.0.0.1:1/"))
    assert (await http.post("/fn/register", json=said, headers=BEARER)).is_success
    (event,) = await engine.send(durable.Event("shop/pay", {"note": SECRET}))
    (run,) = await engine.events.runs(event)
    await engine.join(timeout="30s")
    of_run = {"run": run.id, "event": event, "function": "shop-pay"}
    of_shop = {"app": "shop", "id": run.id, "env": "dev"}
    return {**of_run, **of_shop, "key": KEY, "file": "app.js"}


def paths_of(path: str, there: dict[str, str]) -> dict[str, str]:
    """A path with what is there, with what is not, and with what is no id."""
    fill = [there, dict.fromkeys(there, "01M8188FRM05MZT5DQKGDEM000")]
    fill += [dict.fromkeys(there, one) for one in ("none", "%00", "..%2f..%2fhealth")]
    kinds = ("there", "not there", "no id", "nul", "elsewhere")
    made = [re.sub(r"{(\w+)}", lambda name, of=of: of[name[1]], path) for of in fill]
    return dict(zip(kinds, made, strict=True))


def told(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that an answer says, but the time."""
    headers = [one for one in answer.headers.items() if one[0] != "date"]
    return answer.status_code, answer.content, headers


async def test_nothing_is_open_but_what_is_listed() -> None:
    async with engine_with_keys() as (_, http):
        found = {
            (method.upper(), path)
            for path, methods in (await routes(http)).items()
            for method, about in methods.items()
            if about.get("security") == []
        }
    assert found == OPEN.keys()


async def test_no_route_and_method_can_be_asked_without_the_key() -> None:
    tried = 0
    async with engine_with_keys(allowed=("127.0.0.1",)) as (engine, http):
        there = await objects(engine, http)
        before = engine.stats()
        for path, methods in (await routes(http)).items():
            of_document = {method.upper() for method in methods}
            wanted = [*METHODS, *({"HEAD"} if "GET" in of_document else ())]
            for method, not_key in itertools.product(wanted, NOT_KEYS.values()):
                if ("GET" if method == "HEAD" else method, path) in OPEN:
                    continue
                paths = [*paths_of(path, there).values()]
                if method not in of_document:
                    paths = paths[: count(1, len(paths))]
                body: dict[str, Any] = {"headers": not_key, "json": {"data": {}}}
                asking = (http.request(method, one, **body) for one in paths)
                answers = await asyncio.gather(*asking)
                tried += len(answers)
                checked(method, path, of_document, answers)
        assert engine.stats() == before, "nothing has been done"
    assert tried > 2_000


def is_of_token(path: str) -> bool:
    return OPEN.get(("GET", path), "").startswith("has a token")


def checked(
    method: str, path: str, of_document: set[str], answers: list[httpx.Response]
) -> None:
    """None lets anybody in, and all of them say the same."""
    for answer in answers:
        where = (method, str(answer.url))
        assert answer.status_code in {400, 401, 404, 405}, (where, answer.text)
        assert SECRET not in answer.text
        if method in of_document and ("GET", path) not in OPEN:
            assert answer.status_code == 401, (where, answer.text)
    if method in of_document and ("POST", path) not in OPEN:
        assert len({str(told(answer)) for answer in answers}) == 1, (method, path)


async def test_the_same_are_answered_with_the_key() -> None:
    """Each could be asked: it is the key alone that was missing."""
    async with engine_with_keys(allowed=("127.0.0.1",)) as (engine, http):
        there = await objects(engine, http)
        for path, methods in (await routes(http)).items():
            for method in map(str.upper, methods):
                if path in {"/dev", "/e/{key}", *OF_TICKETS} or is_of_token(path):
                    continue
                url = paths_of(path, there)["there"]
                answer = await http.request(method, url, headers=BEARER, json={})
                assert answer.status_code not in {401, 403, 405}, (method, path)


async def test_events_come_in_with_an_event_key_only() -> None:
    not_keys = [
        KEY,
        "another",
        "",
        "%00",
        EVENT_KEY.upper(),
        EVENT_KEY + "0",
        "..",
        "*",
    ]
    event = {"name": "shop/pay"}
    async with engine_with_keys() as (engine, http):
        before = engine.stats()
        for key, headers in itertools.product(not_keys, NOT_KEYS.values()):
            if headers == NOT_KEYS["the event key"]:
                continue
            bearer = [headers, {**headers, "Authorization": f"Bearer {KEY}"}]
            for given in bearer:
                answer = await http.post(f"/e/{key}", json=event, headers=given)
                # '..' is the page's own place, which takes no POST.
                assert answer.status_code in {401, 404, 405}, (key, given)
        assert engine.stats() == before
        by_path = await http.post(f"/e/{EVENT_KEY}", json=event)
        by_header = await http.post(
            "/e/-", json=event, headers=NOT_KEYS["the event key"]
        )
    assert (by_path.status_code, by_header.status_code) == (200, 200)


async def test_other_ways_to_write_a_path_lead_nowhere() -> None:
    ways = [
        "/{}/",
        "//{}",
        "/./{}",
        "/health/../{}",
        "/health%2f..%2f{}",
        "/e/{}",
        "/%2e/{}",
        "/;/{}",
        "/{};x",
        "/{}%00",
        "/{}%20",
        "/{}.json",
        "/{}?key=" + KEY,
        "/health;/../{}",
        "/%5c{}",
    ]
    async with engine_with_keys(allowed=("127.0.0.1",)) as (engine, http):
        there = await objects(engine, http)
        paths = [paths_of(path, there)["there"] for path in await routes(http)]
        opened = {"/", "/health", "/openapi.json", "/ui/app.js"}
        asked = [path for path in paths if path not in opened]
        for path, way in itertools.product(asked, ways):
            url = way.format(path.lstrip("/"))
            for one in {url, url.replace("v", "V"), url.replace("r", "%72")}:
                target = httpx.URL(http.base_url, raw_path=one.encode())
                answer = await http.get(target)
                assert answer.status_code >= 400, one
                assert SECRET not in answer.text
