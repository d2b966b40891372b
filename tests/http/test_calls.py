"""What the server makes of those that it calls: where they lead, and what they answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import durable

from ..security.attacked import (
    BEARER,
    Answer,
    Asked,
    application,
    engine_with_keys,
    function,
    registration,
    signed,
)
from ..serving.conftest import listening


pytestmark = pytest.mark.asyncio

RUN = "01JGXM5K000000000000000000"


async def run_of(answers: Any, **event: Any) -> durable.Run:
    """How the only run of a function ends that is called with keys."""
    async with (
        listening(application(answers)) as url,
        engine_with_keys(allowed=("127.0.0.1",)) as (engine, http),
    ):
        said = registration("shop", function("shop", "pay", f"{url}/here"))
        done = await http.post("/fn/register", json=said, headers=BEARER)
        assert done.status_code == 200, done.text
        await engine.send(durable.Event("shop/pay", event))
        await engine.join(timeout="30s")
        (run,) = await engine.runs.list()
        return await engine.runs.get(run.id)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_call_that_is_led_elsewhere_goes_there_as_it_is(status: int) -> None:
    bodies: list[bytes] = []

    def answers(asked: Asked) -> Answer:
        bodies.append(asked.body)
        if asked.path == "/here":
            return status, {"Location": "/there?x=1"}, b""
        said = b'"paid"' if asked.body else b'"introspection"'
        return 200, signed(said), said

    run = await run_of(answers)
    assert (run.status, run.result) == ("completed", "paid")
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


async def test_a_call_that_is_led_on_and_on_fails() -> None:
    def answers(asked: Asked) -> Answer:
        return 307, {"Location": f"{asked.path}/on"}, b""

    run = await run_of(answers)
    assert run.status == "failed"
    assert run.error is not None
    assert "leads on and on" in run.error.message


async def test_a_result_that_is_no_json_is_a_text() -> None:
    run = await run_of(lambda _: (200, signed(b"<b>paid"), b"<b>paid"))
    assert (run.status, run.result) == ("completed", "<b>paid")


async def test_half_a_character_in_a_result_ends_nothing() -> None:
    """JavaScript's texts have them wherever one is cut: the next call must have a body that can be signed."""
    step = {"id": "0" * 40, "op": "StepRun", "displayName": "cut", "data": "?"}
    first = json.dumps([step]).replace('"?"', '"a\\ud83d"').encode()
    signatures: list[str] = []

    def answers(asked: Asked) -> Answer:
        signatures.append(asked.headers["x-inngest-signature"])
        if len(signatures) == 1:
            return 206, signed(first), first
        said = json.dumps(json.loads(asked.body)["steps"]).encode()
        return 200, signed(said), said

    run = await run_of(answers)
    assert run.status == "completed"
    assert run.result == {"0" * 40: {"data": "a\ufffd"}}
    assert all(signatures)


async def test_a_result_that_nobody_can_read_fails_its_step_by_name() -> None:
    step = (
        b'[{"id":"' + b"0" * 40 + b'","op":"StepRun","displayName":"far","data":1e999}]'
    )
    said: list[dict[str, Any]] = []

    def answers(asked: Asked) -> Answer:
        said.append(json.loads(asked.body)["steps"])
        body = step if len(said) == 1 else b'"handled"'
        return 206 if len(said) == 1 else 200, signed(body), body

    run = await run_of(answers)
    assert run.result == "handled"
    (memo,) = said[1].values()
    assert "not everybody could read it" in memo["error"]["message"]


def sent(url: str) -> dict[str, Any]:
    data = {"domain": url, "path": "/pay", "query_params": "", "method": "GET"}
    return {"run_id": RUN, "event": {"name": "http", "data": data}, "steps": []}


async def test_an_endpoint_that_goes_away_while_its_call_ends_is_called() -> None:
    """Whoever has said that there is something to wait for need not stay to hear that it was heard."""
    whole = json.dumps({"id": "1" * 40, "op": "RunComplete", "data": "paid"}).encode()
    sleep = {"id": "0" * 40, "op": "Sleep", "name": "1s", "opts": {"duration": "1s"}}
    async with (
        listening(application(lambda _: (206, signed(whole), whole))) as url,
        engine_with_keys(allowed=("127.0.0.1",)) as (engine, http),
    ):
        begun = await http.post("/v1/checkpoint", json=sent(url), headers=BEARER)
        assert begun.status_code == 200, begun.text
        body = json.dumps({"steps": [sleep]}).encode()
        host, port = http.base_url.host, http.base_url.port
        _, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST /v1/checkpoint/{RUN}/steps HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Authorization: {BEARER['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        writer.transport.abort()
        await engine.join(timeout="30s")
        (run,) = await engine.runs.list()
        assert (run.status, (await engine.runs.get(run.id)).result) == (
            "completed",
            "paid",
        )


async def test_a_rerun_of_an_endpoint_is_called_at_once() -> None:
    whole = json.dumps({"id": "1" * 40, "op": "RunComplete", "data": "paid"}).encode()
    calls: list[str] = []

    def answers(asked: Asked) -> Answer:
        calls.append(asked.headers["x-run-id"])
        return 206, signed(whole), whole

    async with (
        listening(application(answers)) as url,
        engine_with_keys(allowed=("127.0.0.1",)) as (engine, http),
    ):
        said = sent(url) | {"steps": [json.loads(whole)]}
        begun = await http.post("/v1/checkpoint", json=said, headers=BEARER)
        assert begun.status_code == 200, begun.text
        (run,) = await engine.runs.list()
        assert (await engine.runs.wait(run.id)).status == "completed"
        again = await engine.runs.rerun(run.id)
        assert (await engine.runs.wait(again)).result == "paid"
        assert len(calls) == 1


async def test_names_of_endpoints_events_are_the_servers_own() -> None:
    async with engine_with_keys() as (engine, http):
        event = {"name": "http.request/h-endpoint", "data": {"path": "/x"}}
        answer = await http.post("/e/an-event-key", json=event)
        assert answer.status_code == 400
        assert "choose another" in answer.json()["error"]
        assert await engine.events.list() == []
