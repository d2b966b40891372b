"""What is promised of channels: each message once and in order, also to who comes late or comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

import durable
from durable import Message


pytestmark = pytest.mark.asyncio


async def take(messages: AsyncIterator[Message], count: int) -> list[Message]:
    """The next so many."""
    return [await asyncio.wait_for(anext(messages), 20) for _ in range(count)]


async def all_of(messages: AsyncIterator[Message]) -> list[Message]:
    """All of a subscription that ends."""
    async with asyncio.timeout(20):
        return [message async for message in messages]


def data_of(messages: list[Message]) -> list[Any]:
    return [message.data for message in messages]


async def test_messages_come_in_order_with_all_that_was_published(world: Any) -> None:
    engine = await world.open()
    listening = engine.subscribe("orders")
    first = asyncio.ensure_future(take(listening, 1))
    await world.settle()
    message_id = await engine.publish("orders", "placed", {"n": 1})
    (message,) = await first
    assert message.id == message_id
    assert (message.channel, message.topic) == ("orders", "placed")
    assert message.data == {"n": 1}
    assert message.at is not None
    assert round(message.at.timestamp() * 1000) == engine.now_ms()
    for number in range(2, 600):
        await engine.publish("orders", "placed", number)
    assert data_of(await take(listening, 598)) == list(range(2, 600))
    await listening.aclose()


async def test_who_comes_late_is_given_what_is_kept_and_who_wants_now_is_not(
    world: Any,
) -> None:
    engine = await world.open()
    for number in range(3):
        await engine.publish("news", "a", number)
    assert data_of(await take(engine.subscribe("news"), 3)) == [0, 1, 2]
    fresh = engine.subscribe("news", after="now")
    await engine.publish("news", "a", 3)
    assert data_of(await take(fresh, 1)) == [3]


async def test_who_comes_back_goes_on_behind_the_last_it_saw_also_after_a_restart(
    world: Any,
) -> None:
    engine = await world.open()
    for number in range(10):
        await engine.publish("news", "a", number)
    seen = await take(engine.subscribe("news"), 4)
    await world.restart()
    following = world.engine.subscribe("news", after=seen[-1].id)
    assert data_of(await take(following, 6)) == [4, 5, 6, 7, 8, 9]
    await world.engine.publish("news", "a", 10)
    assert data_of(await take(following, 1)) == [10]


async def test_only_the_topics_that_are_wanted_come(world: Any) -> None:
    engine = await world.open()
    for number, topic in enumerate(["a", "b", "c", "a"]):
        await engine.publish("news", topic, number)
    assert data_of(await take(engine.subscribe("news", "a"), 2)) == [0, 3]
    assert data_of(await take(engine.subscribe("news", ["b", "c"]), 2)) == [1, 2]


async def test_channels_know_nothing_of_each_other(world: Any) -> None:
    engine = await world.open()
    for number in range(4):
        await engine.publish(f"channel {number % 2}", "a", number)
    assert data_of(await take(engine.subscribe("channel 0"), 2)) == [0, 2]
    assert data_of(await take(engine.subscribe("channel 1"), 2)) == [1, 3]


async def test_a_publisher_never_waits_and_who_falls_behind_is_told_what_is_gone(
    world: Any,
) -> None:
    engine = await world.open()
    slow = engine.subscribe("news", "a")
    await engine.publish("news", "a", -1)
    (seen,) = await take(slow, 1)
    await asyncio.gather(*(engine.publish("news", "a", n) for n in range(3000)))
    missed, *rest = await take(slow, 1 + 900)
    assert missed.topic == "$missed"
    assert missed.data["count"] == rest[0].data
    assert 3000 - 1024 <= rest[0].data <= 3000 - 900
    assert data_of(rest) == list(range(rest[0].data, rest[0].data + 900))
    again = await take(engine.subscribe("news", "a", after=seen.id), 2)
    assert again == [missed, rest[0]]
    behind = await take(engine.subscribe("news", "a", after=missed.id), 1)
    assert behind == [rest[0]]


async def test_a_ring_has_room_for_so_many_bytes(world: Any) -> None:
    engine = await world.open()
    large = "x" * 500_000
    for number in range(12):
        await engine.publish("news", str(number), large)
    missed, first = await take(engine.subscribe("news"), 2)
    assert missed.topic == "$missed"
    assert missed.data == {"count": 4}
    assert first.topic == "4"
    with pytest.raises(durable.PayloadTooLarge, match="the limit is 524288"):
        await engine.publish("news", "a", "x" * 524_288)


async def test_what_nobody_publishes_on_is_forgotten_in_time(world: Any) -> None:
    engine = await world.open()
    await engine.publish("news", "a", 1)
    await engine.advance("40m")
    await engine.publish("news", "a", 2)
    await engine.advance("40m")
    await engine.publish("news", "a", 3)
    missed, *kept = await take(engine.subscribe("news"), 3)
    assert (missed.topic, data_of(kept)) == ("$missed", [2, 3])
    await engine.advance("2h")
    last = kept[-1]
    await engine.publish("news", "a", 4)
    assert data_of(await take(engine.subscribe("news"), 1)) == [4]
    missed, fresh = await take(engine.subscribe("news", after=last.id), 2)
    assert (missed.topic, fresh.data) == ("$missed", 4)


# --- in a run


async def test_a_run_publishes_once_however_often_its_code_is_gone_through(
    world: Any,
) -> None:
    ids: list[str] = []

    async def teller(ctx: durable.Context) -> None:
        for number in range(3):
            ids.append(await ctx.publish("news", "progress", number))
            await ctx.step.sleep("rest", "1m")

    world.function(teller, on="test/start")
    await world.open()
    run_id = await world.start()
    await world.engine.advance("90s")
    await world.restart()
    await world.engine.advance("5m")
    run = await world.get(run_id)
    assert run.status == "completed"
    assert [*run.steps] == [
        "publish progress",
        "rest",
        "publish progress:1",
        "rest:1",
        "publish progress:2",
        "rest:2",
    ]
    told = await take(world.engine.subscribe("news"), 3)
    assert data_of(told) == [0, 1, 2]
    assert [message.id for message in told] == [*dict.fromkeys(ids)]
    await world.engine.publish("news", "end")
    assert len(await take(world.engine.subscribe("news"), 4)) == 4


async def test_inside_a_step_each_try_publishes_and_what_is_remembered_does_not(
    world: Any,
) -> None:
    async def work(ctx: durable.Context) -> str:
        await ctx.publish("news", "try", ctx.attempt)
        if ctx.attempt == 0:
            raise OSError("no line")
        return "done"

    async def teller(ctx: durable.Context) -> str:
        said = await ctx.step.run("work", work, ctx)
        await ctx.step.sleep("rest", "1m")
        return said

    flat = durable.Retries(2, durable.Backoff("1s", jitter=0))
    world.function(teller, on="test/start", retries=flat)
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("5m")
    run = await world.get(run_id)
    assert run.result == "done"
    assert [*run.steps] == ["work", "rest"]
    await engine.publish("news", "end")
    assert data_of(await take(engine.subscribe("news"), 3)) == [0, 1, None]


async def test_a_plain_handler_publishes_too(world: Any) -> None:
    def work(ctx: durable.SyncContext) -> str:
        return ctx.publish("news", "inside", 2)

    def teller(ctx: durable.SyncContext) -> str:
        ctx.publish("news", "outside", 1)
        inside = ctx.step.run("work", work, ctx)
        ctx.step.sleep("rest", "1m")
        return inside

    world.function(teller, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("5m")
    run = await world.get(run_id)
    told = await take(engine.subscribe("news"), 2)
    assert data_of(told) == [1, 2]
    assert run.result == told[1].id


# --- a run's own channel


def counting(world: Any) -> None:
    async def count(n: int) -> int:
        if n < 0:
            text = "below nothing"
            raise durable.NonRetriableError(text)
        return n

    async def counter(ctx: durable.Context) -> str:
        await ctx.step.run("one", count, 1)
        await ctx.publish(ctx.run_id, "progress", {"percent": 50})
        await ctx.step.sleep("rest", "1m")
        await ctx.step.run("last", count, ctx.event.data["last"])
        return "counted"

    world.function(counter, on="test/start")


STORY = [
    (
        "$step",
        {"step": "one", "kind": "run", "status": "completed", "result": 1},
    ),
    ("progress", {"percent": 50}),
    ("$step", {"step": "rest", "kind": "sleep", "status": "completed", "result": None}),
    ("$step", {"step": "last", "kind": "run", "status": "completed", "result": 2}),
    ("$run", {"status": "completed", "result": "counted"}),
]


def story_of(messages: list[Message]) -> list[tuple[str, Any]]:
    """What a run's channel said, without the steps that only published."""
    return [
        (message.topic, message.data)
        for message in messages
        if not (
            message.topic == "$step" and message.data["step"].startswith("publish ")
        )
    ]


