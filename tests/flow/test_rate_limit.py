"""Rate limit and idempotency: L1, L2, what is dropped is listed, missing keys, restarts; conditions of triggers."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def work(ctx: durable.Context) -> Any:
    return ctx.event.data.get("n")


async def play(world: Any, *data: dict[str, Any]) -> list[Any]:
    """The results of the runs that events with these data start, one event after the other."""
    ids = [(await world.send(durable.Event("test/start", one)))[0] for one in data]
    return [
        run.result
        for event_id in ids
        for run in await world.engine.events.runs(event_id)
    ]


async def test_l1_the_second_of_a_day_is_dropped_and_other_keys_are_not(
    world: Any,
) -> None:
    limit = durable.RateLimit(1, "24h", key="event.data.who")
    world.function(work, on="test/start", rate_limit=limit)
    engine = await world.open()
    data = [{"who": who, "n": n} for n, who in enumerate("xxyxy")]
    assert await play(world, *data) == [0, 2]
    listed = await engine.events.list(limit=50)
    assert [event.skipped for event in listed[::-1]] == [
        {},
        {"work": "rate_limit"},
        {},
        {"work": "rate_limit"},
        {"work": "rate_limit"},
    ]
    await engine.advance("23h")
    assert await play(world, {"who": "x", "n": 5}) == []
    await engine.advance("1h")
    assert await play(world, {"who": "x", "n": 6}) == [6]


async def test_l2_all_of_the_limit_may_come_at_once_and_then_one_an_interval(
    world: Any,
) -> None:
    world.function(work, on="test/start", rate_limit=durable.RateLimit(10, "1h"))
    engine = await world.open()
    assert len(await play(world, *[{"n": n} for n in range(30)])) == 10
    await engine.advance("6m")
    assert len(await play(world, {"n": 1}, {"n": 2})) == 1


async def test_a_rate_limit_holds_over_a_restart(world: Any) -> None:
    world.function(work, on="test/start", rate_limit=durable.RateLimit(1, "1h"))
    await world.open()
    assert await play(world, {"n": 1}) == [1]
    await world.restart()
    assert await play(world, {"n": 2}) == []
    await world.restart()
    await world.engine.advance("1h")
    assert await play(world, {"n": 3}) == [3]


async def test_an_event_without_the_key_is_not_limited(world: Any) -> None:
    limit = durable.RateLimit(1, "1h", key="event.data.who")
    world.function(work, on="test/start", rate_limit=limit)
    await world.open()
    assert await play(world, {"n": 1}, {"n": 2}, {"n": 3, "who": None}) == [1, 2, 3]


async def test_one_run_in_a_day_for_an_idempotency_key(world: Any) -> None:
    world.function(work, on="test/start", idempotency="event.data.cart")
    engine = await world.open()
    data = [
        {"n": 1, "cart": "a"},
        {"n": 2, "cart": "a"},
        {"n": 3, "cart": "b"},
        {"n": 4},
    ]
    assert await play(world, *data) == [1, 3, 4]
    (newest, *_) = await engine.events.list(limit=1)
    assert newest.skipped == {}
    await engine.advance("24h")
    assert await play(world, {"n": 5, "cart": "a"}) == [5]


async def test_whoever_invokes_a_limited_function_is_told(world: Any) -> None:
    function = world.function(work, rate_limit=durable.RateLimit(1, "1h"))
    engine = await world.open()
    assert await engine.invoke(function, {"n": 1}) == 1
    with pytest.raises(durable.InvokeError, match="its rate_limit let no more through"):
        await engine.invoke(function, {"n": 2})


async def test_a_trigger_s_condition_lets_only_true_pass(world: Any) -> None:
    on = durable.On("test/start", if_="event.data.n > 2")
    world.function(work, on=on)
    await world.open()
    data = [{"n": 1}, {"n": 3}, {}, {"n": "9"}, {"n": 2.5}]
    assert await play(world, *data) == [3, 2.5]


@pytest.mark.parametrize(
    "key", ["event.data.off", "event.data.n / 0", "event.data.n.deeper"]
)
async def test_a_key_that_is_false_or_fails_limits_nothing(
    world: Any, key: str
) -> None:
    limit = durable.RateLimit(1, "1h", key=key)
    world.function(work, on="test/start", rate_limit=limit)
    engine = await world.open()
    data = [{"n": n, "off": False} for n in range(3)]
    assert await play(world, *data) == [0, 1, 2]
    assert engine.stats()["functions"]["work"]["missing_keys"] == 3
