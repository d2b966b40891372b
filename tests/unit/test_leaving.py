"""What was called off and still cleans up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from durable._leaving import Leaving


pytestmark = pytest.mark.asyncio


async def test_it_holds_what_has_not_ended_until_that_has() -> None:
    ended: list[bool] = []
    goes_on = asyncio.Event()

    async def clean_up() -> None:
        await goes_on.wait()

    task = asyncio.ensure_future(clean_up())
    tasks = SimpleNamespace(at_steps=lambda: [task])
    run: Any = SimpleNamespace(driver=None, tasks=tasks)
    leaving = Leaving(lambda: ended.append(bool(leaving)))
    assert not leaving
    leaving.add(run)
    assert leaving
    goes_on.set()
    await task
    await asyncio.sleep(0)  # noqa: TID251  # a pass of the loop
    assert ended == [False]
    leaving.add(run)
    assert not leaving, "what has ended is not held"
