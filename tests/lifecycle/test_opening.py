"""What opening a store finds: a clock that is ahead, a folder of somebody else's, runs that go on at once."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
from typing import TYPE_CHECKING

import pytest

import durable


if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

DAY_MS = 86_400_000


async def test_a_store_that_a_virtual_clock_left_ahead_says_so(
    quick_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By how much, what that means, what to do: as a notice and as a warning; and moments are no false alarm."""
    app = durable.App("shop")

    @app.function(on="shop/paid")
    async def rest(ctx: durable.Context) -> None:
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)  # noqa: TID251  # what users write
        await ctx.step.sleep_until("rest", soon)

    store = str(quick_folder / "store")
    quick = durable.Engine(app, store=store, clock="virtual", settings={})
    async with quick:
        await quick.advance("3d 4h")
    async with durable.Engine(app, store=store, settings={}) as engine:
        (notice,) = [one for one in engine.notices if "ahead of" in one]
        assert notice.startswith("the store's time is 3 d ")
        assert "use a new store" in notice
        assert 3 * DAY_MS < engine.stats()["ahead_ms"] < 4 * DAY_MS
        await engine.send(durable.Event("shop/paid"))
        await _until_parked(engine)
    (warning,) = [one for one in caplog.records if one.name == "durable.notices"]
    assert (warning.levelno, notice in warning.getMessage()) == (logging.WARNING, True)
    assert "DUR-0801" not in caplog.text


async def _until_parked(engine: durable.Engine) -> None:
    """A sleep of an hour is recorded."""
    while True:
        listed = await engine.runs.list()
        if listed and listed[0].status == "parked":
            return
        await asyncio.to_thread(engine.stats)


async def test_a_store_in_real_time_has_nothing_to_say(
    quick_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        async with durable.Engine(
            durable.App("shop"), store=quick_folder / "store", settings={}
        ) as engine:
            assert (engine.notices, engine.stats()["ahead_ms"]) == ([], 0)
    assert "durable.notices" not in caplog.text


@pytest.mark.parametrize("kind", ["", "sled:", "redb:"])
async def test_a_folder_of_other_files_is_left_alone(
    kind: str, quick_folder: Path
) -> None:
    """Nothing is made in it."""
    (quick_folder / "shop.py").write_text("print(1)")
    (quick_folder / "notes").mkdir()
    with pytest.raises(durable.ConfigError) as caught:
        async with durable.Engine(store=f"{kind}{quick_folder}", settings={}):
            pass
    assert "holds other files (notes, shop.py) and no store" in str(caught.value)
    assert f"{quick_folder}/store" in str(caught.value)
    assert sorted(os.listdir(quick_folder)) == ["notes", "shop.py"]  # noqa: PTH208  # nobody waits meanwhile


@pytest.mark.parametrize("kind", ["sled:", "redb:"])
async def test_what_a_crash_left_of_a_store_that_was_being_made_is_no_obstacle(
    kind: str, quick_folder: Path
) -> None:
    """All that is made before a store is one, and what a mounted volume or an editor brings along."""
    for folder in ("log", "snapshots", "lost+found", ".git"):
        (quick_folder / folder).mkdir()
    for name in ("lock", "marker", "format.draft", ".gitignore"):
        (quick_folder / name).touch()
    for _ in range(2):
        async with durable.Engine(store=f"{kind}{quick_folder}", settings={}):
            pass


async def test_a_store_beside_other_files_goes_on_being_one(quick_folder: Path) -> None:
    for _ in range(2):
        async with durable.Engine(store=quick_folder, settings={}):
            pass
        (quick_folder / "notes.txt").write_text("mine")


async def test_what_runs_had_done_before_the_engine_was_opened_is_known(
    quick_folder: Path,
) -> None:
    """Although they go on at once, and may have ended before anybody asks."""
    app, begun, gate = durable.App("shop"), asyncio.Event(), asyncio.Event()

    @app.function(on="shop/paid")
    async def ship(ctx: durable.Context) -> None:
        async def wait() -> None:
            begun.set()
            await gate.wait()

        await ctx.step.run("ship", wait)

    store = str(quick_folder / "store")
    async with durable.Engine(app, store=store, settings={}, grace=0) as engine:
        await engine.send(durable.Event("shop/paid"))
        await begun.wait()
    gate.set()
    async with durable.Engine(app, store=store, settings={}) as engine:
        await engine.join()
        before = engine.stats_before
        assert before is not None
        assert before["functions"]["ship"]["completed"] == 0
        assert engine.stats()["functions"]["ship"]["completed"] == 1
