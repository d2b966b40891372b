"""What is promised of calls of a client of one's own: steps, whose tokens are read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import durable

from .provider import CHAT, ended


pytestmark = pytest.mark.asyncio


class SdkUsage(BaseModel):
    """As both SDKs have it: a model in a model."""

    input_tokens: int = 5
    output_tokens: int = 7


class SdkMessage(BaseModel):
    """The same."""

    model: str = "claude-test"
    text: str = "hello"
    usage: SdkUsage = SdkUsage()


def returns_dict() -> dict[str, Any]:
    return CHAT


def returns_object() -> Any:
    return SdkMessage()


def returns_typed() -> SdkMessage:
    return SdkMessage()


async def returns_part() -> dict[str, Any]:
    answer = SdkMessage()
    return {"text": answer.text, "usage": answer.usage, "model": answer.model}


@pytest.mark.parametrize(
    ("function", "used"),
    [
        (returns_dict, durable.Usage(12, 30, 42, "gpt-test-2026")),
        (returns_object, durable.Usage(5, 7, 12, "claude-test")),
        (returns_typed, durable.Usage(5, 7, 12, "claude-test")),
        (returns_part, durable.Usage(5, 7, 12, "claude-test")),
    ],
)
async def test_what_is_wrapped_is_a_step_whose_tokens_are_read(
    world: Any, function: Any, used: durable.Usage
) -> None:
    results: list[Any] = []

    async def wrapper(ctx: durable.Context) -> None:
        results.append(await ctx.step.ai.wrap("ask", function))

    world.function(wrapper, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.steps["ask"].usage == used
    assert run.steps["ask"].kind == "run"
    typed = function is returns_typed
    assert isinstance(results[-1], SdkMessage if typed else dict)


async def test_what_is_wrapped_is_called_once_and_again_where_it_fails(
    world: Any,
) -> None:
    calls: list[tuple[str, int]] = []

    async def ask(text: str, *, most: int) -> str:
        calls.append((text, most))
        if len(calls) == 1:
            raise OSError("no line")
        return text.upper()

    async def wrapper(ctx: durable.Context) -> str:
        said = await ctx.step.ai.wrap("ask", ask, "hi", most=3)
        await ctx.step.sleep("rest", "1m")
        return said

    flat = durable.Retries(2, durable.Backoff("1s", jitter=0))
    world.function(wrapper, on="test/start", retries=flat)
    run = await ended(world)
    assert run.result == "HI"
    assert calls == [("hi", 3), ("hi", 3)]
    assert run.steps["ask"].usage is None  # a text says nothing of tokens
