"""What the unit tests of executing code share: a worker on the model of the native module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio

import durable
from durable._worker import Worker

from .fake_core import FakeCore


class Bench:
    """One function on a worker, and the model of the engine behind it."""

    def __init__(self, *, forgets: bool, hot_runs: int = 1000) -> None:
        self.core = FakeCore()
        self.forgets = forgets
        self.hot_runs = hot_runs
        self.functions: dict[int, durable.Function[Any, Any]] = {}
        self.worker = self._open()

    def _open(self) -> Worker:
        worker = Worker(
            self.core,  # type: ignore[arg-type]
            asyncio.get_running_loop(),
            self.functions,
            hot_runs=self.hot_runs,
            forgets=self.forgets,
            thread_count=4,
        )
        worker.open()
        return worker

    def add(
        self, handler: Callable[..., Any], **settings: Any
    ) -> durable.Function[Any, Any]:
        made: Any = durable.App("t").function(**settings)(handler)
        self.functions[len(self.functions)] = made
        return made

    async def start(
        self, handler: Callable[..., Any] | None = None, **event: Any
    ) -> str:
        if handler is not None:
            self.functions.clear()
            self.add(handler)
        run = self.core.start(**event)
        self.worker._schedule()
        await self.settle()
        return run

    async def settle(self, passes: int = 60) -> None:
        """Let the loop turn until nothing more can happen by itself."""
        for _ in range(passes):
            await asyncio.sleep(0)  # noqa: TID251

    async def settle_threads(self, run: str, until: str = "ended") -> None:
        """The same where threads take part: until the run's code is in this state."""
        async with asyncio.timeout(10):
            while self.core.runs[run].stretch != until:  # noqa: ASYNC110  # threads set no event
                await asyncio.sleep(0.001)  # noqa: TID251

    async def advance(self, ms: int) -> None:
        self.core.advance(ms)
        self.worker._schedule()
        await self.settle()

    async def restart(self) -> None:
        self.worker.close()
        self.core.lose_executor()
        self.worker = self._open()
        await self.settle()

    def result(self, run: str) -> Any:
        outcome = self.core.runs[run].outcome
        assert outcome is not None, f"the run has not ended: {self.core.runs[run]}"
        status, data = outcome
        assert status == "completed", data.decode()
        return orjson.loads(data)

    def error(self, run: str) -> dict[str, Any]:
        outcome = self.core.runs[run].outcome
        assert outcome is not None, f"the run has not ended: {self.core.runs[run]}"
        status, data = outcome
        assert status == "failed", data.decode()
        return orjson.loads(data)

    def op_kinds(self) -> list[list[int]]:
        return [[op[0] for op in report[3]] for report in self.core.reports]


@pytest_asyncio.fixture(params=["live", "replay"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = Bench(forgets=request.param == "replay")
    yield made
    made.worker.close()


@pytest_asyncio.fixture
async def live() -> AsyncIterator[Bench]:
    made = Bench(forgets=False)
    yield made
    made.worker.close()
