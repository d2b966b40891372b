"""The second version of the REST API: runs, what became of them, runs that repeat them, and their end before its time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from .conftest import SIGNING_KEY, Shop, opened


pytestmark = pytest.mark.asyncio

NOBODY = "01HE8AM9DPK9N37V1RKY1DNQF5"


def moment(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat()


async def ids(shop: Shop, path: str = "/v2/runs", **asked: Any) -> list[str]:
    """All pages, one after the other."""
    found: list[str] = []
    while True:
        answer = await shop.get(path, **asked)
        found += [run["id"] for run in answer["data"]]
        if not answer["page"]["hasMore"]:
            assert "cursor" not in answer["page"]
            return found
        asked["cursor"] = answer["page"]["cursor"]


async def error(shop: Shop, path: str, **asked: Any) -> tuple[int, str]:
    answer = await shop.http.get(path, params=asked)
    (one,) = answer.json()["errors"]
    assert one["message"]
    return answer.status_code, one["code"]


async def test_both_names_of_the_version_answer() -> None:
    async with opened() as shop:
        for prefix in ("/v2", "/api/v2"):
            answer = await shop.get(f"{prefix}/health")
            assert answer["data"] == {"status": "ok"}
            assert answer["metadata"]["fetchedAt"].endswith("Z")


async def test_a_run_is_told_as_the_reference_tells_it() -> None:
    async with opened() as shop:
        event = await shop.send(n=7, is_object=True)
        (run,) = await shop.engine.events.runs(event)
        told = (await shop.get(f"/v2/runs/{run.id}", includeOutput="true"))["data"]
        assert told["function"] == {"id": "order", "name": "order", "slug": "order"}
        assert (told["id"], told["app"]) == (run.id, {"id": "shop"})
        assert (told["status"], told["output"]) == ("COMPLETED", {"n": 7})
        assert told["trigger"] == {
            "eventIds": [event],
            "isBatch": False,
            "eventName": "order",
        }
        assert int(told["durationMs"]) >= 0
        assert told["queuedAt"] <= told["startedAt"] <= told["endedAt"]
        short = (await shop.get(f"/api/v2/runs/{run.id}"))["data"]
        assert "output" not in short


async def test_an_output_is_an_object_whatever_was_returned() -> None:
    async with opened() as shop:
        run = await shop.run(n=1)
        told = await shop.get(f"/v2/runs/{run}", include="output")
        assert told["data"]["output"] == {"data": [{"n": 1}, 2]}
        failed = await shop.run(fails=True)
        told = (await shop.get(f"/v2/runs/{failed}", includeOutput="true"))["data"]
        assert told["status"] == "FAILED"
        assert told["output"]["message"] == "the card was declined"


async def test_a_run_that_is_not_there_is_not_found() -> None:
    async with opened() as shop:
        assert await error(shop, f"/v2/runs/{NOBODY}") == (404, "not_found")
        assert await error(shop, "/v2/runs/x") == (400, "invalid_field_format")


async def test_runs_come_in_pages_newest_or_oldest_first() -> None:
    async with opened() as shop:
        runs = [await shop.run(n=n, waits=n % 2) for n in range(7)]
        for limit in (1, 2, 3, 7, 20):
            assert await ids(shop, limit=limit) == runs[::-1]
            assert await ids(shop, limit=limit, order="asc") == runs
        first = await shop.get("/v2/runs", limit=7)
        assert first["page"] == {"hasMore": False, "limit": 7}


async def test_runs_are_found_by_state() -> None:
    async with opened() as shop:
        done, failed = await shop.run(), await shop.run(fails=True)
        waiting = await shop.run("other")
        assert await ids(shop, status="COMPLETED") == [done]
        assert await ids(shop, status="running") == [waiting]
        assert await ids(shop, status=["FAILED", "RUNNING"]) == [waiting, failed]
        assert await ids(shop, status=["FAILED", "RUNNING"], order="asc") == [
            failed,
            waiting,
        ]
        assert await ids(shop, status=["QUEUED", "SKIPPED"]) == []
        assert await ids(shop, isDeferred="true") == []
        await shop.engine.functions.pause("other")
        assert await ids(shop, status="PAUSED") == [waiting]


async def test_runs_are_found_by_time_function_and_event() -> None:
    async with opened() as shop:
        first = await shop.run(n=1)
        await shop.engine.advance("1h")
        middle = moment(shop.engine.now_ms())
        second, other = await shop.run(n=2), await shop.run("other", n=2)
        assert await ids(shop, **{"from": middle}) == [other, second]
        for order in ("asc", "desc"):
            assert await ids(shop, until=middle, order=order) == [first]
        for asked in (
            {"functionId": "other", "appId": "shop"},
            {"function_id": "other", "app_id": "shop"},
        ):
            assert await ids(shop, **asked) == [other]
        assert await ids(shop, appId="another") == []
        both = "event.data.n == 2"
        assert await ids(shop, query=both, limit=1) == [other, second]
        assert await ids(shop, query=both, functionId="order", appId="shop") == [second]
        path = "/v2/apps/shop/functions/order/runs"
        assert await ids(shop, path, limit=1) == [second, first]
        assert await error(shop, "/v2/apps/shop/functions/nobody/runs") == (
            404,
            "not_found",
        )


async def test_a_question_ends_though_nothing_is_found() -> None:
    """Each looks at 10,000 runs at most; whoever goes on sees them all."""
    async with opened() as shop:
        rare = await shop.run("other")
        many = [{"name": "order", "data": {"waits": True}}] * 5_000
        for _ in range(2):
            answer = await shop.http.post("/e/any", json=many, timeout=60)
            assert answer.status_code == 200
        asked = {"functionId": "other", "appId": "shop"}
        page = await shop.get("/v2/runs", **asked)
        assert (page["data"], page["page"]["hasMore"]) == ([], True)
        assert await ids(shop, **asked) == [rare]


async def test_what_cannot_be_asked_is_said() -> None:
    async with opened() as shop:
        for asked, wanted in (
            ({"status": "done"}, (400, "invalid_field_format")),
            ({"limit": "101"}, (400, "invalid_field_format")),
            ({"cursor": "x"}, (400, "invalid_field_format")),
            ({"from": "yesterday"}, (400, "invalid_field_format")),
            ({"functionId": "order"}, (400, "invalid_field_format")),
            ({"statuses": "FAILED"}, (400, "invalid_request")),
            ({"query": "event.data.n =="}, (422, "expression_invalid")),
            ({"query": "1 == 1 || " * 300 + "true"}, (422, "query_too_long")),
            ({"timeField": "endedAt"}, (501, "not_implemented")),
        ):
            assert await error(shop, "/v2/runs", **asked) == wanted, asked


async def test_runs_of_an_event_come_in_pages() -> None:
    async with opened() as shop:
        event = await shop.send(n=1)
        (run,) = await shop.engine.events.runs(event)
        await shop.post(f"/v2/runs/{run.id}/rerun")
        path = f"/v2/events/{event}/runs"
        first = await shop.get(path, limit=1)
        assert first["page"]["hasMore"] is True
        found = await ids(shop, path, limit=1)
        assert found[1] == run.id
        assert len(found) == 2
        assert await error(shop, f"/v2/events/{NOBODY}/runs") == (404, "not_found")
        assert (await error(shop, path, limit=41))[0] == 400


async def test_a_run_is_repeated_whole_or_from_a_step_on() -> None:
    async with opened() as shop:
        run = await shop.run(n=1)
        for body in ({}, {"fromStep": {"stepId": "second"}}):
            answer = await shop.post(f"/v2/runs/{run}/rerun", **body)
            assert answer.status_code == 200
            again = answer.json()["data"]["runId"]
            await shop.engine.advance("1ms")
            view = await shop.engine.runs.get(again)
            assert (view.status, view.rerun_of) == ("completed", run)
        hashed = "352f7829a2384b001cc12b0c2613c756454a1f6a"  # of "second"
        answer = await shop.post(f"/v2/runs/{run}/rerun", fromStep={"stepId": hashed})
        assert answer.status_code == 200
        for body, code in (
            ({"fromStep": {"stepId": "nobody"}}, (400, "invalid_request")),
            ({"fromStep": {}}, (400, "missing_field")),
            (
                {"fromStep": {"stepId": "second", "input": [1]}},
                (501, "not_implemented"),
            ),
        ):
            answer = await shop.post(f"/v2/runs/{run}/rerun", **body)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == code
        assert (await shop.post(f"/v2/runs/{NOBODY}/rerun")).status_code == 404


async def test_a_run_is_cancelled_once() -> None:
    async with opened() as shop:
        run = await shop.run("other")
        answer = await shop.post(f"/v2/runs/{run}/cancel")
        assert (answer.status_code, answer.json()["data"]) == (200, {"runId": run})
        assert await ids(shop, status="CANCELLED") == [run]
        done = await shop.run()
        for again, code in (
            (run, "run_already_cancelled"),
            (done, "run_already_ended"),
        ):
            answer = await shop.post(f"/v2/runs/{again}/cancel")
            assert answer.status_code == 409
            assert answer.json()["errors"][0]["code"] == code
        assert (await shop.post(f"/v2/runs/{NOBODY}/cancel")).status_code == 404


async def test_what_is_not_here_says_so() -> None:
    async with opened() as shop:
        for path in ("account", "envs", "keys/events", f"runs/{NOBODY}/trace"):
            for prefix in ("/v2", "/api/v2"):
                answer = await error(shop, f"{prefix}/{path}")
                assert answer == (501, "not_implemented"), path
        assert await error(shop, "/v2/nowhere") == (404, "not_found")


async def test_refusals_have_the_envelope_of_the_version() -> None:
    async with opened(signing_keys=(SIGNING_KEY,)) as shop:
        assert await error(shop, "/v2/runs") == (401, "invalid_signing_key")
        foreign = await shop.http.get("/v2/runs", headers={"host": "evil.example"})
        assert foreign.status_code == 403
        assert foreign.json()["errors"][0]["code"] == "access_denied"
        bearer = {"authorization": f"Bearer {SIGNING_KEY}"}
        method = await shop.http.put("/v2/runs", headers=bearer)
        assert (method.status_code, "errors" in method.json()) == (405, True)
        assert "errors" not in (await shop.http.get("/v1/events")).json()
