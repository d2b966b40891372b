"""The second version of the REST API: applications, functions, one run of a function, one event."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from .conftest import Shop, opened


pytestmark = pytest.mark.asyncio

FUNCTION = {
    "url": "http://127.0.0.1:1/api/inngest",
    "appName": "away",
    "functions": [
        {
            "id": "away-far",
            "triggers": [{"event": "far", "expression": "event.data.n == 1"}],
            "steps": {
                "step": {
                    "runtime": {"type": "http", "url": "http://127.0.0.1:1/x?fnId=f"},
                    "retries": {"attempts": 4},
                }
            },
        }
    ],
}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


async def invoke(shop: Shop, function: str, **body: Any) -> httpx.Response:
    return await shop.post(f"/v2/apps/shop/functions/{function}/invoke", **body)


async def test_applications_are_listed_with_where_they_are() -> None:
    async with opened() as shop:
        assert (await shop.post("/fn/register", **FUNCTION)).status_code == 200
        first = await shop.get("/v2/apps", limit=1)
        assert first["page"] == {"hasMore": True, "limit": 1, "cursor": "away"}
        (away,) = first["data"]
        assert (away["id"], away["method"], away["functionCount"]) == (
            "away",
            "SERVE",
            1,
        )
        assert away["latestSync"]["url"] == "http://127.0.0.1:1/x"
        (own,) = (await shop.get("/v2/apps", limit=1, cursor="away"))["data"]
        assert (own["id"], own["isArchived"], "method" in own) == ("shop", False, False)
        assert (await shop.get("/v2/apps/away"))["data"] == away
        nobody = await shop.http.get("/v2/apps/nobody")
        assert code_of(nobody) == (404, "not_found")


async def test_functions_say_what_starts_and_what_protects_them() -> None:
    async with opened() as shop:
        await shop.post("/fn/register", **FUNCTION)
        far = (await shop.get("/v2/apps/away/functions/far"))["data"]
        assert (far["id"], far["slug"]) == ("far", "away-far")
        assert far["configuration"]["retries"] == {"value": 4, "isDefault": True}
        (trigger,) = far["triggers"]
        assert trigger["condition"] == "event.data.n == 1"
        assert (await shop.get("/v2/apps/away/functions/away-far"))["data"] == far
        limited = (await shop.get("/v2/apps/shop/functions/limited"))["data"]
        assert limited["configuration"]["rateLimit"] == {"limit": 1, "period": "3600s"}
        assert limited["configuration"]["throttle"]["period"] == "60s"
        assert limited["configuration"]["cancellations"][0]["event"] == "stop"
        daily = (await shop.get("/v2/apps/shop/functions/daily"))["data"]
        cron = {"type": "CRON", "value": "TZ=Europe/Paris 0 9 * * *"}
        assert daily["triggers"] == [cron]
        page = await shop.get("/v2/apps/shop/functions", limit=2)
        assert [one["id"] for one in page["data"]] == ["daily", "limited"]
        nobody = await shop.http.get("/v2/apps/away/functions/order")
        assert code_of(nobody) == (404, "not_found")


async def test_a_function_is_started_whatever_its_triggers() -> None:
    async with opened() as shop:
        answer = await invoke(shop, "order", data={"n": 3, "is_object": True})
        assert answer.status_code == 200
        run = answer.json()["data"]["runId"]
        await shop.engine.advance("1ms")
        assert (await shop.engine.runs.get(run)).result == {"n": 3}
        told = (await shop.get(f"/v2/runs/{run}"))["data"]
        assert told["trigger"]["eventName"] == "inngest/function.invoked"


@pytest.mark.parametrize("name", ["idempotencyKey", "idempotency_key"])
async def test_the_same_key_starts_a_function_once(name: str) -> None:
    async with opened() as shop:
        first = await invoke(shop, "order", data={"n": 1}, **{name: "k1"})
        again = await invoke(shop, "order", data={"n": 2}, **{name: "k1"})
        assert (first.status_code, again.status_code) == (200, 409)
        assert first.json()["data"] == again.json()["data"]
        for function, key in (("order", "k2"), ("other", "k1")):
            fresh = await invoke(shop, function, data={}, **{name: key})
            assert fresh.status_code == 200
            assert fresh.json()["data"] != first.json()["data"]
        answers = await asyncio.gather(
            *[invoke(shop, "order", data={}, **{name: "k3"}) for _ in range(20)]
        )
        assert sorted(one.status_code for one in answers) == [200] + [409] * 19
        assert len({one.json()["data"]["runId"] for one in answers}) == 1


async def test_what_flow_control_does_not_let_start_is_said() -> None:
    async with opened() as shop:
        assert (await invoke(shop, "limited", data={})).status_code == 200
        limited = await invoke(shop, "limited", data={}, idempotencyKey="k")
        assert code_of(limited) == (422, "rate_limited")
        await shop.engine.advance("1h")
        later = await invoke(shop, "limited", data={}, idempotencyKey="k")
        assert later.status_code == 200, "what was not let through may be asked again"
        await shop.engine.functions.pause("order")
        paused = await invoke(shop, "order", data={})
        assert code_of(paused) == (422, "function_skipped")


async def test_what_is_wrong_with_a_call_is_said() -> None:
    async with opened() as shop:
        for body, wanted in (
            ({}, (400, "missing_field")),
            ({"data": None}, (400, "missing_field")),
            ({"data": [1]}, (400, "invalid_field_format")),
            ({"data": {}, "idempotencyKey": "k" * 300}, (400, "validation_error")),
        ):
            assert code_of(await invoke(shop, "order", **body)) == wanted, body
        assert code_of(await invoke(shop, "nobody", data={})) == (404, "not_found")


async def test_one_event_is_accepted() -> None:
    async with opened() as shop:
        answer = await shop.post("/v2/events", name="order", data={"n": 1}, id="mine")
        assert answer.status_code == 200
        event = answer.json()["data"]["eventId"]
        again = await shop.post("/api/v2/events", name="order", data={}, id="mine")
        assert again.json()["data"] == {"eventId": event}
        await shop.engine.advance("1ms")
        assert len(await shop.engine.events.runs(event)) == 1
        for body, code in (
            ({"name": ""}, "validation_error"),
            ({"name": "inngest/x"}, "validation_error"),
            ({"name": "x", "data": []}, "validation_error"),
        ):
            assert code_of(await shop.post("/v2/events", **body)) == (400, code)
        several = await shop.http.post("/v2/events", json=[{"name": "a"}])
        assert code_of(several) == (400, "invalid_request")
