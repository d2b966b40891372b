"""The worker is what live runs, and live runs are what steps, take them for."""

from __future__ import annotations

from typing import Any

import pytest

from durable._execution import LiveRun
from durable._home import Home
from durable._step import StepOwner


def members(protocol: Any) -> set[str]:
    names = {
        name
        for kind in protocol.__mro__
        for name in vars(kind)
        if not name.startswith("_")
    }
    hints = {
        name
        for kind in protocol.__mro__
        for name in getattr(kind, "__annotations__", {})
    }
    return names | {name for name in hints if not name.startswith("_")}


@pytest.mark.asyncio
async def test_the_worker_has_all_that_runs_need(live: Any) -> None:
    assert all(hasattr(live.worker, name) for name in members(Home))


@pytest.mark.asyncio
async def test_a_run_has_all_that_its_steps_need(live: Any) -> None:
    run = LiveRun(live.worker, "R", live.add(lambda ctx: ctx, id="f"), ("E",))  # type: ignore[arg-type]
    assert all(hasattr(run, name) for name in members(StepOwner))
