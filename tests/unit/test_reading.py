"""Readers ask the store away from the loop, and check what they are asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import durable
from durable._reading import Events, Functions, Runs


pytestmark = pytest.mark.asyncio


class Core:
    """One run and one event."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def run(self, run_id: str) -> Any:
        steps: list[Any] = []
        row = (run_id, "f", ["E"], "completed", 1, 1, 1, b'"1"', None, None, steps)
        return (*row, None) if run_id == "R" else None

    def rerun(self, *asked: Any) -> str:
        self.asked = {"rerun": asked}
        return "new"

    def cancel_event(self, event_id: str) -> int | None:
        return 2 if event_id == "E" else None

    def waiting_on(self, run_id: str) -> None:
        del run_id

    def runs(self, **asked: Any) -> Any:
        self.asked = asked
        return [self.run("R")], "next"

    def event(self, event_id: str) -> Any:
        event = (event_id, "a", b"{}", 1, 1, None, None, None)
        return (event, ["R"], None, []) if event_id == "E" else None

    def events(self, **asked: Any) -> Any:
        self.asked = asked
        return [self.event("E")], None

    def functions(self) -> Any:
        return [("f", "app", [], 4, b'{"concurrency":[]}', False, False, [])]


class Opened:
    """An engine that is open on it."""

    def __init__(self, function: Any = None) -> None:
        self.session: Any = self
        self.core = Core()
        self.function = function
        self.runs = Runs(self)

    def find_function(self, function_id: str) -> Any:
        del function_id
        return self.function


async def test_a_result_is_typed_where_the_function_is_known() -> None:
    async def f(ctx: durable.Context) -> int:
        del ctx
        return 1

    made = durable.App("t").function()(f)
    assert (await Runs(Opened(made)).get("R")).result == 1
    assert (await Runs(Opened()).get("R")).result == "1"


async def test_a_result_of_an_earlier_version_is_given_as_it_is() -> None:
    async def f(ctx: durable.Context) -> list[int]:
        del ctx
        return [1]

    made = durable.App("t").function()(f)
    assert (await Runs(Opened(made)).get("R")).result == "1"


async def test_what_is_asked_is_handed_on() -> None:
    opened = Opened()
    since = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    page = await Runs(opened).list(status="failed", function="f", since=since, limit=5)
    assert opened.core.asked == {
        "status": ("failed",),
        "function": "f",
        "since_ms": 1000,
        "limit": 5,
        "cursor": None,
    }
    assert page.cursor == "next"


async def test_what_is_not_there_is_not_found() -> None:
    opened = Opened()
    with pytest.raises(durable.NotFoundError, match="there is no run X"):
        await Runs(opened).get("X")
    with pytest.raises(durable.NotFoundError, match="there is no event X"):
        await Events(opened).get("X")


async def test_what_is_given_to_a_run_that_is_repeated_crosses_as_json() -> None:
    opened = Opened()
    assert await Runs(opened).rerun("R") == "new"
    assert opened.core.asked == {"rerun": ("R", None, None, None)}
    await Runs(opened).rerun("R", "a", output=None, data={"n": 1})
    assert opened.core.asked == {"rerun": ("R", "a", b"null", b'{"n":1}')}
    with pytest.raises(durable.ConfigError, match="from_step"):
        await Runs(opened).rerun("R", output=1)


async def test_an_event_that_is_called_off_is_counted_or_not_found() -> None:
    assert await Events(Opened()).cancel("E") == 2
    with pytest.raises(durable.NotFoundError, match="there is no event X"):
        await Events(Opened()).cancel("X")


async def test_the_runs_of_an_event() -> None:
    opened = Opened()
    assert [run.id for run in await Events(opened).runs("E")] == ["R"]
    assert [one.id for one in await Events(opened).list(since=5)] == ["E"]
    assert opened.core.asked["since_ms"] == 5


async def test_functions() -> None:
    assert [one.id for one in await Functions(Opened()).list()] == ["f"]


@pytest.mark.parametrize("what", ["data", "output"])
async def test_what_is_given_to_a_rerun_and_is_no_json_has_its_place(what: str) -> None:
    runs: Any = Runs(Opened())
    given = {"from_step": "s", what: {"lock": object()}}
    says = rf"^runs\.rerun: {what}\.lock is a builtins\.object"
    with pytest.raises(durable.SerializationError, match=says):
        await runs.rerun("R", **given)
