"""What is promised of events: semantics section 1, conformance cases E1, T1, T2."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


async def nothing(ctx: durable.Context) -> None:
    del ctx


async def test_e1_an_id_sent_five_times_starts_one_run(world: Any) -> None:
    world.function(nothing, on="test/start")
    engine = await world.open()
    ids = [
        (await engine.send(durable.Event("test/start", id="same")))[0] for _ in range(5)
    ]
    (other,) = await engine.send(durable.Event("test/start", id="other"))
    await world.settle()
    runs = {run.id for event in ids for run in await engine.events.runs(event)}
    assert len(runs) == 1
    assert len(await engine.runs.list()) == 2
    assert (await world.run_of(other)).id not in runs


async def test_t1_wildcards_match_by_the_parts_of_a_name(world: Any) -> None:
    seen: list[str] = []

    def listen(pattern: str) -> None:
        async def handler(ctx: durable.Context) -> None:
            await ctx.step.run("note", seen.append, f"{pattern} {ctx.event.name}")

        world.function(handler, id=pattern, on=pattern)

    for pattern in ("shop/*", "shop/order.*", "shop/order.placed", "blog/*"):
        listen(pattern)
    await world.open()
    await world.send(durable.Event("shop/order.placed"))
    assert sorted(seen) == [
        "shop/* shop/order.placed",
        "shop/order.* shop/order.placed",
        "shop/order.placed shop/order.placed",
    ]


async def test_t2_each_of_several_triggers_starts_the_function(world: Any) -> None:
    seen: list[str] = []

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("note", seen.append, ctx.event.name)

    world.function(handler, on=["a/one", durable.On("a/two"), "b/*"])
    await world.open()
    await world.send(
        *(durable.Event(name) for name in ("a/one", "a/two", "a/three", "b/x"))
    )
    assert sorted(seen) == ["a/one", "a/two", "b/x"]


async def test_events_of_one_send_are_all_accepted_or_none(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.EventRefused, match="durable/x"):
        await engine.send(durable.Event("fine"), durable.Event("durable/x"))
    assert await engine.events.list() == []


async def test_an_event_that_nobody_listens_to_is_told_however_it_is_sent(
    world: Any, caplog: Any
) -> None:
    caplog.set_level("DEBUG", "durable")
    engine = await world.open()
    await engine.send(durable.Event("one"))
    await engine.send_from("source", 1, [durable.Event("two")])
    await asyncio.to_thread(engine.send_sync, durable.Event("three"))
    await asyncio.to_thread(asyncio.run, engine.send(durable.Event("four")))
    told = [r.getMessage() for r in caplog.records if r.name == "durable"]
    assert [text.split("'")[1] for text in told] == ["one", "two", "three", "four"]


@pytest.mark.parametrize("name", ["durable/x", "Inngest/function.failed"])
async def test_names_of_the_engine_are_refused(world: Any, name: str) -> None:
    engine = await world.open()
    with pytest.raises(durable.EventRefused):
        await engine.send(durable.Event(name))


async def test_an_event_too_large_is_refused_with_its_limit(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.DurableError, match="4194304"):
        await engine.send(durable.Event("big", {"text": "x" * 4_194_304}))


async def test_an_event_too_deep_is_refused_with_its_limit(world: Any) -> None:
    engine = await world.open()
    data: dict[str, Any] = {}
    for _ in range(64):
        data = {"inner": data}
    with pytest.raises(durable.DurableError, match="64"):
        await engine.send(durable.Event("deep", data))


async def test_data_that_is_no_object_is_refused(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.EventRefused, match="object"):
        await engine.send(durable.Event("list", [1, 2]))


async def test_an_event_of_the_future_starts_its_run_then(world: Any) -> None:
    world.function(nothing, on="test/start")
    engine = await world.open()
    at = engine.now_ms() + 3_600_000
    (event,) = await world.send(durable.Event("test/start", ts=at))
    assert (await world.run_of(event)).status == "parked"
    await engine.advance("59m")
    assert (await world.run_of(event)).started_at is None
    await engine.advance("1m")
    assert (await world.run_of(event)).status == "completed"


async def test_runs_start_in_the_order_of_the_events(world: Any) -> None:
    seen: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("note", seen.append, ctx.event.data["n"])

    world.function(handler, on="test/start", concurrency=1)
    await world.open()
    await world.send(*(durable.Event("test/start", {"n": n}) for n in range(20)))
    assert seen == list(range(20))


async def test_an_event_is_read_back_as_it_was_sent(world: Any) -> None:
    engine = await world.open()
    sent = durable.Event("a/b", {"x": [1, None]}, id="mine", ts=5, v="2", user={"u": 1})
    (event_id,) = await engine.send(sent)
    received = await engine.events.get(event_id)
    assert received.event == sent
    assert received.id == event_id
    assert [one.id for one in await engine.events.list(name="a/b")] == [event_id]


async def test_a_send_repeated_with_its_id_gets_the_same_answer(world: Any) -> None:
    world.function(nothing, on="test/start")
    engine = await world.open()
    (first,) = await world.send(durable.Event("test/start", id="same"))
    (again,) = await world.send(durable.Event("test/start", id="same"))
    assert again == first
    assert len(await engine.runs.list()) == 1


async def test_what_was_acknowledged_is_there_after_a_restart(world: Any) -> None:
    world.function(nothing, on="test/start")
    engine = await world.open()
    ids = await engine.send([durable.Event("test/start") for _ in range(10)])
    await world.restart()
    await world.settle()
    for event_id in ids:
        assert (await world.run_of(event_id)).status == "completed"


async def test_e3_of_a_hundred_sends_at_once_one_starts_a_run(world: Any) -> None:
    world.function(nothing, on="test/start")
    engine = await world.open()
    sends = (engine.send(durable.Event("test/start", id="same")) for _ in range(100))
    answers = await asyncio.gather(*sends)
    await world.settle()
    assert len({event_id for (event_id,) in answers}) == 1
    assert len(await engine.runs.list()) == 1


async def test_t2_one_trigger_that_holds_is_enough_and_starts_one_run(
    world: Any,
) -> None:
    on = [
        durable.On("a/b", if_="event.data.n > 'x'"),  # of a number it is an error
        durable.On("a/*", if_="event.data.n < 3"),
        "c/d",
    ]
    world.function(nothing, on=on)
    engine = await world.open()
    data = [("a/b", 1), ("a/b", 3), ("a/b", "y"), ("a/c", 2), ("c/d", 9), ("c/e", 1)]
    ids = await world.send(*(durable.Event(name, {"n": n}) for name, n in data))
    counts = [len(await engine.events.runs(event_id)) for event_id in ids]
    assert counts == [1, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("value", [None, 0, 1, "", "true", [], {}, "false"])
async def test_a_condition_that_is_no_boolean_starts_nothing(
    world: Any, value: Any
) -> None:
    world.function(nothing, on=durable.On("test/start", if_="event.data.v"))
    engine = await world.open()
    ids = await world.send(
        durable.Event("test/start", {"v": value}), durable.Event("test/start")
    )
    assert [await engine.events.runs(event_id) for event_id in ids] == [[], []]


async def test_a_call_starts_a_function_whatever_its_triggers_ask(world: Any) -> None:
    async def child(ctx: durable.Context) -> str:
        return ctx.event.name

    function = world.function(child, on=durable.On("test/start", if_="false"))
    engine = await world.open()
    assert await engine.invoke(function) == "durable/function.invoked"


async def test_a_source_read_again_counts_once(world: Any) -> None:
    engine = await world.open()
    assert await engine.source_position("file") is None
    await engine.send_from("file", 2, [durable.Event("a"), durable.Event("b")])
    await engine.send_from("file", 2, [durable.Event("a"), durable.Event("b")])
    await engine.send_from("file", 3, [durable.Event("c")])
    assert await engine.source_position("file") == 3
    assert [one.event.name for one in await engine.events.list()] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("source", "position", "why"),
    [
        ("file", -1, "a whole number from 0"),
        ("file", 2**64, "a whole number from 0"),
        ("file", "1", "a whole number from 0"),
        ("file", True, "a whole number from 0"),
        ("", 1, "not empty"),
        (None, 1, "not empty"),
        ("\ud800", 1, "half a character"),
    ],
)
async def test_a_source_that_cannot_be_one_is_refused_and_harms_no_other(
    world: Any, source: Any, position: Any, why: str
) -> None:
    engine = await world.open()
    with pytest.raises(durable.UsageError, match=why):
        await engine.send_from(source, position, [durable.Event("a")])
    with pytest.raises(durable.UsageError, match="half a character"):
        await engine.invoke("\ud800")
    assert await engine.send_from("file", 2**64 - 1, [durable.Event("a")])
    assert len(await engine.events.list()) == 1
