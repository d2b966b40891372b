"""`durable schedules list|pause|resume|delete|trigger`, and crons in `durable functions list`."""

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


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with a cron and two schedules."""
    path = str(tmp_path / "store")
    shop = durable.App("shop")

    @shop.function(on=durable.Cron("0 9 * * 1-5", tz="Europe/Paris"))
    async def report(ctx: durable.Context) -> None:
        del ctx

    async def fill() -> None:
        async with durable.Engine(shop, store=path, clock="virtual") as engine:
            create = engine.schedules.create
            await create("acme", report, cron="@daily", data={"customer": "acme"})
            await create("bolt", "report", every="90m", jitter="1m", catch_up="none")

    asyncio.run(fill())
    return path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_schedules_are_listed(store: str) -> None:
    acme, bolt = told("schedules", "list", "--store", store)["schedules"]
    assert (acme["id"], acme["cron"], acme["tz"]) == ("acme", "@daily", "UTC")
    assert acme["data"] == {"customer": "acme"}
    assert (bolt["every_ms"], bolt["jitter_ms"]) == (5_400_000, 60_000)
    assert (bolt["catch_up"], bolt["cron"]) == ("none", None)
    assert bolt["fires_at_ms"] > bolt["next_at_ms"] > bolt["made_at_ms"]
    page = told("schedules", "list", "--limit", "1", "--store", store)
    assert page["cursor"] == "acme"
    shown = run("schedules", "list", "--store", store)
    assert "@daily UTC" in shown
    assert "every 1 h 30 m" in shown


def test_a_schedule_is_paused_resumed_triggered_and_deleted(store: str) -> None:
    run("schedules", "pause", "acme", "--store", store)
    (acme, _bolt) = told("schedules", "list", "--store", store)["schedules"]
    assert (acme["is_paused"], acme["next_at_ms"]) == (True, None)
    assert "paused" in run("schedules", "list", "--store", store)
    done = told("schedules", "resume", "acme", "--store", store)
    assert done == {"schedule": "acme", "done": "resumed"}
    run_id = told("schedules", "trigger", "acme", "--store", store)["run_id"]
    assert told("runs", "list", "--store", store)["runs"][0]["id"] == run_id
    assert "deleted" in run("schedules", "delete", "acme", "--store", store)
    found = told("schedules", "list", "--store", store)["schedules"]
    assert [one["id"] for one in found] == ["bolt"]
    with pytest.raises(CommandError, match="no schedule 'acme'"):
        run("schedules", "delete", "acme", "--store", store)


def test_functions_are_listed_with_their_crons(store: str) -> None:
    (report,) = told("functions", "list", "--store", store)["functions"]
    assert [cron["cron"] for cron in report["crons"]] == ["0 9 * * 1-5"]
    assert "0 9 * * 1-5 Europe/Paris" in run("functions", "list", "--store", store)
