"""`runs.rerun`: a new run of the same event, whole or from one of its steps on."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


class Shop:
    """A handler of three steps whose second one can be broken, and what was called of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_broken = False
        self.seen: list[Any] = []

    async def order(self, ctx: durable.Context) -> Any:
        self.seen.append((ctx.event.id, ctx.event.data))
        price = await ctx.step.run("price", self.price, ctx.event.data.get("n", 0))
        paid = await ctx.step.run("charge", self.charge, price)
        return await ctx.step.run("mail", self.mail, paid)

    async def price(self, n: int) -> int:
        self.calls.append("price")
        return n * 10

    async def charge(self, price: int) -> str:
        self.calls.append("charge")
        if self.is_broken:
            text = "card refused"
            raise durable.NonRetriableError(text)
        return f"paid {price}"

    async def mail(self, paid: str) -> str:
        self.calls.append("mail")
        return f"sent: {paid}"


def shop_of(world: Any, **settings: Any) -> Shop:
    shop = Shop()
    world.function(shop.order, id="order", on="shop/order", **settings)
    return shop


async def rerun(world: Any, run_id: str, *args: Any, **kwargs: Any) -> durable.Run:
    again = await world.engine.runs.rerun(run_id, *args, **kwargs)
    assert again != run_id
    await world.settle()
    run = await world.get(again)
    assert run.rerun_of == run_id
    return run


async def test_a_failed_run_is_repeated_whole_and_stays_as_it_is(world: Any) -> None:
    shop = shop_of(world)
    await world.open()
    shop.is_broken = True
    run_id = await world.start("shop/order", {"n": 2})
    first = await world.get(run_id)
    assert (first.status, first.rerun_of) == ("failed", None)
    shop.is_broken = False
    again = await rerun(world, run_id)
    assert (again.status, again.result) == ("completed", "sent: paid 20")
    assert again.event_ids == first.event_ids
    assert again.function == first.function
    assert shop.calls == ["price", "charge", "price", "charge", "mail"]
    assert await world.get(run_id) == first
    runs = await world.engine.events.runs(first.event_ids[0])
    assert [run.id for run in runs] == [run_id, again.id]


async def test_what_it_repeats_is_known_after_a_restart(world: Any) -> None:
    shop_of(world)
    await world.open()
    run_id = await world.start("shop/order", {"n": 1})
    again = await rerun(world, run_id)
    await world.restart()
    assert (await world.get(again.id)).rerun_of == run_id
    assert (await rerun(world, again.id)).result == "sent: paid 10"
    listed = {run.id: run.rerun_of for run in await world.engine.runs.list()}
    assert listed[again.id] == run_id


async def sleeper(ctx: durable.Context) -> str:
    await ctx.step.sleep("rest", "1h")
    return "rested"


async def test_live_and_cancelled_runs_are_repeated_too(world: Any) -> None:
    world.function(sleeper, on="test/start")
    engine = await world.open()
    live = await world.start()
    beside = await rerun(world, live)
    assert beside.status == (await world.get(live)).status == "parked"
    await engine.runs.cancel(live)
    third = await rerun(world, live)
    await engine.advance("1h")
    assert (await world.get(live)).status == "cancelled"
    for run_id in (beside.id, third.id):
        assert (await world.get(run_id)).result == "rested"


async def test_a_batch_is_repeated_with_all_of_its_events(world: Any) -> None:
    seen: list[list[int]] = []

    async def many(ctx: durable.Context) -> int:
        seen.append([event.data["n"] for event in ctx.events])
        return len(ctx.events)

    world.function(many, on="test/start", batch=durable.Batch(3, "1h"))
    await world.open()
    await world.send(*[durable.Event("test/start", {"n": n}) for n in range(3)])
    (first,) = await world.engine.runs.list()
    again = await rerun(world, first.id)
    assert (again.result, again.event_ids) == (3, first.event_ids)
    assert seen == [[0, 1, 2], [0, 1, 2]]
    with pytest.raises(durable.ConfigError, match="batch of 3 events"):
        await world.engine.runs.rerun(first.id, data={"n": 9})


async def test_neither_the_senders_id_nor_limits_on_events_refuse_it(
    world: Any,
) -> None:
    """They have let the event through once."""
    shop_of(world, idempotency="event.data.n")
    await world.open()
    (event_id,) = await world.send(durable.Event("shop/order", {"n": 1}, id="mine"))
    run = await world.run_of(event_id)
    again = await rerun(world, run.id)
    assert again.result == "sent: paid 10"
    assert (await rerun(world, again.id)).result == "sent: paid 10"
    await world.send(durable.Event("shop/order", {"n": 2}, id="mine"))
    assert len(await world.engine.runs.list()) == 3


