"""Each step of an `async def` handler says what it takes, and is awaited."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from durable._step import StepCall
from durable._steps import Steps


ASK: dict[str, Any] = {
    "run": ("a", int),
    "send_event": ("a", []),
    "fetch": ("a", "http://localhost"),
    "sleep": ("a", 1),
    "sleep_until": ("a", 1),
}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith(("_", "make"))}


@pytest.mark.parametrize("name", sorted(ASK))
@pytest.mark.asyncio
async def test_a_step_gives_what_can_be_awaited(bench: Any, name: str) -> None:
    made: list[Any] = []

    async def handler(ctx: Any) -> None:
        made.append(getattr(ctx.step, name)(*ASK[name]))
        made[-1].close()

    await bench.start(handler)
    assert isinstance(made[0], StepCall)


def test_every_step_has_its_words() -> None:
    assert all(inspect.getdoc(getattr(Steps, name)) for name in public(Steps))
