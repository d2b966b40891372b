"""An engine's settings are checked when it is made, and its names are loaded when they are used."""

from __future__ import annotations

import ast
import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import durable
from durable._bridge import Core


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"store": ""}, "Engine: store"),
        ({"store": 5}, "Engine: store"),
        ({"sync": None}, "Engine: sync"),
        ({"hot_runs": 0}, "Engine: hot_runs"),
        ({"max_in_flight": 0}, "Engine: max_in_flight"),
        ({"grace": "soon"}, "Engine: grace"),
        ({"retention": -1}, "Engine: retention"),
    ],
)
def test_a_wrong_setting_names_its_argument(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(durable.ConfigError, match=says):
        durable.Engine(**settings)


@pytest.mark.parametrize(
    "sync", ["sometimes", 0, "0ms", "61s", "60001ms", "-1s", "", None, [1]]
)
def test_a_wrong_sync_is_refused_where_it_is_written(sync: Any) -> None:
    with pytest.raises(durable.ConfigError, match=r"^Engine: sync="):
        durable.Engine(sync=sync)


@pytest.mark.parametrize(
    "sync", ["always", "50ms", "1s", "60s", "1m", 0.05, timedelta(seconds=1)]
)
@pytest.mark.asyncio
async def test_a_right_sync_opens_a_store(sync: Any) -> None:
    async with durable.Engine(store="memory:", sync=sync) as engine:
        assert engine.is_open()


def test_the_store_is_a_path_or_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert durable.Engine(store=Path("x")).store == "x"
    monkeypatch.delenv("DURABLE_STORE", raising=False)
    assert durable.Engine().store == "./.durable"
    monkeypatch.setenv("DURABLE_STORE", "memory:")
    assert "memory:" in repr(durable.Engine())


def test_an_engine_that_is_not_open_says_so() -> None:
    with pytest.raises(durable.EngineClosed, match="async with"):
        durable.Engine(store="memory:").stats()


@pytest.mark.asyncio
async def test_a_start_that_fails_leaves_no_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing:
        def __init__(self, core: Core) -> None:
            self.core = core

        def __getattr__(self, name: str) -> Any:
            return getattr(self.core, name)

        def connect(self, functions: list[str]) -> None:
            del functions
            fds.append(self.core.fileno())
            raise RuntimeError("no executor today")

    fds: list[int] = []
    engine: Any = durable.Engine(store="memory:")
    opened = engine._open_core
    monkeypatch.setattr(engine, "_open_core", lambda: Failing(opened()))
    with pytest.raises(RuntimeError, match="no executor today"):
        await engine.__aenter__()
    assert not asyncio.get_running_loop().remove_reader(fds[0])


def test_every_public_name_is_loaded_from_where_checkers_see_it() -> None:
    tree = ast.parse(Path(durable.__file__).read_text(encoding="utf-8"))
    seen = {
        name.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in node.names
    }
    places = {name: place.removeprefix("_") for name, place in durable._PLACES.items()}
    places |= dict.fromkeys(durable._MODULES, "")
    assert {
        name: (place or "").removeprefix("_") for name, place in seen.items()
    } == places
    assert all(getattr(durable, name) is not None for name in seen)
    assert set(seen) <= set(dir(durable))


def test_other_names_are_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        durable.nothing  # noqa: B018  # reading it is the point
