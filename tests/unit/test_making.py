"""A step's arguments are checked where it is asked for, and handed on as they are."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda step: step.run("", int), "not empty"),
        (lambda step: step.run(5, int), "is a text"),
        (lambda step: step.run(int), "ctx.step.run('charge', charge_card, order_id)"),
        (lambda step: step.run(int, 5), "is a text"),
        (lambda step: step.run("a"), "is no function"),
        (lambda step: step.run(), "is a text"),
        (lambda step: step.run("x" * 257, int), "256 bytes"),
        (lambda step: step.run("a", 5), "is no function"),
        (lambda step: step.sleep("a", "1h 3x"), "accepted"),
        (lambda step: step.sleep_until("a", datetime(2026, 1, 1)), "time zone"),  # noqa: DTZ001
    ],
)
async def test_wrong_arguments_of_steps_fail_the_run_at_once(
    bench: Any, ask: Any, says: str
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ask(ctx.step)

    error = bench.error(await bench.start(handler))
    assert error["name"] == "UsageError"
    assert says in error["message"]


def nothing() -> None: ...


@durable.step(id="one")
async def decorated(word: str, *, is_loud: bool = False) -> str:
    return word.upper() if is_loud else word


@pytest.mark.parametrize("settings", [{}, {"blocking": True}])
@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda step: step.run("one", nothing, 5), "nothing(): too many positional"),
        (lambda step: step.run("one", decorated), "'word'"),
        (lambda step: step.run("one", decorated, "a", is_low=1), "'is_low'"),
        (lambda step: step.run("one", functools.partial(nothing), 5), "too many"),
        (lambda _: decorated(), "'word'"),
    ],
)
async def test_arguments_the_function_does_not_take_fail_the_step_at_once(
    bench: Any, ask: Any, says: str, settings: dict[str, bool]
) -> None:
    async def handler(ctx: durable.Context) -> str:
        with pytest.raises(durable.StepError) as caught:
            await ask(ctx.step.options(**settings))
        return f"{caught.value.name}: {caught.value.message}"

    run = await bench.start(handler)
    await bench.settle_threads(run)
    said = bench.result(run)
    assert said.startswith("UsageError: step 'one'")
    assert says in said


async def test_a_plain_handlers_steps_are_checked_alike(bench: Any) -> None:
    def handler(ctx: durable.SyncContext) -> str:
        with pytest.raises(durable.StepError) as caught:
            ctx.step.run("one", nothing, 5)  # type: ignore[call-arg]  # the point
        return caught.value.name

    run = await bench.start(handler)
    await bench.settle_threads(run)
    assert bench.result(run) == "UsageError"


async def test_a_functions_own_type_error_is_tried_again(bench: Any) -> None:
    calls: list[int] = []

    def inner(word: str, made_by_the_wrapper: int) -> str:
        calls.append(made_by_the_wrapper)
        if len(calls) < 2:
            raise TypeError("not yet")
        return word

    @functools.wraps(inner)
    def wrapper(word: str) -> str:
        return inner(word, 5)

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("one", wrapper, "a")

    run = await bench.start(handler)
    await bench.advance(1000)
    assert bench.result(run) == "a"


async def test_a_call_in_place_of_a_function_is_explained(bench: Any) -> None:
    async def charge() -> int:
        return 1

    made: list[Any] = []

    async def handler(ctx: durable.Context) -> None:
        made.append(charge())
        await ctx.step.run("charge", made[-1])

    error = bench.error(await bench.start(handler))
    assert "give the function and its arguments apart" in error["message"]
    for coroutine in made:
        coroutine.close()


async def test_arguments_are_handed_on(bench: Any) -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    async def handler(ctx: durable.Context) -> Any:
        return await ctx.step.run("a", function, 1, "b", id="c", fn="d")

    assert bench.result(await bench.start(handler)) == [
        [1, "b"],
        {"id": "c", "fn": "d"},
    ]
