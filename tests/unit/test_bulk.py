"""Something done to many runs: pages, limits, and what is kept of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import durable
from durable import _bulk
from durable._bulk import Selection, cancel_page, do_to_many, read_some, rerun_page
from durable._setting import Place
from durable.testing import TestEngine


if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.asyncio


class Store:
    """A store of runs that are numbers, looked at three at a time."""

    def __init__(self, count: int) -> None:
        self.ids = [f"{n:03}" for n in range(count)]
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.ended: set[str] = set()

    def runs(self, *, limit: int) -> tuple[list[tuple[str]], None]:
        assert limit == 1
        return [(self.ids[-1],)] if self.ids else [], None

    def select(
        self, status: Any, function: Any, created: Any, between: Any, **asked: Any
    ) -> tuple[list[str], str | None]:
        after, upto = between
        self.asked.append(
            {"status": status, "function": function, "created": created, **asked}
        )
        self.ids.append(f"new {len(self.asked)}")  # made meanwhile
        known = [one for one in self.ids if one <= upto and one > (after or "")]
        return known[:3], (known[2] if len(known) > 3 else None)

    def cancel_many(self, runs: list[str]) -> list[bool]:
        self.cancelled += runs
        return [run not in self.ended for run in runs]

    def rerun_many(self, runs: list[str]) -> list[tuple[str | None, str | None]]:
        return [
            (None, "it is paused") if run in self.ended else (f"again {run}", None)
            for run in runs
        ]


async def done_to(
    store: Store, do: Callable[..., Any], *, limit: int | None = None, **of: Any
) -> durable.BulkResult:
    async def read(call: Callable[[Any], Any]) -> Any:
        return call(store)

    asked = Selection(("parked",), "f", last_only=False)
    return await do_to_many(
        read, asked, do, limit=limit, dry_run=of.get("dry_run", False)
    )


async def test_pages_follow_each_other_and_what_is_made_meanwhile_is_left_alone() -> (
    None
):
    store = Store(8)
    done = await done_to(store, cancel_page)
    assert done.count == 8
    assert list(done.run_ids) == store.cancelled == [f"{n:03}" for n in range(8)]
    assert len(store.asked) == 3
    assert store.asked[0] == {
        "status": ("parked",),
        "function": "f",
        "created": (None, None),
        "condition": None,
        "last_only": False,
    }


async def test_an_empty_store_is_asked_nothing() -> None:
    store = Store(0)
    assert await done_to(store, cancel_page) == durable.BulkResult()
    assert store.asked == []


async def test_those_that_ended_meanwhile_are_not_counted() -> None:
    store = Store(5)
    store.ended = {"001", "004"}
    done = await done_to(store, cancel_page)
    assert (done.count, done.run_ids) == (3, ("000", "002", "003"))
    assert done.refused_count == 0


async def test_those_that_are_refused_are_listed() -> None:
    store = Store(5)
    store.ended = {"001"}
    done = await done_to(store, rerun_page)
    assert (done.count, done.refused_count) == (4, 1)
    assert done.run_ids[0] == "again 000"
    assert done.refused == {"001": "it is paused"}


@pytest.mark.parametrize("limit", [1, 3, 4, 8, 100])
async def test_a_limit_stops_in_the_middle_of_a_page(limit: int) -> None:
    store = Store(8)
    done = await done_to(store, cancel_page, limit=limit)
    assert store.cancelled == [f"{n:03}" for n in range(min(limit, 8))]
    assert done.count == min(limit, 8)


async def test_runs_that_had_ended_do_not_use_a_limit_up() -> None:
    store = Store(8)
    store.ended = {"000", "001"}
    done = await done_to(store, cancel_page, limit=3)
    assert done.run_ids == ("002", "003", "004")


async def test_a_dry_run_does_nothing() -> None:
    store = Store(4)
    done = await done_to(store, cancel_page, dry_run=True)
    assert (done.count, store.cancelled) == (4, [])


async def test_of_very_many_only_the_first_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_bulk, "_MOST_KEPT", 2)
    store = Store(6)
    store.ended = {"001", "002", "003"}
    done = await done_to(store, rerun_page)
    assert (done.count, done.run_ids) == (3, ("again 000", "again 004"))
    assert (done.refused_count, list(done.refused)) == (3, ["001", "002"])


async def test_states_and_expressions_are_looked_at() -> None:
    place = Place("runs.cancel_many", "status")
    assert read_some(place, (), ("b", "a")) == ["a", "b"]
    assert read_some(place, ("a",), ("b", "a")) == ("a",)
    with pytest.raises(durable.ConfigError, match="accepted: a, b"):
        read_some(place, ("c",), ("b", "a"))
    asked = Selection((), None, last_only=False)
    asked.see(place, "event.data.n == 1", (3, 4))
    assert (asked.condition, asked.times) == ("event.data.n == 1", (3, 4))
    with pytest.raises(
        durable.ConfigError, match=r"runs.cancel_many: if_: .*\n.*\n *\^"
    ):
        asked.see(place, "event.data.n ==", (None, None))


async def test_a_condition_reads_the_fields_of_the_functions_events() -> None:
    class Order(BaseModel):
        customer: str

    app = durable.App("shop")
    placed = durable.EventType("shop/placed", Order)

    @app.function(on=placed)
    async def fulfil(ctx: durable.Context[Order]) -> None: ...

    place = Place("runs.cancel_many", "status")
    asked = Selection((), "fulfil", last_only=False)
    asked.see(place, "event.data.customer == 'c'", (None, None), known=fulfil)
    with pytest.raises(durable.ConfigError, match=r"did you mean event.data.customer"):
        asked.see(place, "event.data.custmer == 'c'", (None, None), known=fulfil)
    async with TestEngine(app) as t:
        for one in (t.runs.cancel_many, t.runs.rerun_many):
            with pytest.raises(durable.ConfigError, match="the event has no"):
                await one(function=fulfil, if_="event.data.custmer == 'c'")
            await one(if_="event.data.custmer == 'c'")
