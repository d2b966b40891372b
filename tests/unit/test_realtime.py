"""Which loop may listen, and that a topic may be given alone."""

from __future__ import annotations

import asyncio

import pytest

import durable
from durable._realtime import _read_topics


def test_what_is_gone_is_told_whatever_topics_are_wanted() -> None:
    assert _read_topics(None) is None
    assert _read_topics("a") == {"a", "$missed"}
    assert _read_topics(["a", "b"]) == {"a", "b", "$missed"}


@pytest.mark.asyncio
async def test_only_the_engines_own_loop_listens() -> None:
    async def listen(engine: durable.Engine) -> None:
        await anext(engine.subscribe("news"))

    async with durable.Engine(store="memory:", clock="virtual") as engine:
        with pytest.raises(durable.UsageError, match="on the engine's own loop"):
            await asyncio.to_thread(asyncio.run, listen(engine))


@pytest.mark.asyncio
async def test_an_engine_that_is_not_open_says_so() -> None:
    engine = durable.Engine(store="memory:")
    with pytest.raises(durable.EngineClosed):
        await anext(engine.subscribe("news"))
    with pytest.raises(durable.EngineClosed):
        await engine.publish("news", "a")


@pytest.mark.asyncio
async def test_a_thread_without_a_loop_is_told_to_listen_on_the_engines() -> None:
    async with durable.Engine(store="memory:", clock="virtual") as engine:
        with pytest.raises(durable.UsageError, match="on the engine's own loop"):
            await asyncio.to_thread(engine.subscribe, "news")
