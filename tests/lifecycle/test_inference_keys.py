"""The key of an inference is nobody's but the provider's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from durable.ai import OpenAI

from .provider import CHAT, KEY, Provider, ended, inferring


pytestmark = pytest.mark.asyncio


def assert_unknown(world: Any, caplog: pytest.LogCaptureFixture, *shown: Any) -> None:
    """The key is neither in the store's files, nor in the logs, nor in what is shown."""
    files = [path for path in Path(world.store).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in caplog.text
    assert KEY not in repr(shown)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, {**CHAT, "debug": {"authorization": f"Bearer {KEY}"}}),
        (401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        (500, {}, f"<html>{KEY}</html>".encode()),
        (200, {}, f"you sent {KEY}".encode()),
        "hang up",
    ],
    ids=["result", "refusal", "fault", "no JSON", "no answer"],
)
async def test_the_key_goes_nowhere_but_to_the_provider(
    world: Any,
    provider: Provider,
    gpt: OpenAI,
    caplog: pytest.LogCaptureFixture,
    answer: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.queued = [answer] * 3
    answers = inferring(world, gpt)
    await world.open()
    run_id = await world.start()
    assert_unknown(world, caplog, await world.get(run_id))
    await world.engine.advance("5m")
    run = await world.get(run_id)
    assert run.is_ended
    await world.close()
    assert_unknown(world, caplog, run, answers, gpt)
    assert KEY in provider.asked[0][1]["authorization"]


@pytest.mark.parametrize("wrong", [f"{KEY}\n", f" {KEY}", f"{KEY}ä"])
@pytest.mark.parametrize("place", ["key", "variable", "header"])
async def test_a_key_that_no_header_takes_is_refused_unsaid(
    world: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    place: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", wrong if place == "variable" else KEY)
    models = {
        "key": OpenAI("m", api_key=wrong),
        "variable": OpenAI("m"),
        "header": OpenAI("m", headers={"api-key": wrong}),
    }
    inferring(world, models[place])
    await world.open()
    run = await world.get(await world.start())
    assert "has letters that no header may have" in run.result
    await world.close()
    assert_unknown(world, caplog, run, models)


async def test_a_secret_header_is_as_unknown_as_the_key(
    world: Any, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.queued = [(400, {}, {"error": {"message": f"no such key: {KEY}"}})]
    headers = {"Authorization": f"Bearer {KEY}"}
    inferring(world, OpenAI("m", base_url=provider.url, headers=headers))
    run = await ended(world)
    assert run.result.endswith("answered 400: no such key: ***")
    assert_unknown(world, caplog, run)
