"""Code that changed while its runs slept: found by step id, or told at once what no longer fits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio


def follow(program: list[str], version: str) -> Callable[..., Any]:
    """A handler with these steps in this order; what is called `rest ..` sleeps for an hour."""

    async def handler(ctx: durable.Context) -> list[str]:
        results: list[str] = []
        for step_id in program:
            if step_id.startswith("rest"):
                await ctx.step.sleep(step_id, "1h")
            else:
                results.append(
                    await ctx.step.run(step_id, lambda i: f"{i}@{version}", step_id)
                )
        return results

    return handler


async def change(world: Any, after: Callable[..., Any]) -> None:
    """Deploy: another process with other code on the same store."""
    world.function(after, id="changing", on="test/start")
    await world.restart()


async def freeze(world: Any, before: Callable[..., Any]) -> str:
    """A run of this code, as far as it comes by itself."""
    world.function(before, id="changing", on="test/start")
    await world.open()
    run_id: str = await world.start()
    return run_id


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a b rest c", "a new b rest c", "a@1 new@2 b@1 c@2"),
        ("a b rest c", "new a b rest c", "new@2 a@1 b@1 c@2"),
        ("a b rest c", "a b rest new c", "a@1 b@1 new@2 c@2"),
        ("a b rest c", "b rest c", "b@1 c@2"),
        ("a b rest c", "a b c", "a@1 b@1 c@2"),
        ("a b rest c", "rest c", "c@2"),
        ("a b rest c", "", ""),
        ("a b rest c", "b a rest c", "b@1 a@1 c@2"),
        ("a b rest c", "c rest b a", "c@2 b@1 a@1"),
        ("a b rest c", "a renamed rest c", "a@1 renamed@2 c@2"),
        ("a b rest c", "a b rest2 c", "a@1 b@1 c@2"),
        ("a a rest c", "a a a rest c", "a@1 a@1 a@2 c@2"),
        ("a a a rest c", "a rest c", "a@1 c@2"),
        ("a rest b rest2 c", "b rest2 a rest", "b@2 a@1"),
    ],
)
async def test_steps_are_found_by_their_ids(
    world: Any, before: str, after: str, expected: str
) -> None:
    """Inserted, removed, reordered: what is remembered is not executed again, and answers the step of its id."""
    run_id = await freeze(world, follow(before.split(), "1"))
    await change(world, follow(after.split(), "2"))
    await world.engine.advance("3h")
    run = await world.get(run_id)
    assert run.status == "completed", run.error
    assert run.result == expected.split()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of steps that nobody came to."""
    logged = [r.getMessage() for r in caplog.records if r.name == "durable"]
    return [text for text in logged if "without coming to" in text]


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        ("a b rest c", "a renamed rest c", "'b'", "'renamed'"),
        ("a rest c", "a rest2 c", "'rest'", "'rest2'"),
        ("a a rest c", "a rest c", "'a:1'", ""),
        ("a b d rest c", "x y rest c", "'a', 'b', 'd'", "'x', 'y'"),
    ],
)
async def test_what_is_recorded_and_not_met_is_told_once_for_each_function(
    world: Any,
    caplog: pytest.LogCaptureFixture,
    before: str,
    after: str,
    gone: str,
    new: str,
) -> None:
    """A step that was renamed is done again: somebody should hear of it, and not from each of a million runs."""
    run_id = await freeze(world, follow(before.split(), "1"))
    second = await world.start()
    await change(world, follow(after.split(), "2"))
    assert warnings(caplog) == [], "they may yet come to it"
    await world.engine.advance("3h")
    for one in (run_id, second):
        assert (await world.get(one)).status == "completed"
    (told,) = warnings(caplog)
    assert f"function 'changing', run {run_id}:" in told or f"run {second}:" in told
    assert f"without coming to: {gone}" in told
    assert f"came to {new}" in told if new else True


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_code_that_comes_to_all_its_steps_is_told_nothing(
    world: Any, caplog: pytest.LogCaptureFixture, *, is_plain: bool
) -> None:
    """Neither is a run that is tried again, nor one that gives a step up, nor one that a step's result sends elsewhere."""
    tries: list[int] = []

    async def handler(ctx: durable.Context) -> str:
        async with asyncio.TaskGroup() as group:
            long = group.create_task(ctx.step.wait_for_signal("w", "go", timeout="9h"))
            await ctx.step.sleep("rest", "1h")
            long.cancel()
        way = await ctx.step.run("way", lambda: "left")
        if not tries:
            tries.append(1)
            text = "tried again"
            raise OSError(text)
        await ctx.step.run(way, str)
        await ctx.step.sleep("rest", "12h")
        return way

    def plain(ctx: durable.SyncContext) -> str:
        way = ctx.step.run("way", lambda: "left")
        ctx.step.sleep("rest", "14h")
        ctx.step.run(way, str)
        return way

    world.function(plain if is_plain else handler, id="changing", on="test/start")
    await world.open()
    run_id = await world.start()
    await world.engine.advance("30m")
    await world.restart()
    await world.engine.advance("2h")
    await world.restart()
    await world.engine.advance("1d")
    assert (await world.get(run_id)).result == "left"
    assert warnings(caplog) == []


