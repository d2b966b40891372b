"""What is promised of events that are sent through middleware: docs/guides/middleware.md."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typing_extensions import override

import durable
from durable.middleware import Sending

from .conftest import Diary, use


pytestmark = pytest.mark.asyncio


async def test_what_is_sent_goes_through_and_may_be_changed(world: Any) -> None:
    """From outside, on the loop and elsewhere, from a step, and as an invocation."""
    seen: list[Any] = []

    class Stamping(durable.Middleware):
        @override
        async def before_send(self, sending: Sending) -> None:
            step = None if sending.step is None else sending.step.name
            seen.append((sending.events[0].name, step, sending.function_id))
            sending.events = [
                durable.Event(one.name, {**one.data, "by": "us"}, id=one.id)
                if not one.name.startswith("durable/")
                else one
                for one in sending.events
            ]

    async def child(ctx: durable.Context) -> Any:
        return ctx.event.data

    async def handler(ctx: durable.Context) -> Any:
        await ctx.step.send_event("tell", durable.Event("test/told", {"a": 1}))
        return await ctx.step.invoke("ask", world.app.functions["child"], {"b": 2})

    use(world, Stamping())
    world.function(child)
    world.function(handler, on="test/start")
    engine = await world.open()
    run = await world.get(await world.start())
    assert run.result == {"b": 2}
    assert await engine.invoke("child", {"c": 3}) == {"c": 3}
    given = durable.Event("test/told", {"d": 4})
    ids = await asyncio.to_thread(engine.send_sync, given)
    assert given.data == {"d": 4}
    received = [one.event.data for one in await engine.events.list(name="test/told")]
    assert received == [{"d": 4, "by": "us"}, {"a": 1, "by": "us"}]
    assert len(ids) == 1
    assert seen == [
        ("test/start", None, None),
        ("test/told", "tell", None),
        ("durable/function.invoked", "ask", "child"),
        ("durable/function.invoked", None, "child"),
        ("test/told", None, None),
    ]


async def test_what_raises_before_a_send_sends_nothing_and_after_it_is_logged(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(durable.Middleware):
        is_late = False

        @override
        def before_send(self, sending: Sending) -> None:
            if not self.is_late:
                raise ValueError("not that")

        @override
        def after_send(self, sending: Sending) -> None:
            raise ValueError("too late")

    broken = Broken()
    use(world, broken)
    engine = await world.open()
    with pytest.raises(ValueError, match="not that"):
        await engine.send(durable.Event("test/a"))
    assert await engine.events.list() == []
    broken.is_late = True
    assert len(await engine.send(durable.Event("test/a"))) == 1
    assert "nothing depends on it" in caplog.text


async def test_after_send_is_told_why_nothing_was_accepted(world: Any) -> None:
    told: list[Any] = []

    class Noting(durable.Middleware):
        @override
        def after_send(self, sending: Sending) -> None:
            told.append(sending.error)

    use(world, Noting())
    engine = await world.open()
    with pytest.raises(durable.EventRefused):
        await engine.send(durable.Event("durable/mine"))
    assert isinstance(told[0], durable.EventRefused)


async def test_what_is_no_event_is_refused_as_without_middleware(
    world: Any, diary: Diary
) -> None:
    use(world, diary)
    engine = await world.open()
    with pytest.raises(durable.EventRefused, match="is no event"):
        await engine.send("test/a")
    assert await engine.send() == []


async def test_a_source_read_again_counts_once_wherever_it_is_sent_from(
    world: Any, diary: Diary
) -> None:
    use(world, diary)
    engine = await world.open()
    batch = [durable.Event("test/a")]
    await asyncio.to_thread(lambda: asyncio.run(engine.send_from("source", 1, batch)))
    await asyncio.to_thread(lambda: asyncio.run(engine.send_from("source", 1, batch)))
    await engine.send_from("source", 1, batch)
    assert await engine.source_position("source") == 1
    assert len(await engine.events.list()) == 1
