"""`on_failure`: called once for each failed run, as a run of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


class OddError(Exception):
    """What handlers here raise."""


async def broken(ctx: durable.Context) -> None:
    text = f"cannot do {ctx.event.data.get('n')}"
    raise OddError(text)


class Desk:
    """Where failures are told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def tell(self, ctx: durable.Context) -> str:
        self.told.append(ctx.event)
        return "told"


def runs_of(runs: list[durable.Run], function: str) -> list[durable.Run]:
    return [run for run in runs if run.function == function]


async def test_a_failed_run_calls_its_handler_once(world: Any) -> None:
    desk = Desk()
    world.function(broken, on="test/start", retries=0, on_failure=desk.tell)
    engine = await world.open()
    event_id = (await world.send(durable.Event("test/start", {"n": 3}, ts=1000)))[0]
    (failed,) = await engine.events.runs(event_id)
    event = desk.told[0]
    assert event.name == "durable/function.failed"
    assert event.id == failed.id
    data = event.data
    assert (data["function_id"], data["run_id"]) == ("broken", failed.id)
    started = {"name": "test/start", "id": event_id, "ts": 1000, "data": {"n": 3}}
    assert data["event"] == started
    assert data["events"] == [started]
    error = data["error"]
    assert (error["name"], error["message"]) == ("OddError", "cannot do 3")
    assert "raise OddError" in error["stack"]
    (own,) = runs_of(await engine.runs.list(), "broken-failure")
    assert (own.status, own.result) == ("completed", "told")


async def test_it_has_steps_and_retries_as_any_run(world: Any) -> None:
    calls: list[str] = []

    async def refund(n: int) -> str:
        calls.append("refund")
        return f"refunded {n}"

    async def post() -> None:
        calls.append("post")
        if calls.count("post") == 1:
            text = "the post is shut"
            raise OddError(text)

    async def make_good(ctx: durable.Context) -> str:
        done = await ctx.step.run(
            "refund", refund, ctx.event.data["event"]["data"]["n"]
        )
        await ctx.step.sleep("cool off", "1h")
        await ctx.step.run("post", post)
        return done

    world.function(broken, on="test/start", retries=0, on_failure=make_good)
    engine = await world.open()
    await world.send(durable.Event("test/start", {"n": 7}))
    await engine.advance("1h")
    await world.restart()
    await world.engine.advance("1m")
    (own,) = runs_of(await world.engine.runs.list(), "broken-failure")
    assert (own.status, own.result) == ("completed", "refunded 7")
    assert calls == ["refund", "post", "post"]


async def test_a_plain_handler_does_as_well(world: Any) -> None:
    told: list[str] = []

    def tell(ctx: durable.SyncContext) -> None:
        told.append(ctx.step.run("name", lambda: ctx.event.data["error"]["name"]))

    world.function(broken, on="test/start", retries=0, on_failure=tell)
    engine = await world.open()
    await world.send(durable.Event("test/start"))
    await engine.join("30s")
    assert told == ["OddError"]


async def test_only_the_last_try_counts_as_a_failure(world: Any) -> None:
    desk = Desk()
    world.function(broken, on="test/start", retries=2, on_failure=desk.tell)
    engine = await world.open()
    await world.send(durable.Event("test/start"))
    assert not desk.told
    await engine.advance("20s")
    assert not desk.told
    await engine.advance("5m")
    assert len(runs_of(await engine.runs.list(), "broken-failure")) == 1


async def test_steps_that_fail_at_once_call_it_once(world: Any) -> None:
    async def fail(n: int) -> None:
        text = f"step {n}"
        raise durable.NonRetriableError(text)

    async def both(ctx: durable.Context) -> None:
        await asyncio.gather(*[ctx.step.run(f"s{n}", fail, n) for n in range(4)])

    desk = Desk()
    world.function(both, on="test/start", retries=0, on_failure=desk.tell)
    engine = await world.open()
    await world.send(durable.Event("test/start"))
    (own,) = runs_of(await engine.runs.list(), "both-failure")
    assert own.status == "completed"
    assert desk.told[0].data["error"]["name"] == "StepError"


async def test_each_function_hears_of_its_own_failures(world: Any) -> None:
    desks = {"one": Desk(), 'an "odd" \\ id': Desk()}
    for name, desk in desks.items():
        world.function(
            broken, id=name, on=f"test/{name[:2]}", retries=0, on_failure=desk.tell
        )
    world.function(broken, id="without", on="test/on", retries=0)
    await world.open()
    await world.send(durable.Event("test/on"), durable.Event("test/an"))
    heard = {
        name: {event.data["function_id"] for event in desk.told}
        for name, desk in desks.items()
    }
    assert heard == {name: {name} for name in desks}


