"""Mistakes of those who know another engine, or none yet: as those of `mistakes.py`."""

# ruff: noqa: ARG001  # each is made alike, whether it needs the world or not

from __future__ import annotations

import threading
from typing import Any

import durable

from .mistakes import HERE, Order, charge, failing, mistake, placed, raised, ready


def fulfilling() -> Any:
    """A handler by its usual name."""

    async def fulfil(ctx: durable.Context) -> None: ...

    return fulfil


@mistake(
    "DUR-0200",
    "ctx.step is not called, its methods are: ctx.step.run('charge', charge_card, order_id)",
    f"  {HERE}",
)
async def steps_that_are_called(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step("charge", charge)  # type: ignore[operator]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "'StepCall' object is not subscriptable: it is a step that was not awaited; its result is what `await` "
    "gives, as in (await ctx.step.run('charge', charge_card))['id']",
    f"  {HERE}",
)
async def a_result_before_its_step_is_awaited(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return ctx.step.run("charge", charge)["id"]  # type: ignore[index]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "Event has no 'order_id': it is ctx.event.data['order_id']",
    f"  {HERE}",
)
async def a_field_of_an_event(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return ctx.event.order_id  # type: ignore[attr-defined]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "an event is no dict: its fields are attributes, as in ctx.event.data, not ctx.event['data']",
    f"  {HERE}",
)
async def an_event_that_is_no_dict(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return ctx.event["data"]  # type: ignore[index]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "Context has no 'data': it is ctx.event.data",
    f"  {HERE}",
)
async def data_of_the_context(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return ctx.data  # type: ignore[attr-defined]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "'dict' object has no attribute 'order_id': it is ['order_id']. What has no declared type is a dict: an "
    "event's data has one by durable.EventType(name, Model), what a step returns by its function's annotation, "
    "as in `-> Receipt`",
    f"  {HERE}",
)
async def an_attribute_of_a_dict(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        return ctx.event.data.order_id  # type: ignore[attr-defined]  # the mistake

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "step 'paid': match='order_id' is no field of an event, whose own are data, name, id, ts, user, v: write "
    '"data.order_id"',
    f"  {HERE}",
)
async def a_match_without_data(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.wait_for_event(
            "paid", "shop/order.paid", match="order_id", timeout="3d"
        )

    return await failing(world, fulfil)


@mistake(
    "DUR-0500",
    "step 'ship': there is no function 'fulfill' in this store: is its application registered? Did you mean "
    "'fulfil'?",
)
async def an_invoke_of_an_unknown_function(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        await ctx.step.invoke("ship", "fulfill")

    return await failing(world, fulfil)


@mistake(
    "DUR-0200",
    "function 'fulfil' is not called: `await engine.send(event)` starts it where it listens to the event, `await "
    "engine.invoke(fulfil, data)` starts it and waits for its result, in a handler `await ctx.step.invoke(id, "
    "fulfil, data)`; a test may call its code itself: fulfil.handler(ctx)",
)
async def a_function_that_is_called(world: Any) -> Any:
    fulfil: Any = durable.App("shop").function()(fulfilling())
    return await raised(lambda: fulfil(placed(order_id="o1", customer_id="c1")))


@mistake(
    "DUR-0200",
    "function 'fulfil' has no 'delay': `await engine.send(event)` starts it where it listens to the event, "
    "`await engine.invoke(fulfil, data)` starts it and waits for its result, in a handler `await "
    "ctx.step.invoke(id, fulfil, data)`",
)
async def a_task_that_is_delayed(world: Any) -> Any:
    fulfil: Any = durable.App("shop").function()(fulfilling())
    return await raised(lambda: fulfil.delay("o1"))


@mistake(
    "DUR-0200",
    "engine.invoke: order_id= is no argument: what a function is given is one object, as in "
    "engine.invoke(function, {'order_id': ...}), or a model",
)
async def an_invoke_with_fields(world: Any) -> Any:
    fulfil = world.function(ready, id="fulfil")
    engine = await world.open()
    return await raised(lambda: engine.invoke(fulfil, order_id="o1"))


@mistake(
    "DUR-0200",
    "engine.invoke: the data is a whole event, 'shop/order.placed': give what is in it, engine.invoke(function, "
    "event.data), or send it: engine.send(event)",
)
async def an_invoke_with_a_whole_event(world: Any) -> Any:
    fulfil = world.function(ready, id="fulfil")
    engine = await world.open()
    event = placed(order_id="o1", customer_id="c1")
    return await raised(lambda: engine.invoke(fulfil, event))


@mistake(
    "DUR-0503",
    "there is no function 'fulfill' in this store. Did you mean 'fulfil'?",
)
async def runs_of_an_unknown_function(world: Any) -> Any:
    world.function(ready, id="fulfil")
    engine = await world.open()
    return await raised(lambda: engine.runs.list(function="fulfill"))


@mistake(
    "DUR-0200",
    "an engine is opened by `async with`, in a coroutine: `async with durable.Engine(app) as engine`",
)
async def an_engine_without_async(world: Any) -> Any:
    engine: Any = durable.Engine(store="memory:")
    return await raised(engine.__enter__)


@mistake(
    "DUR-0200",
    "app 'shop' is not opened, an engine is: `async with durable.Engine(app) as engine`",
)
async def an_app_that_is_opened(world: Any) -> Any:
    app: Any = durable.App("shop")
    return await raised(app.__aenter__)


@mistake(
    "DUR-0100",
    "Engine: sync='never' is not known",
    '  accepted: "always", or how much may be lost on power failure, as in "50ms"',
)
async def a_sync_of_never(world: Any) -> Any:
    return await raised(lambda: durable.Engine(sync="never"))


@mistake(
    "DUR-0802",
    "function 'fulfil' (shop.py:12) came after the engine on app 'shop' was opened, which goes on with the "
    "functions that there were then: define it before `async with durable.Engine(app)`, or close the engine and "
    "open it again (DUR-0802)",
)
async def a_function_that_comes_late(world: Any) -> Any:
    world.app = durable.App("shop")
    await world.open()
    world.app.function()(fulfilling())
    (warning,) = world.warnings()
    return "DUR-0802", warning


@mistake(
    "DUR-0504",
    "Order(order_id='o1', customer_id='c1') is an event's data, and no event: send what an EventType makes of it, as in "
    "placed(order)",
)
async def data_in_place_of_an_event(world: Any) -> Any:
    engine = await world.open()
    order: Any = Order(order_id="o1", customer_id="c1")
    return await raised(lambda: engine.send(order))


@mistake(
    "DUR-0300",
    "event 'shop/order.placed': data.items[0].lock is a _thread.lock, which has no JSON form; give plain data (dict, "
    "list, str, numbers), a pydantic model or a dataclass",
)
async def an_events_data_that_is_not_json(world: Any) -> Any:
    engine = await world.open()
    data = {"items": [{"lock": threading.Lock()}]}
    return await raised(lambda: engine.send(durable.Event("shop/order.placed", data)))
