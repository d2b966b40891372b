"""The first version of the REST API: events by time, functions, cancellation of many runs, and what is heard and not kept."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest

from .conftest import SIGNING_KEY, Shop, opened


pytestmark = pytest.mark.asyncio

WHOSE = {"app_id": "shop", "function_id": "order"}


def moment(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat()


async def cancel(shop: Shop, **asked: Any) -> httpx.Response:
    before = moment(shop.engine.now_ms() + 1)
    return await shop.post(
        "/v1/cancellations", **{**WHOSE, "started_before": before, **asked}
    )


async def statuses(shop: Shop, runs: list[str]) -> list[str]:
    found = [await shop.get(f"/v1/runs/{run}") for run in runs]
    return [run["data"]["status"] for run in found]


async def test_events_are_asked_for_by_when_they_came() -> None:
    async with opened() as shop:
        ids, times = [], []
        for n in range(3):
            times.append(shop.engine.now_ms())
            ids.append(await shop.send("nothing", n=n))
            await shop.engine.advance("1m")

        async def found(**asked: Any) -> list[str]:
            page = await shop.get("/v1/events", **asked)
            return [event["internal_id"] for event in page["data"]]

        assert await found() == ids[::-1]
        assert await found(received_after=moment(times[1])) == [ids[2], ids[1]]
        assert await found(received_before=moment(times[1])) == [ids[0]]
        assert await found(received_before=times[2], limit=1) == [ids[1]]
        assert await found(cursor=ids[1], received_before=moment(times[2])) == [ids[0]]
        for wrong in ({"received_after": "soon"}, {"cursor": "x"}):
            answer = await shop.http.get("/v1/events", params=wrong)
            assert answer.status_code == 400
            assert "soon" in answer.text or "cursor 'x'" in answer.text


async def test_functions_of_an_application_are_listed() -> None:
    async with opened() as shop:
        page = await shop.get("/v1/apps/shop/functions")
        names = {one["function_id"] for one in page["data"]}
        assert {"order", "other", "limited", "daily"} <= names
        nobody = await shop.http.get("/v1/apps/nobody/functions")
        assert (nobody.status_code, nobody.json()["data"]) == (404, None)


async def test_runs_of_a_function_are_cancelled_together() -> None:
    async with opened() as shop:
        runs = [await shop.run(waits=True, n=n) for n in range(3)]
        other = await shop.run("other")
        ended = await shop.run(n=9)
        answer = await cancel(shop)
        assert answer.status_code == 200
        done = answer.json()["data"]
        assert (done["cancelled_count"], done["function_id"]) == (3, "order")
        assert len(done["id"]) == 26
        assert await statuses(shop, [*runs, other, ended]) == [
            *["Cancelled"] * 3,
            "Running",
            "Completed",
        ]
        again = await cancel(shop)
        assert again.json()["data"]["cancelled_count"] == 0


async def test_only_runs_of_a_time_whose_events_meet_an_expression_are_cancelled() -> (
    None
):
    async with opened() as shop:
        early = await shop.run(waits=True, n=1)
        await shop.engine.advance("1h")
        start = shop.engine.now_ms()
        runs = [await shop.run(waits=True, n=n) for n in range(3)]
        await shop.engine.advance("1h")
        end = shop.engine.now_ms()
        late = await shop.run(waits=True, n=1)
        times = {"started_after": moment(start), "started_before": moment(end)}
        answer = await cancel(shop, **times, **{"if": "event.data.n >= 1"})
        assert answer.json()["data"]["cancelled_count"] == 2
        assert await statuses(shop, [early, *runs, late]) == [
            "Running",
            "Running",
            "Cancelled",
            "Cancelled",
            "Running",
        ]


async def test_a_thousand_and_more_runs_are_cancelled() -> None:
    """They are gone through page by page."""
    async with opened() as shop:
        events = [{"name": "order", "data": {"waits": True}}] * 2_100
        sent = await shop.http.post("/e/any", json=events, timeout=60)
        assert sent.status_code == 200
        await shop.engine.advance("1ms")
        answer = await cancel(shop)
        assert answer.json()["data"]["cancelled_count"] == 2_100
        assert (await shop.get("/v2/runs", status="RUNNING"))["data"] == []


async def test_what_is_wrong_with_a_cancellation_is_said() -> None:
    async with opened() as shop:
        now = shop.engine.now_ms()
        for asked, code, why in (
            ({"app_id": ""}, 400, "app_id"),
            ({"started_before": None}, 400, "started_before is needed"),
            ({"started_before": moment(now + 60_000)}, 400, "is to come"),
            ({"started_after": moment(now + 9_000)}, 400, "no run is between"),
            ({"if": "event.data.n >="}, 400, "if: "),
            ({"function_id": "nobody"}, 404, "nobody"),
        ):
            answer = await cancel(shop, **asked)
            said = answer.json()
            assert (answer.status_code, said["data"]) == (code, None), asked
            assert why in said["error"]
        assert (await cancel(shop, started_before=moment(now + 4_000))).is_success


async def test_no_cancellation_is_left_once_it_is_answered() -> None:
    async with opened() as shop:
        done = (await cancel(shop)).json()["data"]
        assert (await shop.get("/v1/cancellations"))["data"] == []
        gone = await shop.http.delete(f"/v1/cancellations/{done['id']}")
        assert gone.status_code == 404
        assert "is done" in gone.json()["error"]


async def test_metadata_is_heard_for_a_run_that_there_is() -> None:
    async with opened() as shop:
        path = f"/v1/runs/{await shop.run()}/metadata"
        one = {"kind": "userland.x", "op": "merge", "values": {}}
        body = {"target": {}, "metadata": [one]}
        assert (await shop.post(path, **body)).status_code == 200
        assert (await shop.post(path, metadata="x")).status_code == 400
        nobody = "/v1/runs/01HE8AM9DPK9N37V1RKY1DNQF5/metadata"
        assert (await shop.post(nobody, **body)).status_code == 404


async def test_spans_are_heard_up_to_their_limit() -> None:
    async with opened() as shop:
        path = "/v1/traces/userland"
        told = await shop.post(path, resourceSpans=[])
        assert (told.status_code, told.json()) == (200, {})
        kind = {"content-type": "application/x-protobuf"}
        told = await shop.http.post(path, content=b"\n\x00", headers=kind)
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["content-type"] == "application/x-protobuf"
        large = b" " * (7 * 1024 * 1024)
        assert (await shop.http.post(path, content=large)).status_code == 200
        said = f"content-length: {8 * 1024 * 1024 + 1}"
        assert b" 413 " in await first_line(shop, f"POST {path} HTTP/1.1", said)


async def first_line(shop: Shop, *lines: str) -> bytes:
    """What is answered to a head whose body does not come."""
    port = shop.http.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "\r\n".join([lines[0], f"host: localhost:{port}", *lines[1:], "", ""])
    writer.write(head.encode())
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    return line


async def test_numbers_are_the_same_for_each_environment() -> None:
    async with opened() as shop:
        await shop.run()
        texts = [
            (await shop.http.get(path)).text for path in ("/metrics", "/v1/prom/any")
        ]
        assert 'durable_runs_completed_total{function="order"} 1' in texts[1]
        assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/cancellations"),
        ("GET", "/v1/cancellations"),
        ("DELETE", "/v1/cancellations/x"),
        ("GET", "/v1/apps/shop/functions"),
        ("POST", "/v1/runs/x/metadata"),
        ("POST", "/v1/traces/userland"),
        ("GET", "/v1/prom/any"),
    ],
)
async def test_a_key_is_wanted(method: str, path: str) -> None:
    async with opened(signing_keys=(SIGNING_KEY,)) as shop:
        assert (await shop.http.request(method, path)).status_code == 401
        bearer = {"authorization": f"Bearer {SIGNING_KEY}"}
        answer = await shop.http.request(method, path, headers=bearer)
        assert answer.status_code != 401