async def test_what_the_engine_fails_counts_too(world: Any) -> None:
    async def waiter(ctx: durable.Context) -> None:
        await ctx.step.wait_for_signal("ask", "one", timeout="1h")

    desk = Desk()
    world.function(waiter, on="test/start", on_failure=desk.tell)
    engine = await world.open()
    await world.send(durable.Event("test/start"))
    await world.send(durable.Event("test/start"))
    (own,) = runs_of(await engine.runs.list(), "waiter-failure")
    assert own.status == "completed"
    assert desk.told[0].data["error"]["name"] == "SignalConflict"


async def test_a_run_that_is_called_off_has_not_failed(world: Any) -> None:
    async def sleeper(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    desk = Desk()
    timeouts = durable.Timeouts(finish="30m")
    world.function(sleeper, on="test/start", timeouts=timeouts, on_failure=desk.tell)
    engine = await world.open()
    assert await engine.runs.cancel(await world.start())
    late = await world.start()
    await engine.advance("2h")
    assert (await world.get(late)).status == "cancelled"
    assert not desk.told
    assert not runs_of(await engine.runs.list(), "sleeper-failure")


async def test_a_handler_that_fails_calls_nobody(world: Any) -> None:
    desk = Desk()
    world.function(broken, on="test/start", retries=0, on_failure=broken)
    world.function(desk.tell, id="all", on="durable/function.failed")
    engine = await world.open()
    await world.send(durable.Event("test/start"))
    await engine.advance("1d")
    runs = await engine.runs.list()
    assert sorted((run.function, run.status) for run in runs) == [
        ("all", "completed"),
        ("broken", "failed"),
        ("broken-failure", "failed"),
    ]


async def test_a_batch_tells_all_of_its_events(world: Any) -> None:
    desk = Desk()
    batch = durable.Batch(3, "1h")
    world.function(
        broken, on="test/start", retries=0, batch=batch, on_failure=desk.tell
    )
    await world.open()
    await world.send(*[durable.Event("test/start", {"n": n}) for n in range(3)])
    data = desk.told[0].data
    assert [event["data"]["n"] for event in data["events"]] == [0, 1, 2]
    assert data["event"] == data["events"][0]


async def test_a_handler_that_a_deploy_brings_hears_of_later_failures(
    world: Any,
) -> None:
    desk = Desk()
    world.function(broken, on="test/start", retries=0)
    engine = await world.open()
    await world.send(durable.Event("test/start"))
    await world.close()
    world.function(broken, on="test/start", retries=0, on_failure=desk.tell)
    engine = await world.open()
    await world.settle()
    assert not desk.told
    await world.send(durable.Event("test/start"))
    assert len(runs_of(await engine.runs.list(), "broken-failure")) == 1


async def test_an_event_of_four_megabytes_is_told_once_and_whole(world: Any) -> None:
    desk = Desk()
    world.function(broken, on="test/start", retries=0, on_failure=desk.tell)
    await world.open()
    text = "x" * (4 * 1024 * 1024 - 100)
    await world.send(durable.Event("test/start", {"n": 1, "text": text}))
    data = desk.told[0].data
    assert data["event"]["data"]["text"] == text
    assert [event["data"] for event in data["events"]] == [None]


async def test_join_waits_for_it(world: Any) -> None:
    desk = Desk()
    world.function(broken, on="test/start", retries=0, on_failure=desk.tell)
    engine = await world.open(clock="system")
    for n in range(20):
        await engine.send(durable.Event("test/start", {"n": n}))
        await engine.join("30s")
        assert {event.data["event"]["data"]["n"] for event in desk.told} == {
            *range(n + 1)
        }


async def test_f3_what_limits_a_function_does_not_limit_its_handler(world: Any) -> None:
    desk = Desk()
    limit = durable.RateLimit(1, "1h", key="event.data.n")
    world.function(
        broken, on="test/start", retries=0, rate_limit=limit, on_failure=desk.tell
    )
    await world.open()
    runs = [await world.start(data={"n": n}) for n in (1, 2)]
    await world.send(durable.Event("test/start", {"n": 1}))
    assert {event.data["run_id"] for event in desk.told} == set(runs)