async def test_what_paces_runs_paces_it(world: Any) -> None:
    world.function(sleeper, on="test/start", run_concurrency=durable.Concurrency(1))
    engine = await world.open()
    run_id = await world.start()
    again = await rerun(world, run_id)
    assert again.status == "queued"
    await engine.advance("1h")
    assert (await world.get(again.id)).status == "parked"
    await engine.advance("1h")
    assert (await world.get(again.id)).result == "rested"


async def test_a_singleton_or_a_pause_refuses_it_and_says_so(world: Any) -> None:
    world.function(sleeper, on="test/start", singleton=durable.Singleton("skip"))
    engine = await world.open()
    run_id = await world.start()
    with pytest.raises(durable.InvokeError, match=r"'sleeper'.*singleton"):
        await engine.runs.rerun(run_id)
    with pytest.raises(durable.InvokeError, match=r"'sleeper'.*singleton"):
        await engine.runs.rerun(run_id, data={"n": 1})
    await engine.functions.pause("sleeper")
    with pytest.raises(durable.InvokeError, match=r"'sleeper'.*paused"):
        await engine.runs.rerun(run_id)
    assert len(await engine.runs.list()) == 1


async def test_a_singleton_that_makes_way_does_for_it(world: Any) -> None:
    world.function(sleeper, on="test/start", singleton=durable.Singleton("cancel"))
    await world.open()
    run_id = await world.start()
    again = await rerun(world, run_id)
    assert again.status == "parked"
    assert (await world.get(run_id)).status == "cancelled"


async def test_what_was_recorded_before_a_step_is_not_called_again(world: Any) -> None:
    shop = shop_of(world)
    await world.open()
    shop.is_broken = True
    run_id = await world.start("shop/order", {"n": 2})
    shop.is_broken = False
    shop.calls.clear()
    again = await rerun(world, run_id, from_step="charge")
    assert (again.result, shop.calls) == ("sent: paid 20", ["charge", "mail"])
    steps = [(s.name, s.attempts, s.result) for s in again.steps.values()]
    assert steps[0] == ("price", 0, 20)
    assert steps[1] == ("charge", 1, "paid 20")
    shop.calls.clear()
    assert (await rerun(world, again.id, "mail")).result == "sent: paid 20"
    assert shop.calls == ["mail"]
    shop.calls.clear()
    assert (await rerun(world, again.id, from_step="price")).result == "sent: paid 20"
    assert shop.calls == ["price", "charge", "mail"]


async def test_a_step_is_given_another_result(world: Any) -> None:
    shop = shop_of(world)
    await world.open()
    shop.is_broken = True
    run_id = await world.start("shop/order", {"n": 2})
    shop.calls.clear()
    again = await rerun(world, run_id, from_step="charge", output="paid by hand")
    assert (again.result, shop.calls) == ("sent: paid by hand", ["mail"])
    assert again.steps["charge"].attempts == 0
    odd = await rerun(world, run_id, from_step="charge", output=7)
    assert odd.error.name == "NonDeterminismError", "the step says that it gives a str"


async def test_the_event_is_given_other_data(world: Any) -> None:
    shop = shop_of(world)
    await world.open()
    (event_id,) = await world.send(
        durable.Event("shop/order", {"n": 2}, id="mine", v="3")
    )
    run = await world.run_of(event_id)
    again = await rerun(world, run.id, data={"n": 5})
    assert again.result == "sent: paid 50"
    (other,) = again.event_ids
    assert other != event_id
    received = await world.engine.events.get(other)
    assert (received.event.data, received.event.v) == ({"n": 5}, "3")
    assert received.run_ids == (again.id,)
    assert shop.seen[-1] == (other, {"n": 5})
    kept = await world.engine.events.get(event_id)
    assert kept.event.data == {"n": 2}
    shop.calls.clear()
    mixed = await rerun(world, run.id, from_step="charge", data={"n": 7})
    assert (mixed.result, shop.calls) == ("sent: paid 20", ["charge", "mail"])


