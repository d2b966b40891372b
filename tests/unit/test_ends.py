"""Middleware is told of an end once; what is cleaned up behind a run is waited for, and harms nobody."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import override

import durable
from durable._ends import Ends
from durable._layers import Stack
from durable._middleware import Finished, RunAbout


pytestmark = pytest.mark.asyncio


class Noting(durable.Middleware):
    """Notes the ends that it is told of."""

    def __init__(self) -> None:
        self.ends: list[Finished] = []

    @override
    async def finished(self, end: Finished) -> None:
        self.ends.append(end)


def world(noting: Noting) -> Any:
    futures: list[Any] = []

    def watch(_: str) -> Any:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    ends = Ends(watch, asyncio.get_running_loop())
    run: Any = SimpleNamespace(about=RunAbout("R1", "f"), stack=Stack([noting]))
    return ends, run, futures


async def test_a_run_is_watched_once_and_told_once() -> None:
    noting = Noting()
    ends, run, futures = world(noting)
    ends.watch(run)
    ends.watch(run)
    (future,) = futures
    future.set_result(("completed", b"[1]", ""))
    await asyncio.sleep(0)  # noqa: TID251  # its callbacks
    await ends.settle(1)
    assert [(end.status, end.result) for end in noting.ends] == [("completed", [1])]


async def test_an_engine_that_closes_before_tells_nothing() -> None:
    noting = Noting()
    ends, run, futures = world(noting)
    ends.watch(run)
    futures[0].set_exception(durable.EngineClosed("closed"))
    await asyncio.sleep(0)  # noqa: TID251  # its callbacks
    await ends.settle(1)
    assert noting.ends == []


async def test_what_is_cleaned_up_is_waited_for_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends, *_ = world(Noting())

    async def broken() -> None:
        raise ValueError("broken")

    caplog.set_level(logging.ERROR, "durable.middleware")
    ends.clean_up(broken())
    await ends.settle(1)
    assert "what was cleaned up behind a run" in caplog.text
