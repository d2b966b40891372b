"""`durable.serve`: its settings, who is let in, and what else than calls is answered."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

import durable
from durable._serving.endpoint import Endpoint
from durable._serving.keys import Keys, canonical
from durable._serving.server import Server

from .serving_calls import URL, body, endpoint_of, ops_of, request


KEY = "signkey-test-00ff10"
OLD = "signkey-test-aa"
NOW = 1_800_000_000


async def handler(ctx: durable.Context) -> int:
    result: int = await ctx.step.run("one", int)
    return result


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables that say something, all unset."""
    for prefix in ("DURABLE", "INNGEST"):
        for name in ("DEV", "SIGNING_KEY", "SIGNING_KEY_FALLBACK", "EVENT_KEY"):
            monkeypatch.delenv(f"{prefix}_{name}", raising=False)
    monkeypatch.delenv("DURABLE_SERVER", raising=False)
    monkeypatch.delenv("INNGEST_BASE_URL", raising=False)
    return monkeypatch


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a server is told of functions."""
    told: list[Any] = []

    def register(
        self: Server, said: bytes, headers: dict[str, str], deploy_id: str
    ) -> tuple[int, bytes]:
        told.append((self.url, orjson.loads(said), headers, deploy_id))
        return (200, b'{"ok":true}') if len(told) < 3 else (400, b'{"error":"no"}')

    monkeypatch.setattr(Server, "register", register)
    return told


def signed() -> Endpoint:
    app = durable.App("shop")
    app.function("work", on="shop/placed")(handler)
    made = durable.serve(app, signing_key=[KEY, OLD], event_key="e")
    made._now = lambda: NOW
    return made


def signature(json: bytes, key: str = KEY, at: int = NOW) -> dict[str, str]:
    return {"x-inngest-signature": Keys([key]).sign(canonical(json), at)}


def test_nobody_is_let_in_without_a_key_but_in_dev_mode(
    variables: pytest.MonkeyPatch,
) -> None:
    app = durable.App("shop")
    with pytest.raises(durable.ConfigError, match="DURABLE_SIGNING_KEY"):
        durable.serve(app)
    with pytest.raises(durable.ConfigError, match="hexadecimal"):
        durable.serve(app, signing_key="secret")
    variables.setenv("INNGEST_DEV", "0")
    with pytest.raises(durable.ConfigError, match="is_dev=True"):
        durable.serve(app)
    for name, value in {"INNGEST_DEV": "1", "DURABLE_SIGNING_KEY": "00ff"}.items():
        variables.setenv(name, value)
        assert durable.serve(app).path == "/api/durable"
        variables.delenv(name)
    assert durable.serve(app, is_dev=True, path="x/y/").path == "/x/y"


def test_a_setting_that_cannot_be_said_is_refused_at_once() -> None:
    with pytest.raises(durable.ConfigError, match="burst"):
        endpoint_of(handler, rate_limit=durable.RateLimit(5, "1m", burst=0))


@pytest.mark.asyncio
async def test_with_a_key_every_call_is_signed_and_so_is_its_reply() -> None:
    endpoint, json = signed(), body()
    for key in (KEY, OLD):
        reply = await endpoint.respond(request(headers=signature(json, key)))
        assert ops_of(reply) == [("StepRun", "one", 0)]
        assert Keys([KEY]).is_signed(
            reply.body, reply.headers["X-Inngest-Signature"], NOW
        )
    for headers in (
        {},
        signature(b"{}"),
        signature(json, "signkey-test-bb"),
        signature(json, at=NOW - 301),
    ):
        reply = await endpoint.respond(request(headers=headers))
        assert reply.status == 401
        assert orjson.loads(reply.body)["code"] == "sig_verification_failed"


@pytest.mark.asyncio
async def test_what_is_no_call_is_refused_and_called_again_where_that_may_help() -> (
    None
):
    endpoint = endpoint_of(handler)
    gone = await endpoint.respond(request(query={"fnId": "shop-gone"}))
    assert (gone.status, "only shop-work" in gone.body.decode()) == (404, True)
    wrong = await endpoint.respond(request(body=b"{}"))
    assert (wrong.status, wrong.headers["X-Inngest-No-Retry"]) == (500, "true")
    assert (await endpoint.respond(request("DELETE"))).status == 405
    large = request(body=b" " * (16 * 1024 * 1024 + 1))
    assert (await endpoint.respond(large)).status == 413
    partial = b'{"ctx":{"run_id":"r","use_api":true}}'
    away = await endpoint.respond(request(body=partial))
    assert (away.status, "X-Inngest-No-Retry" in away.headers) == (500, False)
    assert orjson.loads(away.body)["name"] == "ConnectionError"


@pytest.mark.asyncio
async def test_a_large_run_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "events_of", lambda *_: b'[{"name":"shop/placed"}]')
    monkeypatch.setattr(Server, "memos_of", lambda *_: b"{}")
    partial = b'{"ctx":{"run_id":"r","use_api":true}}'
    reply = await endpoint_of(handler).respond(request(body=partial))
    assert ops_of(reply) == [("StepRun", "one", 0)]


@pytest.mark.asyncio
async def test_a_step_that_has_ended_meanwhile_is_not_executed_again() -> None:
    json = body({"one": {"data": 7}})
    (hashed,) = orjson.loads(json)["steps"]
    query = {"fnId": "shop-work", "stepId": hashed}
    reply = await endpoint_of(handler).respond(request(query=query, body=json))
    assert ops_of(reply) == [("StepRun", None, 7)]


@pytest.mark.asyncio
async def test_who_asks_to_register_is_told_the_servers_answer(
    registered: list[Any],
) -> None:
    endpoint = endpoint_of(handler)
    reply = await endpoint.respond(request("PUT", query={"deployId": "d"}))
    assert (reply.status, reply.body) == (200, b'{"ok":true}')
    ((server, said, headers, deploy_id),) = registered
    assert (server, said["appName"], said["url"]) == ("http://127.0.0.1:1", "shop", URL)
    assert said["functions"][0]["id"] == "shop-work"
    assert headers["X-Inngest-Sync-Kind"] == "out_of_band"
    assert deploy_id == "d"
    await endpoint.register("https://shop.example/d")
    assert registered[1][1]["url"] == "https://shop.example/d"
    with pytest.raises(durable.ConfigError, match="refuses the functions"):
        await endpoint.register("https://shop.example/d")


@pytest.mark.asyncio
async def test_whoever_cannot_register_says_why() -> None:
    endpoint = endpoint_of(handler)
    reply = await endpoint.respond(request("PUT"))
    assert (reply.status, "does not answer" in reply.body.decode()) == (500, True)
    with pytest.raises(durable.ConfigError, match=r"register\(url\)"):
        await endpoint.register()


@pytest.mark.asyncio
async def test_a_server_with_the_key_is_told_all_in_its_own_request() -> None:
    endpoint = signed()
    in_band = {"x-inngest-sync-kind": "in_band"}
    reply = await endpoint.respond(request("PUT", headers=in_band))
    assert reply.status == 401
    both = in_band | signature(b"{}")
    reply = await endpoint.respond(request("PUT", headers=both, body=b"{}"))
    said = orjson.loads(reply.body)
    assert reply.headers["X-Inngest-Sync-Kind"] == "in_band"
    assert (said["app_id"], said["url"], len(said["functions"])) == ("shop", URL, 1)
    open_to_all = endpoint_of(handler)
    assert (await open_to_all.respond(request("PUT", headers=in_band))).status == 401


@pytest.mark.asyncio
async def test_whoever_has_no_key_sees_little_of_it() -> None:
    endpoint = signed()
    known = {"app_id", "signing_key_hash", "event_api_origin", "sdk_version"}
    shown = orjson.loads((await endpoint.respond(request("GET"))).body)
    assert shown["authentication_succeeded"] is None
    assert not known & set(shown)
    assert (shown["function_count"], shown["mode"]) == (1, "cloud")
    wrong = request("GET", headers=signature(b"", "bb"))
    shown = orjson.loads((await endpoint.respond(wrong)).body)
    assert shown["authentication_succeeded"] is False
    right = request("GET", headers=signature(b""))
    shown = orjson.loads((await endpoint.respond(right)).body)
    assert known <= set(shown)
    assert "00ff10" not in str(shown)


@pytest.mark.asyncio
async def test_a_probe_of_trust_is_answered_with_a_signature() -> None:
    query = {"fnId": "shop-work", "probe": "trust"}
    probe = request(query=query, headers=signature(body()))
    reply = await signed().respond(probe)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["X-Inngest-Signature"]


@pytest.mark.asyncio
async def test_events_go_to_the_server_by_way_of_middleware(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []

    class Marks(durable.Middleware):
        def before_send(self, sending: Any) -> None:
            sending.events = [durable.Event("a/marked", {}) for _ in sending.events]

    def send(_: Server, events: list[Any]) -> list[str]:
        sent.extend(events)
        return ["i1"]

    monkeypatch.setattr(Server, "send", send)
    plain = durable.serve(durable.App("shop"), is_dev=True)
    assert await plain.send(durable.Event("a/b", {})) == ["i1"]
    assert await plain.send() == []
    marked = durable.serve(durable.App("shop", middleware=[Marks()]), is_dev=True)
    assert await marked.send(durable.Event("a/b", {})) == ["i1"]
    assert [event[0] for event in sent] == ["a/b", "a/marked"]
