"""System events: what the engine tells of the end of each run, once, to functions that listen."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio

FAILED = "durable/function.failed"
FINISHED = "durable/function.finished"
CANCELLED = "durable/function.cancelled"
THREE = ["breaks", "sleeps", "works"]


async def works(ctx: durable.Context) -> dict[str, Any]:
    return {"doubled": ctx.event.data.get("n", 0) * 2}


async def breaks(ctx: durable.Context) -> None:
    del ctx
    text = "it broke"
    raise durable.NonRetriableError(text)


async def sleeps(ctx: durable.Context) -> None:
    await ctx.step.sleep("rest", "1h")


class Failure(BaseModel):
    """What a listener wants to know of a failure."""

    function_id: str
    error: dict[str, str]


class Ear:
    """A function that listens, and what it heard."""

    def __init__(self, world: Any, on: Any, **settings: Any) -> None:
        self.heard: dict[str, durable.Event[Any]] = {}

        async def listen(ctx: durable.Context) -> None:
            self.heard[ctx.run_id] = ctx.event

        name = settings.pop("id", f"ear-{len(world.app.functions)}")
        world.function(listen, id=name, on=on, **settings)

    @property
    def all(self) -> list[tuple[str, str]]:
        """The event's name and the function that ended, of each run."""
        events = self.heard.values()
        return sorted((event.name, event.data["function_id"]) for event in events)


def three(world: Any) -> None:
    world.function(works, on="test/work")
    world.function(breaks, on="test/break")
    world.function(sleeps, on="test/sleep")


async def end_each(world: Any) -> dict[str, str]:
    """One run of each kind of end; their ids by the function."""
    names = {"works": "test/work", "breaks": "test/break", "sleeps": "test/sleep"}
    runs = {
        function: await world.start(name, {"n": 4}) for function, name in names.items()
    }
    assert await world.engine.runs.cancel(runs["sleeps"])
    await world.settle()
    return runs


async def test_each_end_is_told_once_in_the_ways_that_fit(world: Any) -> None:
    three(world)
    failed, cancelled = Ear(world, FAILED, id="hears failed"), Ear(world, CANCELLED)
    finished = Ear(
        world, durable.On(FINISHED, if_=f"event.data.function_id in {THREE}")
    )
    await world.open()
    await end_each(world)
    for _ in range(2):
        assert failed.all == [(FAILED, "breaks")]
        assert cancelled.all == [(CANCELLED, "sleeps")]
        assert finished.all == [(FINISHED, name) for name in THREE]
        await world.restart()
        await world.engine.advance("1d")


async def test_what_is_told_of_each_kind_of_end(world: Any) -> None:
    three(world)
    ear = Ear(world, [FAILED, FINISHED, CANCELLED])
    await world.open()
    runs = await end_each(world)
    user = [e for e in ear.heard.values() if e.data["run_id"] in runs.values()]
    told = {(event.name, event.data["function_id"]): event for event in user}
    assert len(told) == len(user) == 5
    finished = told[FINISHED, "works"].data
    assert finished["result"] == {"doubled": 8}
    assert "error" not in finished
    failed = told[FAILED, "breaks"]
    assert failed.data["error"]["message"] == "it broke"
    assert failed.data["error"] == told[FINISHED, "breaks"].data["error"]
    cancelled = told[CANCELLED, "sleeps"]
    assert cancelled.data["reason"] == "it was called off"
    assert not {"error", "result"} & cancelled.data.keys()
    assert not {"error", "result"} & told[FINISHED, "sleeps"].data.keys()
    assert (failed.id, cancelled.id) == (runs["breaks"], runs["sleeps"])
    assert told[FINISHED, "works"].id not in runs.values()
    for event in user:
        assert list(event.data)[:4] == ["function_id", "run_id", "event", "events"]
        assert event.data["event"]["data"] == {"n": 4}
        assert event.data["events"] == [event.data["event"]]
    run = await world.get(runs["works"])
    assert run.ended_at is not None
    assert told[FINISHED, "works"].ts == run.ended_at.timestamp() * 1000


@pytest.mark.parametrize("on", [FAILED, FINISHED, "durable/function.*", "durable/*"])
async def test_ends_that_tell_of_ends_are_told_no_further(world: Any, on: str) -> None:
    world.function(breaks, on="test/break")
    world.function(breaks, id="again", on=on)
    ear = Ear(world, on)
    engine = await world.open()
    await world.start("test/break")
    await engine.advance("1d")
    names = [FAILED] if on == FAILED else [FINISHED]
    names = [FAILED, FINISHED] if on.endswith("*") else names
    assert ear.all == [(name, "breaks") for name in names]
    runs = [run for run in await engine.runs.list() if run.function == "again"]
    assert [run.status for run in runs] == ["failed"] * len(names)


async def test_who_hears_of_a_cancelled_run_and_fails_is_told_of(world: Any) -> None:
    desk = Ear(world, FINISHED, id="desk")
    told: list[str] = []

    async def tell(ctx: durable.Context) -> None:
        told.append(ctx.event.data["function_id"])

    world.function(sleeps, on="test/sleep")
    world.function(breaks, id="cleans up", on=CANCELLED, on_failure=tell)
    engine = await world.open()
    assert await engine.runs.cancel(await world.start("test/sleep"))
    await world.settle()
    assert set(told) == {"cleans up"}
    assert desk.all == [(FINISHED, "cleans up"), (FINISHED, "sleeps")]


