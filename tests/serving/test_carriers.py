"""The same requests come in through every kind of server, and have the same answers."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import django
import orjson
import pytest
from django.conf import settings
from django.test import AsyncClient, Client
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.testclient import TestClient

import durable
from durable._serving.keys import Keys, canonical
from durable._serving.server import Server

from .conftest import KEY


#: Method, query, body; the answer's status and beginning.
HASH = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"  # of step `a`
BODY = orjson.dumps(
    {
        "steps": {HASH: {"data": "é" * 50_000}},
        "event": {"name": "a/b", "data": {"n": 1}},
        "ctx": {"run_id": "r", "stack": {"stack": [HASH]}},
    }
)
PATH = "/api/durable"
HOST = "shop.example"

Answer = tuple[int, bytes, dict[str, str]]
Ask = Callable[[str, dict[str, str], bytes, dict[str, str]], Answer]


async def handler(ctx: durable.Context) -> int:
    """Two steps, of which the first is remembered."""
    first: str = await ctx.step.run("a", str)
    second: int = await ctx.step.run("b", len, first)
    return second


def endpoint_of(handler: Any) -> Any:
    app = durable.App("shop")
    app.function("work", on="a/b")(handler)
    return durable.serve(app, signing_key=KEY)


def through_asgi(web: Any) -> Ask:
    client = TestClient(web, base_url=f"http://{HOST}")

    def ask(method: str, query: dict[str, str], body: bytes, headers: Any) -> Answer:
        said = client.request(method, PATH, params=query, content=body, headers=headers)
        return said.status_code, said.content, dict(said.headers)

    return ask


def asgi(endpoint: Any) -> Ask:
    return through_asgi(endpoint)


def fastapi(endpoint: Any) -> Ask:
    web = FastAPI()
    endpoint.mount(web)
    return through_asgi(web)


def starlette(endpoint: Any) -> Ask:
    web = Starlette()
    endpoint.mount(web)
    return through_asgi(web)


def wsgi(endpoint: Any) -> Ask:
    def ask(method: str, query: dict[str, str], body: bytes, headers: Any) -> Answer:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": PATH,
            "QUERY_STRING": urlencode(query),
            "HTTP_HOST": HOST,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
        }
        for name, value in headers.items():
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        begun: list[Any] = []
        parts = endpoint.wsgi(environ, lambda *given: begun.extend(given))
        return int(begun[0][:3]), b"".join(parts), dict(begun[1])

    return ask


def flask(endpoint: Any) -> Ask:
    web = Flask("shop")
    endpoint.mount(web)
    client = web.test_client()

    def ask(method: str, query: dict[str, str], body: bytes, headers: Any) -> Answer:
        said = client.open(
            PATH,
            base_url=f"http://{HOST}",
            method=method,
            query_string=query,
            data=body,
            headers=headers,
        )
        return said.status_code, said.data, dict(said.headers)

    return ask


def django_sync(endpoint: Any) -> Ask:
    return through_django(endpoint, Client())


def through_django(endpoint: Any, client: Any) -> Ask:
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), SECRET_KEY="-")  # noqa: S106
        django.setup()

    def ask(method: str, query: dict[str, str], body: bytes, headers: Any) -> Answer:
        with django.test.override_settings(ROOT_URLCONF=tuple(endpoint.urls)):
            said = client.generic(
                method,
                f"{PATH}?{urlencode(query)}",
                body,
                content_type="application/json",
                headers={"host": HOST, **headers},
            )
        return said.status_code, said.content, dict(said.headers)

    return ask


def aws_lambda(endpoint: Any) -> Ask:
    def ask(method: str, query: dict[str, str], body: bytes, headers: Any) -> Answer:
        event = {
            "version": "2.0",
            "rawPath": PATH,
            "rawQueryString": urlencode(query),
            "headers": {"host": HOST, "x-forwarded-proto": "http", **headers},
            "requestContext": {"http": {"method": method}},
            "body": body.decode(),
        }
        said = endpoint.lambda_handler(event, None)
        return said["statusCode"], said["body"].encode(), said["headers"]

    return ask


CARRIERS = [asgi, fastapi, starlette, wsgi, flask, django_sync, aws_lambda]


@pytest.fixture(params=CARRIERS, ids=lambda carrier: carrier.__name__)
def ask(request: pytest.FixtureRequest) -> Ask:
    """Asks an endpoint through one carrier."""
    found: Ask = request.param(endpoint_of(handler))
    return found


def signature(body: bytes) -> dict[str, str]:
    keys = Keys([KEY])
    return {"X-Inngest-Signature": keys.sign(canonical(body), int(time.time()))}  # noqa: TID251  # as a server does


def test_a_function_is_called(ask: Ask) -> None:
    query = {"fnId": "shop-work", "stepId": "step"}
    status, body, headers = ask("POST", query, BODY, signature(BODY))
    assert status == 206, body
    (op,) = orjson.loads(body)
    assert (op["op"], op["displayName"], op["data"]) == ("StepRun", "b", 50_000)
    found = {name.lower(): value for name, value in headers.items()}
    assert found["x-inngest-sdk"].startswith("durable-py:v")
    assert found["content-type"] == "application/json"
    assert found["x-inngest-signature"].startswith("t=")


def test_an_unsigned_call_is_refused(ask: Ask) -> None:
    status, body, _ = ask("POST", {"fnId": "shop-work"}, BODY, {})
    assert (status, orjson.loads(body)["code"]) == (401, "sig_verification_failed")


def test_it_registers_where_it_is_asked(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def register(_: Server, said: bytes, *_rest: Any) -> tuple[int, bytes]:
        told.append(orjson.loads(said))
        return 200, b'{"ok":true}'

    monkeypatch.setattr(Server, "register", register)
    status, body, _ = ask("PUT", {}, b"{}", {})
    assert (status, body) == (200, b'{"ok":true}')
    assert told[0]["url"] == f"http://{HOST}{PATH}"


def test_it_says_what_it_is(ask: Ask) -> None:
    status, body, _ = ask("GET", {}, b"", {})
    assert (status, orjson.loads(body)["function_count"]) == (200, 1)


@pytest.mark.asyncio
async def test_django_answers_on_its_loop_where_it_has_one() -> None:
    endpoint = endpoint_of(handler)
    through_django(endpoint, None)
    with django.test.override_settings(ROOT_URLCONF=tuple(endpoint.urls)):
        said = await AsyncClient().get(PATH)
    assert said.status_code == 200
