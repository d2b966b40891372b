"""Concurrency: K1, K2, keys and scopes, two limits, limits that a deploy changes."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


def events(*names: str, count: int = 6, **more: Any) -> list[durable.Event[Any]]:
    return [
        durable.Event("test/start", {"who": who, **more})
        for _ in range(count)
        for who in names
    ]


def worker(gauge: Any, *, name: str = "work") -> Any:
    async def handler(ctx: durable.Context) -> None:
        async def step() -> None:
            async with gauge.count(name, (name, ctx.event.data.get("who")), "all"):
                pass

        await ctx.step.run("one", step)
        await ctx.step.sleep("rest", "1m")
        await ctx.step.run("two", step)

    handler.__name__ = name
    return handler


async def play(world: Any, sent: list[durable.Event[Any]]) -> None:
    await world.send(*sent)
    await world.engine.advance("1h")
    runs = await world.engine.runs.list(limit=500)
    assert {run.status for run in runs} == {"completed"}


async def test_k1_a_limit_of_one_never_has_two_in_flight(
    world: Any, gauge: Any
) -> None:
    world.function(worker(gauge, name="a"), on="test/start", concurrency=1)
    world.function(worker(gauge, name="b"), on="test/start", concurrency=2)
    await world.open()
    await play(world, events("x"))
    assert (gauge.most["a"], gauge.most["b"]) == (1, 2)
    assert (gauge.total["a"], gauge.total["b"]) == (12, 12)


async def test_k1_each_value_of_a_key_has_a_limit_of_its_own(
    world: Any, gauge: Any
) -> None:
    limit = durable.Concurrency(2, key="event.data.who")
    world.function(worker(gauge), on="test/start", concurrency=limit)
    await world.open()
    await play(world, events("x", "y", "z"))
    most = [gauge.most["work", who] for who in "xyz"]
    assert (most, gauge.most["work"]) == ([2, 2, 2], 6)


async def test_k2_functions_share_the_limit_of_an_account_key(
    world: Any, gauge: Any
) -> None:
    for name, limit in (("a", 1), ("b", 1)):
        shared = durable.Concurrency(limit, key='"global"', scope="account")
        world.function(worker(gauge, name=name), on="test/start", concurrency=shared)
    await world.open()
    await play(world, events("x", count=3))
    assert (gauge.most["all"], gauge.total["all"]) == (1, 12)


async def test_each_function_applies_its_own_number_to_a_shared_key(
    world: Any, gauge: Any
) -> None:
    for name, limit in (("narrow", 1), ("wide", 3)):
        shared = durable.Concurrency(limit, key="event.data.who", scope="env")
        world.function(worker(gauge, name=name), on="test/start", concurrency=shared)
    await world.open()
    await play(world, events("x"))
    assert (gauge.most["narrow"], gauge.most["all"]) == (1, 3)


async def test_two_limits_hold_at_the_same_time(world: Any, gauge: Any) -> None:
    limits = [
        durable.Concurrency(3),
        durable.Concurrency(1, key="event.data.who"),
    ]
    world.function(worker(gauge), on="test/start", concurrency=limits)
    await world.open()
    await play(world, events(*"abcde"))
    assert gauge.most["work"] == 3
    assert {gauge.most["work", who] for who in "abcde"} == {1}


async def test_events_without_the_key_share_a_bucket_of_their_own(
    world: Any, gauge: Any
) -> None:
    limit = durable.Concurrency(1, key="event.data.missing")
    world.function(worker(gauge), on="test/start", concurrency=limit)
    await world.open()
    await play(world, events("x", "y"))
    assert gauge.most["work"] == 1


async def test_sleeping_runs_hold_no_slot(world: Any, gauge: Any) -> None:
    world.function(worker(gauge), on="test/start", concurrency=1)
    engine = await world.open()
    await world.send(*events("x"))
    assert gauge.total["work"] == 6, "all have reached their sleep"
    assert engine.stats()["functions"]["work"]["parked"]["sleep"] == 6


async def test_a_deploy_changes_a_limit_at_once_and_keys_stay(
    world: Any, gauge: Any
) -> None:
    handler = worker(gauge)
    keyed = durable.Concurrency(3, key="event.data.who")
    world.function(handler, on="test/start", concurrency=keyed)
    await world.open()
    await world.send(*events("x", "y"))
    assert gauge.most["work", "x"] == 3
    gauge.most.clear()
    keyed = durable.Concurrency(1, key="event.data.who")
    world.function(handler, on="test/start", concurrency=keyed)
    await world.restart()
    await world.engine.advance("1h")
    assert (gauge.most["work", "x"], gauge.total["work"]) == (1, 24)
