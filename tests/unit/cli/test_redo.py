"""`durable runs cancel|rerun` and `durable events cancel`: what they say, ask and do."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import durable
from durable.cli import redo
from durable.cli.failure import CommandError
from durable.cli.root import app


if TYPE_CHECKING:
    from pathlib import Path


class Shop:
    """An application whose orders fail while it is broken, and its store."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_broken = True
        self.mailed: list[str] = []
        self.app = durable.App("shop")
        self.app.function("order", on="shop/order", retries=0)(self._order)
        self.app.function("nap", on="shop/nap")(self._nap)

    async def _order(self, ctx: durable.Context) -> str:
        await ctx.step.run("price", lambda: 10)
        if self.is_broken:
            text = "no [stock] left"
            raise durable.NonRetriableError(text)
        self.mailed.append(f"order {ctx.event.data['n']}")
        return self.mailed[-1]

    async def _nap(self, ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    def run(self, *events: durable.Event[Any], hours: int = 0) -> list[str]:
        """Open it, send these, let all happen."""

        async def go() -> list[str]:
            async with durable.Engine(
                self.app, store=self.path, clock="virtual"
            ) as engine:
                ids = await engine.send(*events)
                await engine.advance(f"{hours}h")
                return ids

        return asyncio.run(go())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Three orders have failed, two naps are taken."""
    made = Shop(str(tmp_path / "store"))
    orders = [durable.Event("shop/order", {"n": n}) for n in range(3)]
    made.run(*orders, durable.Event("shop/nap"), durable.Event("shop/nap"))
    made.is_broken = False
    return made


def call(shop: Shop, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--store", shop.path])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def told(shop: Shop, *arguments: str) -> Any:
    return json.loads(call(shop, *arguments, "--json"))


def ids(shop: Shop, status: str) -> list[str]:
    return [run["id"] for run in told(shop, "runs", "list", "--status", status)["runs"]]


def test_failed_runs_are_listed_with_what_failed_why_and_when(shop: Shop) -> None:
    shown = call(shop, "runs", "list", "--status", "failed")
    heading, *lines = shown.splitlines()
    assert heading.split() == ["run", "function", "failed", "error", "message"]
    assert len(lines) == 3
    for line in lines:
        for word in ("order", "NonRetriableError", "no [stock] left"):
            assert word in line
    (failed, *_) = told(shop, "runs", "list", "--status", "failed")["runs"]
    assert failed["error"]["message"] == "no [stock] left"
    assert failed["ended_at_ms"] >= failed["created_at_ms"]
    assert failed["rerun_of"] is None


def test_a_run_is_started_again_and_executes_when_the_application_runs(
    shop: Shop,
) -> None:
    run_id = ids(shop, "failed")[0]
    shown = call(shop, "runs", "rerun", run_id)
    assert f"run {run_id} starts again as run " in shown
    assert "when the application runs next: durable run" in shown
    (new_id,) = ids(shop, "queued")
    assert shop.mailed == []
    shop.run()
    assert len(shop.mailed) == 1
    run = told(shop, "runs", "show", new_id)
    assert (run["status"], run["rerun_of"]) == ("completed", run_id)
    assert f"repeats run {run_id}" in " ".join(
        call(shop, "runs", "show", new_id).split()
    )


def test_a_step_is_where_it_begins(shop: Shop) -> None:
    run_id = ids(shop, "failed")[0]
    again = told(shop, "runs", "rerun", run_id, "--from-step", "price", "--output", "7")
    assert again["rerun_of"] == run_id
    (step,) = told(shop, "runs", "show", again["run_id"])["steps"]
    assert (step["name"], step["result"], step["attempts"]) == ("price", 7, 0)
    assert "taken over" in call(shop, "runs", "show", again["run_id"])
    told(shop, "runs", "rerun", run_id, "--data", '{"n": 9}')
    shop.run()
    assert "order 9" in shop.mailed


def test_a_step_or_run_that_there_is_not_is_told(shop: Shop) -> None:
    run_id = ids(shop, "failed")[0]
    with pytest.raises(CommandError, match="its steps are 'price'"):
        call(shop, "runs", "rerun", run_id, "--from-step", "charge")
    with pytest.raises(CommandError, match="is not JSON"):
        call(shop, "runs", "rerun", run_id, "--from-step", "price", "--output", "{")
    with pytest.raises(CommandError, match="there is no run"):
        call(shop, "runs", "rerun", "01HF00000000000000000000AA")


def test_many_are_started_again_once_somebody_has_said_yes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = ("runs", "rerun", "--status", "failed", "--since", "1h")
    would = told(shop, *which, "--dry-run")
    assert (would["count"], would["is_dry_run"]) == (3, True)
    with pytest.raises(CommandError, match="start again 3 runs") as refused:
        call(shop, *which)
    assert "--yes" in refused.value.hint
    monkeypatch.setattr(redo, "is_somebody_there", lambda: True)
    asked = ask(shop, *which, answer="n\n")
    assert "This would start again 3 runs in" in asked.stderr
    assert (asked.exit_code, ids(shop, "queued")) == (1, [])
    assert "3 runs are started again" in ask(shop, *which, answer="y\n").stdout
    assert len(ids(shop, "queued")) == 3
    shop.run()
    assert shop.mailed == ["order 0", "order 1", "order 2"]
    assert told(shop, *which, "--yes")["count"] == 0


def ask(shop: Shop, *arguments: str, answer: str) -> Any:
    """The same where a person is there."""
    return CliRunner().invoke(app, [*arguments, "--store", shop.path], input=answer)


def test_what_is_said_of_many_is_looked_at(shop: Shop) -> None:
    rerun = ("runs", "rerun")
    for words, says in [
        ((), "say which runs"),
        (("someone", "--status", "failed"), "do not go together"),
        (("--status", "parked", "--yes"), "this takes cancelled, completed, failed"),
        (("--if", "event.data.n >", "--yes"), r"\^"),
        (("--until", "soon", "--yes"), "--until 'soon' is neither"),
        (("--function", "order", "--from-step", "price"), "are of one run"),
    ]:
        with pytest.raises(CommandError, match=says):
            call(shop, *rerun, *words)
    assert ids(shop, "queued") == []


def test_runs_are_called_off_one_or_all_that_match(shop: Shop) -> None:
    cancel = ("runs", "cancel")
    one, other = ids(shop, "parked")
    assert f"run {one} is cancelled" in call(shop, *cancel, one)
    assert told(shop, *cancel, one) == {"run_id": one, "is_cancelled": False}
    assert told(shop, *cancel, "--if", "event.data.n == 5", "--yes")["count"] == 0
    done = told(shop, *cancel, "--function", "nap", "--yes")
    assert (done["count"], done["run_ids"]) == (1, [other])
    assert ids(shop, "parked") == []
    assert "0 runs are cancelled" in call(shop, *cancel, "--function", "nap")


def test_an_event_is_called_off(shop: Shop) -> None:
    soon = 4_000_000_000_000
    (event_id,) = shop.run(durable.Event("shop/nap", ts=soon))
    assert told(shop, "events", "cancel", event_id) == {
        "event_id": event_id,
        "count": 1,
    }
    assert "was still to start" in call(shop, "events", "cancel", event_id)
    with pytest.raises(CommandError, match="there is no event nobody"):
        call(shop, "events", "cancel", "nobody")
    assert len(ids(shop, "cancelled")) == 1
