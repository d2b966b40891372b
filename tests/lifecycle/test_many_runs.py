"""`runs.cancel_many` and `runs.rerun_many`: which runs, page by page, and what a second call does."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable import _bulk


pytestmark = pytest.mark.asyncio


class Desk:
    """A handler that fails while it is broken."""

    def __init__(self) -> None:
        self.is_broken = True
        self.seen: list[int] = []

    async def desk(self, ctx: durable.Context) -> int:
        self.seen.append(ctx.event.data["n"])
        if self.is_broken:
            text = "out of order"
            raise durable.NonRetriableError(text)
        return ctx.event.data["n"]


async def sleeper(ctx: durable.Context) -> str:
    await ctx.step.sleep("rest", "1h")
    return "rested"


def numbered(n: int, **of: Any) -> durable.Event[Any]:
    return durable.Event("test/start", {"n": n}, **of)


def desk_of(world: Any, **settings: Any) -> Desk:
    desk = Desk()
    world.function(desk.desk, id="desk", on="test/start", **settings)
    return desk


async def ended(world: Any, *run_ids: str) -> list[durable.Run]:
    await world.settle()
    return [await world.get(run_id) for run_id in run_ids]


async def test_all_that_failed_is_repeated_once_in_the_order_of_its_events(
    world: Any,
) -> None:
    desk = desk_of(world)
    engine = await world.open()
    await world.send(*[numbered(n) for n in range(5)])
    desk.is_broken = False
    await world.send(numbered(5))
    desk.seen.clear()
    would = await engine.runs.rerun_many(dry_run=True)
    assert (would.count, desk.seen) == (5, [])
    done = await engine.runs.rerun_many()
    assert done.count == len(set(done.run_ids)) == 5
    runs = await ended(world, *done.run_ids)
    assert [run.result for run in runs] == desk.seen == [0, 1, 2, 3, 4]
    assert [run.rerun_of for run in runs] == list(would.run_ids)
    second = await engine.runs.rerun_many()
    assert (second.count, second.refused_count) == (0, 0)


async def test_of_runs_that_repeat_each_other_the_last_one_counts(world: Any) -> None:
    desk = desk_of(world)
    engine = await world.open()
    run_id = await world.start(data={"n": 1})
    done: list[durable.BulkResult] = []
    for _ in range(2):
        done.append(await engine.runs.rerun_many())
        await world.settle()
    assert [one.count for one in done] == [1, 1]
    second = (await world.get(done[1].run_ids[0])).rerun_of
    assert second == done[0].run_ids[0]
    desk.is_broken = False
    await engine.runs.rerun(second, data={"n": 7})
    last = await engine.runs.rerun_many()
    assert [run.rerun_of for run in await ended(world, *last.run_ids)] == []
    assert len(await engine.events.runs((await world.get(run_id)).event_ids[0])) == 4


async def test_what_a_crash_left_over_is_done_by_the_same_call(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(world)
    engine = await world.open()
    await world.send(*[numbered(n) for n in range(6)])
    desk.is_broken = False
    desk.seen.clear()
    with monkeypatch.context() as patch:
        real = _bulk.rerun_page
        left = [1]

        def dies(core: Any, runs: list[str]) -> Any:
            outcome = real(core, runs[:2])
            if left.pop():
                text = "the process is gone"
                raise ConnectionResetError(text)
            return outcome

        patch.setattr("durable._reading.rerun_page", dies)
        with pytest.raises(ConnectionResetError):
            await engine.runs.rerun_many(function="desk")
    await world.restart()
    done = await world.engine.runs.rerun_many(function="desk")
    await world.settle()
    assert done.count == 4
    assert sorted(desk.seen) == [0, 1, 2, 3, 4, 5]


async def test_filters_say_which(world: Any) -> None:
    desk_of(world)
    world.function(sleeper, on="test/other")
    engine = await world.open()
    times = []
    for n in range(4):
        times.append(engine.now_ms())
        await world.send(numbered(n))
        await engine.advance("1m")

    async def count(**of: Any) -> int:
        return (await engine.runs.rerun_many(dry_run=True, **of)).count

    assert await count() == 4
    assert await count(since=times[1]) == 3
    assert await count(since=times[1], until=times[3]) == 2
    assert await count(if_="event.data.n >= 2") == 2
    assert await count(if_="event.data.n >= 2", until=times[3]) == 1
    assert await count(if_="event.data.nothing == 3") == 0
    assert await count(function="sleeper") == 0
    assert await count(function="desk", limit=3) == 3
    assert await count(status=["completed", "cancelled"]) == 0
    assert await count(status=["completed", "failed"]) == 4


async def test_all_that_match_are_called_off(world: Any) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    await world.send(*[numbered(n) for n in range(6)])
    done = await engine.runs.cancel_many(if_="event.data.n % 2 == 0")
    assert done.count == 3
    for run in await ended(world, *done.run_ids):
        assert (run.status, run.error.message) == ("cancelled", "it was called off")
    assert (await engine.runs.cancel_many(function="sleeper", limit=1)).count == 1
    assert (await engine.runs.cancel_many(status="queued")).count == 0
    assert (await engine.runs.cancel_many(status="parked")).count == 2
    assert (await engine.runs.cancel_many(function="sleeper")).count == 0
    repeated = await engine.runs.rerun_many(status="cancelled")
    assert repeated.count == 6


async def test_of_a_batch_each_event_must_match(world: Any) -> None:
    world.function(sleeper, on="test/start", batch=durable.Batch(2, "1h"))
    engine = await world.open()
    await world.send(*[numbered(n) for n in (0, 1, 2, 3)])
    done = await engine.runs.cancel_many(if_="event.data.n > 0")
    assert done.count == 1
    (run,) = await ended(world, *done.run_ids)
    events = [await engine.events.get(one) for one in run.event_ids]
    assert [one.event.data["n"] for one in events] == [2, 3]


async def test_what_cannot_be_repeated_is_listed_with_the_reason(world: Any) -> None:
    desk = desk_of(world, singleton=durable.Singleton("skip"))
    engine = await world.open()
    run_id = await world.start(data={"n": 1})
    await engine.functions.pause("desk")
    done = await engine.runs.rerun_many()
    assert (done.count, done.refused_count) == (0, 1)
    assert done.refused == {run_id: "'desk' was not started: it is paused"}
    await engine.functions.resume("desk")
    desk.is_broken = False
    assert (await engine.runs.rerun_many()).count == 1


async def test_pages_follow_each_other(world: Any) -> None:
    """More than are looked at in one go."""
    world.function(sleeper, on="test/start")
    engine = await world.open()
    for _ in range(3):
        await engine.send([numbered(n) for n in range(750)])
    await world.settle()
    would = await engine.runs.cancel_many(status="parked", dry_run=True, limit=2100)
    assert would.count == 2100
    done = await engine.runs.cancel_many(if_="event.data.n >= 0")
    assert done.count == len(set(done.run_ids)) == 2250
    assert would.run_ids == done.run_ids[:2100]


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ({}, "say which runs"),
        ({"if_": "event.data.n >"}, r"\^"),
        ({"if_": "asynk.data.n > 1"}, r"\^"),
        ({"status": "failed"}, "parked, queued, running"),
        ({"status": "odd"}, "odd"),
        ({"function": 3}, "function"),
        ({"function": "f", "limit": 0}, "limit"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_done(
    world: Any, of: dict[str, Any], says: str
) -> None:
    engine = await world.open()
    with pytest.raises(durable.ConfigError, match=says):
        await engine.runs.cancel_many(**of)
    if of and of.get("status") != "failed":
        with pytest.raises(durable.ConfigError, match=says):
            await engine.runs.rerun_many(**of)
    with pytest.raises(durable.ConfigError, match="cancelled, completed, failed"):
        await engine.runs.rerun_many(status="parked")


async def test_an_unknown_function_is_no_function_without_runs(world: Any) -> None:
    desk_of(world)
    engine = await world.open()
    assert (await engine.runs.list(function="desk")) == []
    assert (await engine.runs.rerun_many(function="desk")).count == 0
    text = "there is no function 'dsk' in this store. Did you mean 'desk'?"
    for ask in (engine.runs.list, engine.runs.rerun_many, engine.runs.cancel_many):
        with pytest.raises(durable.NotFoundError) as caught:
            await ask(function="dsk")
        assert str(caught.value) == text
    await world.close()
    world.app = durable.App("other")
    engine = await world.open()  # what the store knows, this engine need not
    assert (await engine.runs.list(function="desk")) == []