@pytest.mark.parametrize("frozen_for", range(4))
async def test_a_change_at_any_sleep_of_a_run_is_tolerated(
    world: Any, frozen_for: int
) -> None:
    """Wherever the run stood: the steps before are remembered, those behind are the new code's."""
    before = ["a", "rest1", "b", "rest2", "c", "rest3", "d"]
    after = ["new", "c", "rest3", "a", "rest1", "b", "rest2", "d"]
    run_id = await freeze(world, follow(before, "1"))
    await world.engine.advance(f"{frozen_for}h")
    await change(world, follow(after, "2"))
    await world.engine.advance("6h")
    run = await world.get(run_id)
    done = ["a", "b", "c", "d"][: frozen_for + 1]
    if frozen_for == 3:  # it had ended
        assert run.result == [f"{step_id}@1" for step_id in "abcd"]
        return
    expected = [
        f"{step_id}@{'1' if step_id in done else '2'}"
        for step_id in ("new", "c", "a", "b", "d")
    ]
    assert (run.status, run.result) == ("completed", expected)


@pytest.mark.parametrize(
    "waits", ["signal", "event", "invoke", "retry"], ids=lambda one: f"in {one}"
)
async def test_a_change_while_a_run_waits_is_tolerated(world: Any, waits: str) -> None:
    """A wait that goes on answers the step of its id, wherever the new code has it."""
    tries: list[int] = []

    async def child(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        return "child"

    def shaky() -> str:
        tries.append(1)
        assert len(tries) > 1
        return "shaky"

    def wait(ctx: durable.Context) -> Any:
        return {
            "signal": lambda: ctx.step.wait_for_signal("w", "go", timeout="2h"),
            "event": lambda: ctx.step.wait_for_event("w", "test/go", timeout="2h"),
            "invoke": lambda: ctx.step.invoke("w", "child"),
            "retry": lambda: ctx.step.run("w", shaky),
        }[waits]()

    async def before(ctx: durable.Context) -> list[str]:
        one = await ctx.step.run("one", lambda: "one@1")
        await wait(ctx)
        return [one]

    async def after(ctx: durable.Context) -> list[Any]:
        new = await ctx.step.run("new", lambda: "new@2")
        given = await wait(ctx)
        one = await ctx.step.run("one", lambda: "one@2")
        return [new, one, given is not None]

    world.function(child, id="child")
    run_id = await freeze(world, before)
    await change(world, after)
    if waits == "signal":
        await world.engine.signal("go", 1)
    await world.send(durable.Event("test/go", {}))
    await world.engine.advance("1h")
    run = await world.get(run_id)
    assert (run.status, run.result) == ("completed", ["new@2", "one@1", True])


async def test_steps_in_a_row_that_are_parallel_now(world: Any) -> None:
    def value(text: str) -> str:
        return text

    async def before(ctx: durable.Context) -> None:
        await ctx.step.run("a", value, "a@1")
        await ctx.step.run("b", value, "b@1")
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> list[str]:
        steps = [ctx.step.run(i, value, f"{i}@2") for i in ("c", "b", "d", "a")]
        return [*await asyncio.gather(*steps), str(await ctx.step.sleep("rest", "1h"))]

    run_id = await freeze(world, before)
    await change(world, after)
    await world.engine.advance("1h")
    assert (await world.get(run_id)).result == ["c@2", "b@1", "d@2", "a@1", "None"]


# --- what no longer fits


class Order(BaseModel):
    """What a step gave."""

    items: list[int]


class Priced(BaseModel):
    """What it gives after the change."""

    items: list[int]
    cents: int


def giving(value: Any, kind: object) -> Callable[[], Any]:
    """A function that returns this, and says that it returns this type."""

    def give() -> Any:
        return value

    give.__annotations__["return"] = kind
    return give


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        (giving("x", str), giving(1, int), ['result was recorded as "x"', "int"]),
        (
            giving([1, "x"], list[Any]),
            giving([1], list[int]),
            ['result[1] was recorded as "x"', "expects list[int]"],
        ),
        (
            giving(Order(items=[1]), Order),
            giving(Priced(items=[1], cents=1), Priced),
            ['result.cents was recorded as {"items":[1]}', "Priced", "Field required"],
        ),
        (
            giving({"items": [1, None]}, dict[str, Any]),
            giving(Order(items=[1]), Order),
            ["result.items[1] was recorded as null", "Order"],
        ),
        (
            giving("x" * 5000, str),
            giving("a", Literal["a", "b"]),
            ["xxx...", "Literal['a', 'b']"],
        ),
    ],
    ids=["plain", "in a list", "new field", "deep", "long"],
)
@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_a_memo_that_does_not_fit_its_type_ends_that_run_at_once(
    world: Any,
    was: Callable[[], Any],
    now: Callable[[], Any],
    words: list[str],
    *,
    is_plain: bool,
) -> None:
    """It says what changed, cannot be caught, is not tried again, and happens to no other run."""
    calls: list[str] = []

    async def before(ctx: durable.Context) -> None:
        await ctx.step.run("value", was)
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> str:
        calls.append(ctx.run_id)
        try:
            await ctx.step.run("value", now)
        except Exception:  # noqa: BLE001  # it is what is tried
            await ctx.step.run("another", calls.append, "caught")
        return "new"

    def plain_after(ctx: durable.SyncContext) -> str:
        calls.append(ctx.run_id)
        try:
            ctx.step.run("value", now)
        except Exception:  # noqa: BLE001  # it is what is tried
            ctx.step.run("another", calls.append, "caught")
        return "new"

    old = await freeze(world, before)
    await change(world, plain_after if is_plain else after)
    new = await world.start()
    await world.engine.advance("1h")
    run = await world.get(old)
    assert (run.status, run.error.name) == ("failed", "NonDeterminismError")
    told = run.error.message
    for word in [*words, "'changing'", "'value'", "test_changed_code.py:", old]:
        assert word in told
    assert "--from-step 'value'" in told
    assert calls.count(old) == 1
    assert "caught" not in calls
    assert (await world.get(new)).result == "new"
    assert (await world.get(await world.start())).result == "new"


