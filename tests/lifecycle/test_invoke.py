"""What is promised of `step.invoke`: the caller always learns what became of the run that it started."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio


class Receipt(BaseModel):
    """What a child returns."""

    number: int


def parent_of(world: Any, child: Any, **options: Any) -> None:
    """A function that invokes `child` and says what it was told."""

    async def parent(ctx: durable.Context) -> Any:
        data = ctx.event.data.get("child")
        try:
            result = await ctx.step.invoke("call", child, data, **options)
        except durable.InvokeError as error:
            said = [type(error).__name__, error.reason, error.name, error.message]
            return [*said, bool(error.run_id)]
        return repr(result)

    world.function(parent, on="test/start")


async def result(world: Any, run_id: str) -> Any:
    run = await world.get(run_id)
    return run.result if run.status == "completed" else run.status


async def test_a_step_invokes_a_function_and_is_given_its_typed_result(
    world: Any,
) -> None:
    async def child(ctx: durable.Context) -> Receipt:
        await ctx.step.sleep("a while", "1h")
        return Receipt(number=ctx.event.data["n"] + 1)

    parent_of(world, world.function(child))
    engine = await world.open()
    run_id = await world.start(data={"child": {"n": 1}})
    (wait,) = (await world.get(run_id)).waiting_on
    assert (wait.on, wait.step) == ("invoke", "call")
    assert wait.value is not None
    assert (await world.get(wait.value)).function == "child"
    assert engine.stats()["functions"]["parent"]["parked"]["invoke"] == 1
    await world.restart()
    await world.engine.advance("1h")
    assert await result(world, run_id) == "Receipt(number=2)"
    assert (await world.get(run_id)).steps["call"].kind == "invoke"


async def test_by_its_id_the_result_is_plain(world: Any) -> None:
    async def child(ctx: durable.Context) -> Receipt:
        return Receipt(number=len(ctx.event.data))

    world.function(child)
    parent_of(world, "child")
    await world.open()
    assert await result(world, await world.start()) == "{'number': 0}"


async def test_a_child_that_fails_says_how(world: Any) -> None:
    async def child(_: durable.Context) -> None:
        text = "no stock"
        raise durable.NonRetriableError(text)

    parent_of(world, world.function(child))
    await world.open()
    assert await result(world, await world.start()) == [
        "InvokeError",
        "failed",
        "NonRetriableError",
        "no stock",
        True,
    ]


async def test_a_child_that_is_cancelled_says_so(world: Any) -> None:
    async def child(ctx: durable.Context) -> None:
        await ctx.step.sleep("long", "1d")

    parent_of(world, world.function(child))
    engine = await world.open()
    run_id = await world.start()
    (wait,) = (await world.get(run_id)).waiting_on
    await engine.runs.cancel(wait.value)
    await world.settle()
    told = await result(world, run_id)
    assert told[:3] == ["InvokeError", "cancelled", "RunCancelled"]


async def test_a_child_that_takes_too_long_goes_on(world: Any) -> None:
    async def child(ctx: durable.Context) -> str:
        await ctx.step.sleep("long", "1d")
        return "late"

    parent_of(world, world.function(child), timeout="1h")
    engine = await world.open()
    run_id = await world.start()
    (wait,) = (await world.get(run_id)).waiting_on
    await engine.advance("1h")
    assert (await result(world, run_id))[:2] == ["InvokeTimeoutError", "timeout"]
    await engine.advance("1d")
    assert await result(world, wait.value) == "late"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate_limit": durable.RateLimit(1, "1h")}, "skipped"),
        ({"singleton": durable.Singleton("skip")}, "skipped"),
        ({"debounce": durable.Debounce("1h")}, "debounced"),
    ],
)
async def test_a_child_that_flow_control_takes_away_says_so(
    world: Any, options: dict[str, Any], says: str
) -> None:
    async def child(ctx: durable.Context) -> int:
        await ctx.step.sleep("a while", "2h")
        return 1

    parent_of(world, world.function(child, **options))
    engine = await world.open()
    first = await world.start()
    second = await world.start()
    told, waits = (second, first) if says == "skipped" else (first, second)
    assert (await result(world, told))[:2] == ["InvokeError", says]
    assert await result(world, waits) == "parked"
    await engine.advance("4h")
    assert await result(world, waits) == "1"


async def test_an_event_that_takes_a_debounced_calls_place_is_told_too(
    world: Any,
) -> None:
    async def child(ctx: durable.Context) -> int:
        return len(ctx.event.data)

    function = world.function(child, on="test/child", debounce=durable.Debounce("1h"))
    parent_of(world, function)
    await world.open()
    run_id = await world.start()
    await world.send(durable.Event("test/child", {}))
    assert (await result(world, run_id))[:2] == ["InvokeError", "debounced"]


async def test_all_of_a_batch_are_told(world: Any) -> None:
    async def child(ctx: durable.Context) -> int:
        return len(ctx.events)

    parent_of(world, world.function(child, batch=durable.Batch(2, "1h")))
    await world.open()
    runs = [await world.start() for _ in range(3)]
    assert [await result(world, run) for run in runs] == ["2", "2", "parked"]


async def test_a_paused_child_and_one_that_is_not_there_say_so(world: Any) -> None:
    async def child(_: durable.Context) -> None: ...

    world.function(child)
    parent_of(world, "child")
    engine = await world.open()
    await engine.functions.pause("child")
    assert (await result(world, await world.start()))[:2] == ["InvokeError", "skipped"]
    await world.close()
    parent_of(world, "chidl")
    await world.open()
    assert (await result(world, await world.start()))[:2] == ["InvokeError", "refused"]


async def test_an_error_that_is_not_caught_fails_the_run_at_once(world: Any) -> None:
    calls = 0

    async def child(_: durable.Context) -> None:
        text = "never"
        raise durable.NonRetriableError(text)

    async def parent(ctx: durable.Context) -> None:
        nonlocal calls
        calls += 1
        await ctx.step.invoke("call", "child")

    world.function(child)
    world.function(parent, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.name) == ("failed", "InvokeError")
    assert "never" in run.error.message
    assert calls == (1 if world.replay == "needed" else 2)


async def test_children_run_in_parallel_and_each_is_called_once(world: Any) -> None:
    calls: list[int] = []

    async def child(ctx: durable.Context) -> int:
        calls.append(ctx.event.data["n"])
        return ctx.event.data["n"] * 10

    function = world.function(child)

    async def parent(ctx: durable.Context) -> list[int]:
        made = (ctx.step.invoke("call", function, {"n": n}) for n in range(5))
        return await asyncio.gather(*made)

    world.function(parent, on="test/start")
    await world.open()
    assert await result(world, await world.start()) == [0, 10, 20, 30, 40]
    assert sorted(calls) == [0, 1, 2, 3, 4]


async def test_a_parent_that_ended_is_no_longer_told(world: Any) -> None:
    async def child(ctx: durable.Context) -> str:
        await ctx.step.sleep("long", "1h")
        return "done"

    parent_of(world, world.function(child))
    engine = await world.open()
    run_id = await world.start()
    (wait,) = (await world.get(run_id)).waiting_on
    await engine.runs.cancel(run_id)
    await engine.advance("2h")
    assert await result(world, wait.value) == "done"
    assert await result(world, run_id) == "cancelled"


async def test_a_singleton_that_cancels_its_own_caller_ends_it(world: Any) -> None:
    """A function that invokes itself, where each run cancels the one before."""

    async def again(ctx: durable.Context) -> str:
        if ctx.event.data.get("n", 0) < 1:
            await ctx.step.invoke("again", "again", {"n": 1})
        return "last"

    world.function(again, on="test/start", singleton=durable.Singleton("cancel"))
    engine = await world.open()
    run_id = await world.start()
    assert await result(world, run_id) == "cancelled"
    runs = await engine.runs.list(function="again", status="completed")
    assert [run.id for run in runs] != [run_id]
    assert len(runs) == 1


async def test_a_plain_handler_invokes_too(world: Any) -> None:
    def child(ctx: durable.SyncContext) -> Receipt:
        return Receipt(number=ctx.event.data["n"])

    function = world.function(child)

    def parent(ctx: durable.SyncContext) -> int:
        return ctx.step.invoke("call", function, {"n": 3}).number

    world.function(parent, on="test/start")
    await world.open()
    assert await result(world, await world.start()) == 3


async def test_what_is_no_function_is_explained(world: Any) -> None:
    parent_of(world, 5)
    await world.open()
    run = await world.get(await world.start())
    assert run.error.name == "UsageError"
    assert "5 is no durable function" in run.error.message


async def test_a_call_whose_event_is_called_off_is_told_and_the_batch_goes_on(
    world: Any,
) -> None:
    async def child(ctx: durable.Context) -> int:
        return len(ctx.events)

    parent_of(world, world.function(child, batch=durable.Batch(3, "1h")))
    engine = await world.open()
    first, second = [await world.start() for _ in range(2)]
    events = await engine.events.list(name="durable/function.invoked")
    oldest = min(event.id for event in events)
    assert await engine.events.cancel(oldest) == 1
    await world.settle()
    told = await result(world, first)
    assert told[:2] == ["InvokeError", "cancelled"]
    await engine.advance("2h")
    assert await result(world, second) == "1"


@pytest.mark.asyncio
async def test_what_of_the_data_is_not_json_is_told_with_whose_it_is(
    world: Any,
) -> None:
    async def asks(ctx: durable.Context) -> None:
        await ctx.step.invoke("ask", "asks", {"at": object()})

    world.function(asks, id="asks", on="test/start")
    engine = await world.open()
    with pytest.raises(
        durable.SerializationError, match=r"^engine\.invoke\('asks'\): data\.at is"
    ):
        await engine.invoke("asks", {"at": object()})
    with pytest.raises(
        durable.SerializationError, match=r"^engine\.signal\('go'\): data\.at is"
    ):
        await engine.signal("go", {"at": object()})
    run = await world.get(await world.start())
    assert run.error.message.startswith("step 'ask': data.at is a builtins.object")
