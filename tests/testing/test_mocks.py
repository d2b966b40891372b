"""What a test gives in place of a step is what the handler gets, and a name that nobody meets is an error."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import durable
from durable.testing import TestEngine

from .conftest import Replay, Shop


pytestmark = pytest.mark.asyncio

START = durable.Event("shop/start", {"order_id": "o1"})


class Charge(BaseModel):
    """What a bank gives."""

    charge_id: str


class Payment(BaseModel):
    """What a customer gives."""

    cents: int


PAID = durable.EventType("shop/paid", Payment)


async def charge_card(order_id: str) -> Charge:
    text = f"a test charged a real card for {order_id}"
    raise AssertionError(text)


async def test_a_value_stands_for_what_a_step_returns(
    shop: Shop, replay: Replay
) -> None:
    """As the type that the step's function declares."""

    async def pay(ctx: durable.Context) -> str:
        charge = await ctx.step.run("charge", charge_card, "o1")
        return charge.charge_id

    function = shop.function(pay, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(function, START, steps={"charge": Charge(charge_id="c")})
        t.assert_completed(run)
        assert run.result == "c"
        assert run.steps["charge"].attempts == 1
        run = await t.execute(function, START, steps={"charge": "no charge"})
        t.assert_failed(run, "does not fit the declared type Charge")


async def test_an_exception_is_raised_at_each_try(shop: Shop, replay: Replay) -> None:
    async def pay(ctx: durable.Context) -> str:
        try:
            await ctx.step.run("charge", charge_card, "o1")
        except durable.StepError as error:
            return error.message
        return "paid"

    function = shop.function(pay, on="shop/start", retries=2)
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(
            function, START, steps={"charge": ConnectionError("no bank")}
        )
        assert (run.result, run.steps["charge"].attempts) == ("no bank", 3)
        final = durable.NonRetriableError("no card")
        run = await t.execute(function, START, steps={"charge": final})
        assert (run.result, run.steps["charge"].attempts) == ("no card", 1)


async def test_a_function_is_called_with_the_arguments_of_the_step(
    shop: Shop, replay: Replay
) -> None:
    given: list[object] = []

    def first(*args: object, **named: object) -> str:
        given.append((args, named))
        return "first"

    async def second() -> str:
        given.append("second")
        if given.count("second") == 1:
            text = "once"
            raise RuntimeError(text)
        return "second"

    async def two(ctx: durable.Context) -> list[str]:
        one = await ctx.step.run("one", shop.do, "one")
        return [one, await ctx.step.options(blocking=True).run("two", shop.do, "two")]

    function = shop.function(two, on="shop/start")
    mocks: dict[str, Any] = {"one": first, "two": lambda _: second()}
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(function, START, steps=mocks)
    assert run.result == ["first", "second"]
    assert given == [(("one",), {}), "second", "second"]
    assert shop.done == []


async def test_an_id_stands_for_all_of_its_uses_and_a_name_for_one(
    shop: Shop, replay: Replay
) -> None:
    async def three(ctx: durable.Context) -> list[str]:
        return [await ctx.step.run("page", shop.do, "page") for _ in range(3)]

    function = shop.function(three, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        run = await t.execute(function, START, steps={"page": "all", "page:1": "one"})
    assert run.result == ["all", "one", "all"]


async def test_steps_that_wait_are_answered_at_once(shop: Shop, replay: Replay) -> None:
    async def child(ctx: durable.Context) -> Charge:
        return await ctx.step.run("charge", charge_card, "o1")

    inner: durable.Function[Any, Charge] = shop.function(child)

    async def waits(ctx: durable.Context) -> list[object]:
        await ctx.step.sleep("rest", "10d")
        paid = await ctx.step.wait_for_event("paid", PAID, timeout="10d")
        other = await ctx.step.wait_for_event("other", "shop/other", timeout="10d")
        yes = await ctx.step.wait_for_signal("yes", "approve", timeout="10d")
        charge = await ctx.step.invoke("charge", inner)
        try:
            await ctx.step.invoke("refused", inner)
        except durable.InvokeError as error:
            return [paid and paid.data.cents, other, yes, charge.charge_id, str(error)]
        return []

    function = shop.function(waits, on="shop/start")
    mocks = {
        "rest": None,
        "paid": PAID(cents=5),
        "other": None,
        "yes": durable.Signal("approve", {"by": "Grace"}),
        "charge": Charge(charge_id="c"),
        "refused": durable.NonRetriableError("no"),
    }
    async with TestEngine(shop.app, replay=replay) as t:
        began = t.now
        run = await t.execute(function, START, steps=mocks)
        t.assert_completed(run)
        assert t.now == began
        assert len(await t.runs.list()) == 1
    *values, refused = run.result
    assert values == [5, None, {"signal": "approve", "data": {"by": "Grace"}}, "c"]
    assert "no" in refused


async def test_what_cannot_answer_a_wait_fails_the_run(shop: Shop) -> None:
    async def waits(ctx: durable.Context) -> None:
        await ctx.step.wait_for_event("paid", PAID, timeout="10d")
        await ctx.step.wait_for_signal("yes", "approve", timeout="10d")

    function = shop.function(waits, on="shop/start")
    async with TestEngine(shop.app) as t:
        run = await t.execute(function, START, steps={"paid": "money"})
        t.assert_failed(run, "mocked with a durable.Event or None, not with 'money'")
        run = await t.execute(
            function, START, steps={"paid": durable.Event("shop/lost")}
        )
        t.assert_failed(
            run, "waits for 'shop/paid' is mocked with another event: 'shop/lost'"
        )
        run = await t.execute(function, START, steps={"paid": None, "yes": "yes"})
        t.assert_failed(run, "mocked with a durable.Signal or None, not with 'yes'")


async def test_a_step_that_the_run_never_came_to_is_an_error(
    shop: Shop, replay: Replay
) -> None:
    async def pay(ctx: durable.Context) -> None:
        await ctx.step.run("charge", shop.do, "charge")

    function = shop.function(pay, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        with pytest.raises(
            durable.UsageError,
            match=r"never came to 'chrage'; .*: 'charge'. Did you mean 'charge'\?$",
        ):
            await t.execute(function, START, steps={"chrage": "mocked"})
        with pytest.raises(
            durable.UsageError, match=r"never came to 'chrage'; .*: 'charge'$"
        ):
            await t.execute(function, START, steps={"chrage": "mocked", "charge": "c"})


async def test_a_run_that_failed_before_a_mock_is_given_as_it_is(
    shop: Shop, replay: Replay
) -> None:
    async def pay(ctx: durable.Context) -> None:
        await ctx.step.run("charge", shop.do, "charge")
        await ctx.step.run("ship", shop.do, "ship")

    function = shop.function(pay, on="shop/start", retries=0)
    async with TestEngine(shop.app, replay=replay) as t:
        mocks = {"charge": ConnectionError("no bank"), "ship": "shipped"}
        run = await t.execute(function, START, steps=mocks)
        t.assert_failed(run, "no bank")
    assert shop.done == []


async def test_a_misspelt_mock_of_a_run_that_failed_is_told_with_its_failure(
    shop: Shop, replay: Replay
) -> None:
    """The real step was called, and that may be why."""
    whole = f"no bank {'in sight ' * 30}anywhere"

    async def pay(ctx: durable.Context) -> None:
        await ctx.step.run("reserve", shop.do, "reserve")
        await ctx.step.run("charge", charge)
        await ctx.step.run("ship", shop.do, "ship")

    def charge() -> None:
        raise ConnectionError(whole)

    function = shop.function(pay, on="shop/start", retries=0)
    async with TestEngine(shop.app, replay=replay) as t:
        mocks = {"reserve": "r", "chrage": None, "ship": "s"}
        with pytest.raises(
            durable.UsageError,
            match=r"never came to 'chrage'; .*: 'reserve', 'charge'. Did you mean 'charge'\?\n",
        ) as found:
            await t.execute(function, START, steps=mocks)
    text = str(found.value)
    assert whole in text
    assert "The run failed: " in text
    assert "ConnectionError" in text
    assert "reserve  " in text, "it is drawn"


async def test_mocks_are_for_one_run(shop: Shop, replay: Replay) -> None:
    async def pay(ctx: durable.Context) -> str:
        return await ctx.step.run("charge", shop.do, "charge")

    function = shop.function(pay, on="shop/start")
    async with TestEngine(shop.app, replay=replay) as t:
        mocked = await t.execute(function, START, steps={"charge": "mocked"})
        real = await t.execute(function, START)
    assert (mocked.result, real.result) == ("mocked", "charge done")
    assert shop.done == ["charge"]


async def test_the_result_has_the_functions_type(shop: Shop) -> None:
    async def pay(ctx: durable.Context) -> Charge:
        return await ctx.step.run("charge", charge_card, "o1")

    function = shop.function(pay, on="shop/start")
    async with TestEngine(shop.app) as t:
        charge = Charge(charge_id="c")
        run = await t.execute(function, START, steps={"charge": charge})
    assert run.result == charge