async def test_it_can_be_repeated_from_there_as_it_says(world: Any) -> None:
    async def before(ctx: durable.Context) -> None:
        await ctx.step.run("one", giving("one@1", str))
        await ctx.step.run("value", giving("x", str))
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> list[Any]:
        one = await ctx.step.run("one", giving("one@2", str))
        return [one, await ctx.step.run("value", giving(2, int))]

    old = await freeze(world, before)
    await change(world, after)
    await world.engine.advance("1h")
    assert (await world.get(old)).error.name == "NonDeterminismError"
    again = await world.engine.runs.rerun(old, from_step="value")
    await world.settle()
    assert (await world.get(again)).result == ["one@1", 2]


def step_of(ctx: Any, kind: str) -> Any:
    """The step `x`, of this kind."""
    return {
        "run": lambda: ctx.step.run("x", str),
        "sleep": lambda: ctx.step.sleep("x", "1m"),
        "wait_for_signal": lambda: ctx.step.wait_for_signal("x", "go", timeout="1m"),
        "wait_for_event": lambda: ctx.step.wait_for_event("x", "t/go", timeout="1m"),
        "invoke": lambda: ctx.step.invoke("x", "child"),
    }[kind]()


KINDS = ["run", "sleep", "wait_for_signal", "wait_for_event", "invoke"]
PAIRS = [(was, now) for was in KINDS for now in KINDS if was != now]


