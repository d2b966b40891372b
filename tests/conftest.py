"""What tests of the real engine share: an application on it, in a folder of its own, at a clock moved by hand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

import durable


_ENOUGH_BYTES = 1 << 30

Replay = Literal["needed", "always"]


class World:
    """One application and its store; the engine on it may be closed and opened again."""

    def __init__(self, folder: Path, replay: Replay) -> None:
        self.app = durable.App("world")
        self.store = str(folder / "store")
        self.replay: Replay = replay
        self.settings: dict[str, Any] = {"clock": "virtual", "seed": 1, "grace": 0}
        self._engine: durable.Engine | None = None
        self._stack = AsyncExitStack()

    def function(self, handler: Callable[..., Any], **settings: Any) -> Any:
        """Register a handler, again after a change of code."""
        name = settings.pop("id", handler.__name__)
        self.app.functions.pop(name, None)
        self.app.functions.pop(f"{name}-failure", None)
        return self.app.function(name, **settings)(handler)

    @property
    def engine(self) -> durable.Engine:
        assert self._engine is not None
        return self._engine

    async def open(self, **settings: Any) -> durable.Engine:
        self.settings.update(settings)
        engine = durable.Engine(
            self.app, store=self.store, replay=self.replay, **self.settings
        )
        self._engine = await self._stack.enter_async_context(engine)
        return engine

    async def close(self) -> None:
        await self._stack.aclose()
        self._engine = None

    async def restart(self) -> None:
        """Close the engine and open another one on the same store."""
        await self.close()
        await self.open()

    async def settle(self) -> None:
        """Wait until nothing executes and nothing is due."""
        await self.engine.advance(0)

    async def send(self, *events: durable.Event[Any]) -> list[str]:
        ids = await self.engine.send(*events)
        await self.settle()
        return ids

    async def run_of(self, event_id: str) -> durable.Run:
        runs = await self.engine.events.runs(event_id)
        assert len(runs) == 1
        return runs[0]

    async def start(
        self, name: str = "test/start", data: dict[str, Any] | None = None
    ) -> str:
        """Send an event that starts one run; the run's id."""
        (event_id,) = await self.send(durable.Event(name, data or {}))
        return (await self.run_of(event_id)).id

    async def get(self, run_id: str) -> durable.Run:
        return await self.engine.runs.get(run_id)


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what a store has on a disk is tried in `tests/durability`.

    A sync to a disk takes most of the time of a test that opens a store.
    """
    in_memory = Path("/dev/shm")  # noqa: S108  # a folder of our own in it
    if not in_memory.is_dir() or shutil.disk_usage(in_memory).free < _ENOUGH_BYTES:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=in_memory, prefix="durable-") as folder:
        yield Path(folder)


@pytest_asyncio.fixture(params=["needed", "always"], ids=["live", "replay"])
async def world(
    request: pytest.FixtureRequest, quick_folder: Path
) -> AsyncIterator[World]:
    made = World(quick_folder, request.param)
    yield made
    await made.close()