async def test_a_runs_own_channel_tells_its_steps_and_its_end_as_they_come(
    world: Any,
) -> None:
    counting(world)
    engine = await world.open()
    run_id = await world.start(data={"last": 2})
    listening = engine.subscribe(run_id)
    begun = await take(listening, 3)
    assert {topic for topic, _ in story_of(begun)} == {"$step", "progress"}
    assert "$run" not in {message.topic for message in begun}
    rest = asyncio.ensure_future(all_of(listening))
    await engine.advance("1m")
    assert sorted(map(str, story_of(begun + await rest))) == sorted(map(str, STORY))


async def test_who_means_a_run_that_is_none_is_told(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """And waits as on any channel, which may have any name."""
    counting(world)
    engine = await world.open()
    (event_id,) = await world.send(durable.Event("test/start", {"last": 2}))
    run = await world.run_of(event_id)
    nobody = "01HF00000000000000000000AA"
    for channel, says in ((nobody, "no such run in this store"), (event_id, run.id)):
        listening = engine.subscribe(channel)
        first = asyncio.ensure_future(take(listening, 1))
        while not caplog.records:
            await world.settle()
        (warning,) = caplog.records
        assert f"'{channel}' has the form of a run's id" in warning.getMessage()
        assert says in warning.getMessage()
        await engine.publish(channel, "news", 7)
        assert data_of(await first) == [7]
        caplog.clear()
        assert data_of(await take(engine.subscribe(channel), 1)) == [7]
    assert await take(engine.subscribe(run.id), 1)
    assert not caplog.records


async def test_an_id_on_a_runs_channel_begins_as_that_which_publish_returned(
    world: Any,
) -> None:
    counting(world)
    engine = await world.open()
    run_id = await world.start(data={"last": 2})
    await engine.advance("1s")
    published = await engine.publish(run_id, "news")
    told = await take(engine.subscribe(run_id, "news"), 1)
    assert told[0].id.partition("-")[0] == published.partition("-")[0]
    assert told[0].id != published, "it also says how much of the run came before it"


async def test_who_comes_when_a_run_has_ended_is_told_all_of_it_from_its_records(
    world: Any,
) -> None:
    counting(world)
    engine = await world.open()
    run_id = await world.start(data={"last": 2})
    await engine.advance("1m")
    await world.restart()
    told = await all_of(world.engine.subscribe(run_id))
    assert sorted(map(str, story_of(told))) == sorted(map(str, STORY))
    assert story_of(told)[-1] == STORY[-1]
    assert [one.at for one in told] == sorted(one.at for one in told if one.at)
    for place, message in enumerate(told):
        behind = await all_of(world.engine.subscribe(run_id, after=message.id))
        assert behind == told[place + 1 :]
    ends = await all_of(world.engine.subscribe(run_id, "$run"))
    assert story_of(ends) == STORY[-1:]
    assert await all_of(world.engine.subscribe(run_id, after="now")) == []


async def test_a_failure_is_told_with_its_error(world: Any) -> None:
    counting(world)
    engine = await world.open()
    run_id = await world.start(data={"last": -1})
    listening = engine.subscribe(run_id, ["$step", "$run"])
    rest = asyncio.ensure_future(all_of(listening))
    await engine.advance("1m")
    step, run = (await rest)[-2:]
    error = {"name": "NonRetriableError", "message": "below nothing"}
    assert step.data == {
        "step": "last",
        "kind": "run",
        "status": "failed",
        "error": error,
    }
    assert run.data["status"] == "failed"
    assert "below nothing" in run.data["error"]["message"]


async def test_a_run_that_is_called_off_ends_its_channel(world: Any) -> None:
    counting(world)
    engine = await world.open()
    run_id = await world.start(data={"last": 1})
    rest = asyncio.ensure_future(all_of(engine.subscribe(run_id, "$run")))
    await engine.runs.cancel(run_id)
    (end,) = await rest
    assert end.data["status"] == "cancelled"


# --- mistakes, and the end


@pytest.mark.parametrize(
    ("channel", "topic", "message"),
    [
        ("", "a", "channel='': a name is not empty"),
        ("a", "", "topic='': a name is not empty"),
        ("c" * 257, "a", "at most 256 bytes"),
        ("a", "t" * 129, "at most 128 bytes"),
        ("a", "$run", "the engine's own"),
        ("\ud800", "a", "half a character"),
    ],
)
async def test_wrong_names_are_refused(
    world: Any, channel: str, topic: str, message: str
) -> None:
    engine = await world.open()
    with pytest.raises(durable.ConfigError, match=message):
        await engine.publish(channel, topic)


async def test_what_is_no_id_is_refused(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.ConfigError, match="after='yesterday'"):
        await anext(engine.subscribe("a", after="yesterday"))


async def test_what_has_no_json_is_refused(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.SerializationError, match=r"data\.lock"):
        await engine.publish("a", "b", {"lock": object()})


async def test_a_subscription_ends_with_its_engine(world: Any) -> None:
    engine = await world.open()
    await engine.publish("news", "a", 1)
    listening = engine.subscribe("news")
    await take(listening, 1)
    waiting = asyncio.ensure_future(take(listening, 1))
    await world.settle()
    await world.close()
    with pytest.raises(durable.EngineClosed):
        await waiting
    with pytest.raises(durable.EngineClosed):
        await anext(engine.subscribe("news"))


async def test_a_subscription_that_is_given_up_leaves_nothing(world: Any) -> None:
    engine = await world.open()
    for _ in range(3):
        listening = engine.subscribe("news")
        waiting = asyncio.ensure_future(anext(listening))
        await world.settle()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await listening.aclose()
    assert engine.session.worker._listeners == {}
    await engine.publish("news", "a", 1)
    assert data_of(await take(engine.subscribe("news"), 1)) == [1]


async def test_a_thread_publishes_and_blocks(world: Any) -> None:
    engine = await world.open()
    message_id = await asyncio.to_thread(engine.publish_sync, "news", "a", 1)
    (message,) = await take(engine.subscribe("news"), 1)
    assert (message.id, message.data) == (message_id, 1)
    with pytest.raises(durable.UsageError, match=r"use `await engine\.publish"):
        engine.publish_sync("news", "a", 2)
    with pytest.raises(durable.PayloadTooLarge):
        await asyncio.to_thread(engine.publish_sync, "news", "a", "x" * 524_288)


async def test_a_thread_with_a_loop_of_its_own_publishes_too(world: Any) -> None:
    engine = await world.open()

    def elsewhere() -> str:
        return asyncio.run(engine.publish("news", "a", 1))

    message_id = await asyncio.to_thread(elsewhere)
    (message,) = await take(engine.subscribe("news"), 1)
    assert message.id == message_id