async def test_a_live_run_is_repeated_from_where_it_waits(world: Any) -> None:
    calls: list[str] = []

    async def slow(ctx: durable.Context) -> str:
        await ctx.step.run("first", lambda: calls.append("first"))
        await ctx.step.sleep("rest", "1h")
        await ctx.step.run("last", lambda: calls.append("last"))
        return "done"

    world.function(slow, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    waits = await rerun(world, run_id, from_step="rest")
    assert waits.status == "parked"
    slept = await rerun(world, run_id, from_step="rest", output=None)
    assert (slept.status, calls) == ("completed", ["first", "last"])
    await engine.advance("1h")
    assert (await world.get(waits.id)).result == "done"
    assert calls == ["first", "last", "last", "last"]


async def test_a_step_that_there_is_not_is_told_with_those_there_are(
    world: Any,
) -> None:
    shop_of(world)
    await world.open()
    run_id = await world.start("shop/order", {"n": 2})
    steps = "its steps are 'price', 'charge', 'mail'"
    with pytest.raises(durable.NotFoundError, match=f"no step 'pay': {steps}"):
        await world.engine.runs.rerun(run_id, from_step="pay")
    assert len(await world.engine.runs.list()) == 1


@pytest.mark.parametrize("ends", ["cancelled", "timed out", "failed"])
async def test_an_ended_run_is_repeated_from_a_step_that_its_end_cut_off(
    world: Any, ends: str
) -> None:
    """Recorded is nothing of the step: it was asked for, and the run ended."""
    calls: list[str] = []

    async def waiter(ctx: durable.Context) -> str:
        await ctx.step.run("first", lambda: calls.append("first"))
        conflict = await ctx.step.wait_for_signal("ask", "answer", timeout="1h")
        await ctx.step.run("last", lambda: calls.append("last"))
        return str(conflict)

    async def holder(ctx: durable.Context) -> None:
        await ctx.step.wait_for_signal("hold", "answer", timeout="1m")

    timeouts = durable.Timeouts(finish="10m") if ends == "timed out" else None
    world.function(waiter, on="test/start", timeouts=timeouts)
    world.function(holder, on="test/hold")
    engine = await world.open()
    if ends == "failed":
        await world.start("test/hold")
    run_id = await world.start()
    if ends == "cancelled":
        await engine.runs.cancel(run_id)
    await engine.advance("15m")
    ended = await world.get(run_id)
    assert ended.status == ("failed" if ends == "failed" else "cancelled")
    await world.restart()
    again = await rerun(world, run_id, from_step="ask")
    assert (again.status, calls) == ("parked", ["first"])
    await world.engine.runs.cancel(again.id)
    given = await rerun(world, run_id, from_step="ask", output=None)
    assert (given.result, calls) == ("None", ["first", "last"])


async def test_a_step_whose_result_was_too_much_is_repeated(world: Any) -> None:
    """The run has failed with it, and nothing of it is recorded."""
    calls: list[str] = []

    async def handler(ctx: durable.Context) -> int:
        await ctx.step.run("first", lambda: calls.append("first"))
        found = await ctx.step.run("find", find)
        return len(found)

    async def find() -> str:
        calls.append("find")
        return "x" * (5_000_000 if calls.count("find") == 1 else 5)

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    assert (await world.get(run_id)).status == "failed"
    again = await rerun(world, run_id, from_step="find")
    assert (again.result, calls) == (5, ["first", "find", "find"])


async def test_all_that_is_recorded_is_kept_as_the_error_says(world: Any) -> None:
    """Its code raised between steps: the next one was never asked for."""
    calls: list[str] = []
    is_broken = True

    async def handler(ctx: durable.Context) -> str:
        await ctx.step.run("price", lambda: calls.append("price"))
        if is_broken:
            text = "a mistake between steps"
            raise durable.NonRetriableError(text)
        return await ctx.step.run("mail", lambda: "sent")

    world.function(handler, on="test/start")
    await world.open()
    run_id = await world.start()
    is_broken = False
    with pytest.raises(durable.NotFoundError) as told:
        await world.engine.runs.rerun(run_id, from_step="mail")
    for words in ("no step 'mail'", "its steps are 'price'", "repeat it from 'price'"):
        assert words in str(told.value)
    again = await rerun(world, run_id, from_step="price", output=None)
    assert (again.result, calls) == ("sent", ["price"])


@pytest.mark.parametrize("run_id", ["01HF00000000000000000000AA", "nobody"])
async def test_a_run_that_does_not_exist_is_told(world: Any, run_id: str) -> None:
    engine = await world.open()
    with pytest.raises(durable.NotFoundError, match=run_id):
        await engine.runs.rerun(run_id)


async def test_what_is_given_is_looked_at_first(world: Any) -> None:
    shop_of(world)
    engine = await world.open()
    run_id = await world.start("shop/order", {"n": 2})
    with pytest.raises(durable.ConfigError, match="from_step"):
        await engine.runs.rerun(run_id, output=1)
    with pytest.raises(durable.SerializationError):
        await engine.runs.rerun(run_id, from_step="charge", output=object())
    with pytest.raises(durable.PayloadTooLarge):
        await engine.runs.rerun(run_id, from_step="charge", output="x" * 5_000_000)
    with pytest.raises(durable.PayloadTooLarge):
        await engine.runs.rerun(run_id, data={"x": "x" * 5_000_000})
    assert len(await engine.runs.list()) == 1


async def test_a_function_that_is_gone_is_told(world: Any) -> None:
    shop_of(world)
    await world.open()
    run_id = await world.start("shop/order", {"n": 2})
    del world.app.functions["order"]
    await world.restart()
    with pytest.raises(durable.NotFoundError, match="'order'"):
        await world.engine.runs.rerun(run_id)


async def test_an_event_in_the_future_is_waited_for_again(world: Any) -> None:
    shop_of(world)
    engine = await world.open()
    in_an_hour = engine.now_ms() + 3_600_000
    (event_id,) = await world.send(durable.Event("shop/order", {"n": 1}, ts=in_an_hour))
    run = await world.run_of(event_id)
    await engine.runs.cancel(run.id)
    again = await rerun(world, run.id)
    assert again.started_at is None
    await engine.advance("1h")
    assert (await world.get(again.id)).result == "sent: paid 10"


async def test_while_a_run_repeats_an_old_event_that_is_kept(world: Any) -> None:
    """And when it has ended, for as long as any."""
    world.function(sleeper, on="test/start")
    engine = await world.open(retention="1d")
    run_id = await world.start()
    event_id = (await world.get(run_id)).event_ids[0]
    await engine.advance("23h")
    again = await rerun(world, run_id, from_step="rest")
    await engine.advance("30m")
    assert (await world.get(again.id)).status == "parked"
    await engine.advance("30m")
    third = await rerun(world, again.id)
    await engine.advance("1h")
    assert (await world.get(third.id)).result == "rested"
    await engine.advance("2d")
    with pytest.raises(durable.NotFoundError):
        await engine.events.get(event_id)
    with pytest.raises(durable.NotFoundError):
        await engine.runs.rerun(third.id)


async def test_what_cancels_a_run_cancels_one_that_repeats_it(world: Any) -> None:
    world.function(
        sleeper,
        on="test/start",
        cancel_on=durable.CancelOn("test/stop", match="data.n"),
    )
    await world.open()
    run_id = await world.start(data={"n": 1})
    again = await rerun(world, run_id)
    other = await rerun(world, run_id, data={"n": 2})
    await world.restart()
    await world.send(durable.Event("test/stop", {"n": 1}))
    assert (await world.get(again.id)).status == "cancelled"
    assert (await world.get(other.id)).status == "parked"


async def test_an_event_with_other_data_is_seen_by_no_wait(world: Any) -> None:
    """Neither as it comes, nor by one that looks back."""

    async def waiter(ctx: durable.Context) -> int:
        await ctx.step.sleep("rest", "1m")
        found = await ctx.step.wait_for_event(
            "order", "shop/order", timeout="1h", since="run"
        )
        return -1 if found is None else found.data["n"]

    shop_of(world)
    world.function(waiter, on="test/start")
    engine = await world.open()
    order = await world.start("shop/order", {"n": 1})
    run_id = await world.start()
    await engine.advance("1s")
    await rerun(world, order, data={"n": 2})
    await engine.advance("2m")
    await rerun(world, order, data={"n": 3})
    assert (await world.get(run_id)).status == "parked"
    await world.send(durable.Event("shop/order", {"n": 4}))
    assert (await world.get(run_id)).result == 4


async def test_waits_and_invoked_runs_are_taken_over_as_any_step(world: Any) -> None:
    called: list[str] = []

    async def child(ctx: durable.Context) -> str:
        called.append(ctx.run_id)
        return "from the child"

    async def parent(ctx: durable.Context) -> list[Any]:
        said = await ctx.step.invoke("ask", "child")
        paid = await ctx.step.wait_for_event("paid", "shop/paid", timeout="1h")
        last = await ctx.step.run("last", lambda: len(called))
        return [said, None if paid is None else paid.data, last]

    world.function(child)
    world.function(parent, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await world.send(durable.Event("shop/paid", {"n": 5}))
    first = await world.get(run_id)
    assert first.result == ["from the child", {"n": 5}, 1]
    again = await rerun(world, run_id, from_step="last")
    assert (again.result, len(called)) == (first.result, 1)
    asked = await rerun(world, run_id, from_step="paid")
    assert (asked.status, len(called)) == ("parked", 1)
    await world.send(durable.Event("shop/paid", {"n": 6}))
    assert (await world.get(asked.id)).result == ["from the child", {"n": 6}, 1]
    whole = await rerun(world, called[0])
    assert (whole.result, whole.function) == ("from the child", "child")
    assert await engine.runs.get(run_id) == first, "nobody waits for it"