async def test_cancelled_runs_that_cancel_each_other_come_to_an_end(world: Any) -> None:
    """Each would else be told to the next, which takes its place and cancels it."""
    world.function(sleeps, on="test/sleep")
    singleton = durable.Singleton("cancel")
    world.function(sleeps, id="one", on=[CANCELLED, "test/x"], singleton=singleton)
    engine = await world.open()
    for _ in range(3):
        assert await engine.runs.cancel(await world.start("test/sleep"))
    await world.settle()
    runs = [run for run in await engine.runs.list() if run.function == "one"]
    assert sorted(run.status for run in runs) == ["cancelled", "cancelled", "parked"]


async def test_conditions_choose_among_them(world: Any) -> None:
    three(world)
    on = durable.On(FINISHED, if_="event.data.function_id == 'works'")
    of_works = Ear(world, on)
    loud = Ear(world, durable.On("durable/*", if_="event.data.error.name != null"))
    await world.open()
    await end_each(world)
    assert of_works.all == [(FINISHED, "works")]
    assert loud.all == [(FAILED, "breaks"), (FINISHED, "breaks")]


async def test_flow_control_applies_as_to_any_event(world: Any) -> None:
    three(world)
    batch = durable.Batch(2, "1h", key="event.data.function_id")
    batched = Ear(world, FINISHED, batch=batch)
    limited = Ear(world, FAILED, rate_limit=durable.RateLimit(1, "1h"))
    slow = Ear(world, FAILED, debounce=durable.Debounce("1h"))
    await world.open()
    for _ in range(2):
        await world.start("test/work")
        await world.start("test/break")
    assert (len(batched.heard), len(limited.heard), len(slow.heard)) == (2, 1, 0)
    await world.restart()
    await world.engine.advance("1h")
    assert len(slow.heard) == 1
    stats = world.engine.stats()["functions"]
    assert sum(one["skipped"] for one in stats.values()) == 1


async def test_a_listener_that_is_paused_skips_them(world: Any) -> None:
    world.function(breaks, on="test/break")
    ear = Ear(world, FAILED, id="ear")
    engine = await world.open()
    await engine.functions.pause("ear")
    run_id = await world.start("test/break")
    (event,) = [one for one in await engine.events.list() if one.event.name == FAILED]
    assert event.event.id == run_id
    assert event.skipped == {"ear": "paused"}
    assert not ear.heard


async def test_nothing_is_stored_where_nobody_listens(world: Any) -> None:
    three(world)
    engine = await world.open()
    await end_each(world)
    names = {one.event.name for one in await engine.events.list()}
    assert names == {"test/work", "test/break", "test/sleep"}


async def test_a_senders_id_like_a_runs_takes_no_telling_away(world: Any) -> None:
    world.function(breaks, on="test/break")
    ear = Ear(world, [FAILED, "test/x"])
    engine = await world.open()
    run_id = await world.start("test/break")
    await engine.send(durable.Event("test/x", {"function_id": "me"}, id=run_id))
    await world.send(durable.Event("test/x", {"function_id": "me"}, id=run_id))
    assert ear.all == [(FAILED, "breaks"), ("test/x", "me")]


async def test_they_are_not_for_others_to_send(world: Any) -> None:
    ear = Ear(world, FAILED)
    engine = await world.open()
    failed = durable.EventType(FAILED)
    for event in (durable.Event(FAILED), failed({"function_id": "x"})):
        with pytest.raises(durable.EventRefused, match="the engine's own"):
            await engine.send(event)
    assert not ear.heard


async def test_a_typed_event_reads_them_as_its_model(world: Any) -> None:
    heard: list[Failure] = []

    async def listen(ctx: durable.Context[Failure]) -> None:
        heard.append(ctx.event.data)

    world.function(breaks, on="test/break")
    world.function(listen, on=durable.EventType(FAILED, Failure))
    await world.open()
    await world.start("test/break")
    assert {one.function_id for one in heard} == {"breaks"}


@pytest.mark.parametrize("name", [FAILED, FINISHED, CANCELLED])
async def test_who_waits_for_an_end_listens(world: Any, name: str) -> None:
    """No function has it as a trigger."""
    three(world)

    async def patient(ctx: durable.Context) -> Any:
        event = await ctx.step.wait_for_event("end", name, timeout="1d")
        return event and event.data["function_id"]

    world.function(patient, on="test/start")
    await world.open()
    run_id = await world.start()
    await end_each(world)
    ends = {FAILED: "breaks", FINISHED: "works", CANCELLED: "sleeps"}
    assert (await world.get(run_id)).result == ends[name]


@pytest.mark.parametrize(
    "name", ["durable/function.invoked", "durable/scheduled.timer"]
)
async def test_what_nobody_is_told_of_cannot_be_waited_for(
    world: Any, name: str
) -> None:
    """Such a wait would only ever end with its time."""

    async def patient(ctx: durable.Context) -> None:
        await ctx.step.wait_for_event("wait", name, timeout="1d")

    world.function(patient, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "ConfigError")
    for word in ("'wait'", name, "nobody else is told of it", FINISHED):
        assert word in run.error.message
    with pytest.raises(durable.ConfigError, match="nobody else is told"):
        world.function(patient, on="test/start", cancel_on=durable.CancelOn(name))
