"""`durable functions list|limits|pause|resume` and what `durable runs show` says of a run that waits."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import durable
from durable.cli.failure import CommandError
from durable.cli.root import app


if TYPE_CHECKING:
    from pathlib import Path

KEY = "event.data.customer"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store in which a run sleeps and others wait for their turns."""
    path = str(tmp_path / "store")
    shop = durable.App("shop")

    @shop.function(
        on="shop/order.placed",
        run_concurrency=durable.Concurrency(1, key=KEY),
        throttle=durable.Throttle(3, "1h"),
    )
    async def ship(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    async def fill() -> None:
        async with durable.Engine(shop, store=path, clock="virtual") as engine:
            for customer in "aaab":
                data = {"customer": customer}
                await engine.send(durable.Event("shop/order.placed", data))
            await engine.advance(0)

    asyncio.run(fill())
    return path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_limits_are_shown_key_by_key(store: str) -> None:
    rows = told("functions", "limits", "ship", "--store", store)["limits"]
    shown = [
        (row["policy"], row["value"], row["taken"], row["limit"], row["waiting"])
        for row in rows
    ]
    assert shown == [
        ("run_concurrency", "a", 1, 1, 2),
        ("run_concurrency", "b", 1, 1, 0),
        ("throttle", None, None, 3, 2),
    ]
    assert (rows[2]["left"], rows[2]["next_at_ms"]) == (1, None)
    table = run("functions", "limits", "ship", "--store", store)
    assert "1 of 1" in table
    assert "run_concurrency" in table


def test_a_run_that_waits_says_for_what(store: str) -> None:
    newest, *rest = told("runs", "list", "--store", store)["runs"]
    waiting = rest[0]["id"]
    shown = told("runs", "show", waiting, "--store", store)["waiting_on"]
    executor, wait, throttle = shown
    assert executor == {"on": "executor", "ahead": 1}
    assert (throttle["on"], throttle["limit"], throttle["ahead"]) == ("throttle", 3, 1)
    assert wait == {
        "on": "run_concurrency",
        "key": KEY,
        "value": "a",
        "scope": "fn",
        "limit": 1,
        "taken": 1,
        "ahead": 1,
    }
    text = " ".join(run("runs", "show", waiting, "--store", store).split())
    assert f"it waits for run_concurrency for {KEY} = a: 1 of 1 taken, 1 before it" in (
        text
    )
    assert "it waits for a process that executes its function" in text
    sleeping = " ".join(run("runs", "show", newest["id"], "--store", store).split())
    assert "step 'rest' waits for the end of its sleep, until" in sleeping


def test_a_function_is_paused_and_resumed(store: str) -> None:
    assert "'ship' is paused" in run("functions", "pause", "ship", "--store", store)
    (info,) = told("functions", "list", "--store", store)["functions"]
    assert (info["id"], info["is_paused"]) == ("ship", True)
    assert "paused" in run("functions", "list", "--store", store)
    run("functions", "resume", "ship", "--store", store)
    (info,) = told("functions", "list", "--store", store)["functions"]
    assert not info["is_paused"]


def test_a_function_that_is_not_there_is_told(store: str) -> None:
    with pytest.raises(CommandError, match="there is no function 'nobody'"):
        run("functions", "pause", "nobody", "--store", store)
    with pytest.raises(CommandError, match="there is no function 'nobody'"):
        run("functions", "limits", "nobody", "--store", store)
    for command in ("limits", "pause", "resume"):
        with pytest.raises(CommandError, match="Did you mean 'ship'"):
            run("functions", command, "shp", "--store", store)