async def child(ctx: durable.Context) -> str:
    return ctx.run_id


@pytest.mark.parametrize(("was", "now"), PAIRS)
async def test_a_step_of_another_kind_ends_that_run_at_once(
    world: Any, was: str, now: str
) -> None:
    """What a sleep gave is no result of a function: the error names both kinds."""

    async def before(ctx: durable.Context) -> None:
        await step_of(ctx, was)
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> Any:
        try:
            return await step_of(ctx, now)
        except Exception:  # noqa: BLE001  # it is what is tried
            return "caught"

    world.function(child, id="child")
    old = await freeze(world, before)
    await world.engine.advance("2m")
    await change(world, after)
    await world.engine.advance("2h")
    run = await world.get(old)
    assert run.status == "failed", run.result
    assert run.error.name == "NonDeterminismError"
    first, second = run.error.message.split("the code now has")
    written = {"run": "step.run", "wait_for_signal": "step.wait_for_signal"}
    assert written.get(was, f"step.{was}") in first
    assert written.get(now, f"step.{now}") in second
    assert "Step 'x'" in first
    assert (await world.get(await world.start())).status != "failed"


@pytest.mark.parametrize(
    ("was", "now"), [(was, now) for was, now in PAIRS if "run" in (was, now)]
)
@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_a_step_that_was_still_pending_as_another_kind(
    world: Any, was: str, now: str, *, is_plain: bool
) -> None:
    """Told once it is remembered as what it was; a try that is due is not made."""
    tries: list[int] = []

    def fails() -> None:
        tries.append(1)
        raise ValueError

    async def slow_child(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1m")

    async def before(ctx: durable.Context) -> None:
        await (ctx.step.run("x", fails) if was == "run" else step_of(ctx, was))

    async def after(ctx: durable.Context) -> Any:
        return await step_of(ctx, now)

    def plain_after(ctx: durable.SyncContext) -> Any:
        return step_of(ctx, now)

    world.function(slow_child, id="child")
    old = await freeze(world, before)
    await change(world, plain_after if is_plain else after)
    await world.engine.advance("2h")
    run = await world.get(old)
    assert (run.status, run.error.name) == ("failed", "NonDeterminismError")
    assert "the code now has" in run.error.message
    assert len(tries) == (was == "run")


async def test_in_parallel_what_does_not_fit_ends_the_whole_run(world: Any) -> None:
    async def before(ctx: durable.Context) -> None:
        await ctx.step.run("value", giving("x", str))
        await ctx.step.sleep("rest", "1h")

    async def after(ctx: durable.Context) -> Any:
        return await asyncio.gather(
            ctx.step.run("value", giving(1, int)),
            ctx.step.sleep("other", "1h"),
            return_exceptions=True,
        )

    old = await freeze(world, before)
    await change(world, after)
    await world.engine.advance("1h")
    run = await world.get(old)
    assert (run.status, run.error.name) == ("failed", "NonDeterminismError")
    await world.engine.advance("3h")
    assert (await world.get(old)) == run


async def test_a_result_of_an_invoked_function_that_no_longer_fits(world: Any) -> None:
    async def text(_: durable.Context) -> str:
        return "x"

    async def number(_: durable.Context) -> int:
        return 1

    text.__annotations__["return"] = str
    number.__annotations__["return"] = int
    old_child = world.function(text, id="child")

    async def before(ctx: durable.Context) -> None:
        await ctx.step.invoke("call", old_child)
        await ctx.step.sleep("rest", "1h")

    old = await freeze(world, before)
    new_child = world.function(number, id="child")

    async def after(ctx: durable.Context) -> int:
        result: int = await ctx.step.invoke("call", new_child)
        return result

    await change(world, after)
    await world.engine.advance("1h")
    error = (await world.get(old)).error
    assert error.name == "NonDeterminismError"
    assert "Step 'call'" in error.message
    assert 'result was recorded as "x"' in error.message
