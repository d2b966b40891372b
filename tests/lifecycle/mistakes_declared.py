"""Mistakes in what is declared, and with engines and stores: as those of `mistakes.py`."""

# ruff: noqa: ARG001  # each is made alike, whether it needs the world or not

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

import durable

from .mistakes import (
    CEL,
    CRON,
    DURATION,
    HERE,
    Order,
    charge,
    declared,
    failing,
    mistake,
    placed,
    raised,
    ready,
)


class Invoice(BaseModel):
    """What is no order."""

    number: int


# --- declarations


@mistake(
    "DUR-0100",
    "function 'fulfil': throttle.period='5 minutes'",
    "                                    ^ is not a duration",
    f"  accepted: from 1ms to 7d: {DURATION}",
)
async def a_period_of_5_minutes(world: Any) -> Any:
    return await declared(on=placed, throttle=durable.Throttle(1, "5 minutes"))


@mistake(
    "DUR-0100",
    "function 'fulfil': on.expression='61 * * * *'",
    "                                  ^ the minute is a number from 0 to 59",
    CRON,
)
async def a_cron_that_never_comes(world: Any) -> Any:
    return await declared(on=durable.Cron("61 * * * *"))


@mistake(
    "DUR-0100",
    "function 'fulfil': concurrency.key: a name is missing after the dot",
    "    event.data.( ==",
    "               ^",
    CEL,
)
async def an_expression_that_is_no_cel(world: Any) -> Any:
    limit = durable.Concurrency(1, key="event.data.( ==")
    return await declared(on=placed, concurrency=limit)


@mistake(
    "DUR-0100",
    "function 'fulfil': concurrency.key: the event has no event.data.custmer_id: did you mean event.data.customer_id?",
    "    event.data.custmer_id",
    "    ^^^^^^^^^^^^^^^^^^^^^",
    CEL,
)
async def a_key_of_an_unknown_field(world: Any) -> Any:
    limit = durable.Concurrency(1, key="event.data.custmer_id")
    return await declared(on=placed, concurrency=limit)


@mistake(
    "DUR-0100",
    "step 'paid': if_: the event has no async.data.custmer_id: did you mean async.data.customer_id?",
    "    async.data.custmer_id == 'c1'",
    "    ^^^^^^^^^^^^^^^^^^^^^",
    CEL,
    f"  {HERE}",
)
async def a_wait_for_an_unknown_field(world: Any) -> Any:
    async def fulfil(ctx: durable.Context) -> Any:
        condition = "async.data.custmer_id == 'c1'"
        return await ctx.step.wait_for_event(
            "paid", placed, if_=condition, timeout="3d"
        )

    return await failing(world, fulfil)


@mistake(
    "DUR-0100",
    "function 'fulfil': cancel_on.match: the event has no async.data.ordr_id: did you mean async.data.order_id?",
    "    async.data.ordr_id",
    "    ^^^^^^^^^^^^^^^^^^",
    CEL,
)
async def a_cancelling_event_of_an_unknown_field(world: Any) -> Any:
    cancel = durable.CancelOn(placed, match="data.ordr_id")
    return await declared(on="shop/cart.opened", cancel_on=cancel)


@mistake(
    "DUR-0100",
    "function 'fulfil' takes (ctx, order_id); it is called with one argument, the context: (ctx). What else it needs comes in its "
    "event: ctx.event.data",
)
async def a_handler_of_two_arguments(world: Any) -> Any:
    async def fulfil(ctx, order_id):  # type: ignore[no-untyped-def]
        return order_id

    return await raised(lambda: durable.App("shop").function()(fulfil))


@mistake(
    "DUR-0100",
    "function 'fulfil' exists twice in app 'shop' (shop.py:12 and shop.py:12): choose another id",
)
async def two_functions_of_one_id(world: Any) -> Any:
    async def other(ctx: durable.Context) -> None: ...

    app = durable.App("shop")
    app.function("fulfil")(ready)
    return await raised(lambda: app.function("fulfil")(other))


HOOKS = (
    "lifespan, transform_input, before_memoization, after_memoization, before_execution, after_execution, "
    "transform_output, finished, before_send, after_send"
)


@mistake(
    "DUR-0100",
    "app 'shop': middleware Timing: before_exection() is no hook, and would never be called: did you mean before_execution()?",
    f"  accepted: {HOOKS}; a method that is for the class itself may begin with an underscore",
)
async def a_hook_that_is_misspelt(world: Any) -> Any:
    class Timing(durable.Middleware):
        def before_exection(self, execution: Any) -> None: ...

    return await raised(lambda: durable.App("shop", middleware=[Timing()]))


@mistake(
    "DUR-0100",
    "app 'shop': middleware Timing: the hook before_execution() is called with one argument, the execution, and it takes (run, step)",
    "  accepted: def before_execution(self, execution)",
)
async def a_hook_of_two_arguments(world: Any) -> Any:
    class Timing(durable.Middleware):
        def before_execution(self, run: Any, step: Any) -> None: ...  # type: ignore[override]  # the mistake

    return await raised(lambda: durable.App("shop", middleware=[Timing()]))


# --- engines and stores


@mistake("DUR-0600", "the engine is not open: use it inside `async with Engine(...)`")
async def a_send_to_a_closed_engine(world: Any) -> Any:
    engine = await world.open()
    await world.close()
    return await raised(lambda: engine.send(placed(order_id="o", customer_id="c")))


@mistake(
    "DUR-0504",
    "{'name': 'shop/order.placed'} is no event: send durable.Event(name, data) or what an EventType gives",
)
async def a_dict_in_place_of_an_event(world: Any) -> Any:
    engine = await world.open()
    return await raised(lambda: engine.send({"name": "shop/order.placed"}))


@mistake(
    "DUR-0200",
    "engine.invoke: charge is a plain function: give the durable one that `@app.function` made of it, or the id of one",
)
async def a_plain_function_that_is_invoked(world: Any) -> Any:
    engine = await world.open()
    return await raised(lambda: engine.invoke(charge))


@mistake(
    "DUR-0503",
    "there is no function 'fulfill' in this store: is its application registered? Did you mean 'fulfil'?",
)
async def an_unknown_function_that_is_invoked(world: Any) -> Any:
    world.function(ready, id="fulfil")
    engine = await world.open()
    return await raised(lambda: engine.invoke("fulfill"))


@mistake(
    "DUR-0701",
    "the store ./state is open in this process already (process 812 on ada, since 09:00); one engine has a store: use that one, "
    "close it first, or use another folder",
)
async def a_store_that_is_open(world: Any) -> Any:
    await world.open()
    return await raised(durable.Engine(store=world.store).__aenter__)


@mistake(
    "DUR-0100",
    "Engine: store='./state' is a file",
    "  accepted: a folder, or a path where there is none yet",
)
async def a_store_that_is_a_file(world: Any) -> Any:
    Path(world.store).write_text("")  # noqa: ASYNC240  # nobody waits meanwhile
    return await raised(lambda: durable.Engine(store=world.store))


@mistake(
    "DUR-0100",
    "store 'postgres://ada@db/shop': write a path, 'sled:PATH', 'redb:PATH' or 'memory:'; a folder of that name is "
    "'./postgres://ada@db/shop'",
)
async def a_store_of_another_kind(world: Any) -> Any:
    return await raised(durable.Engine(store="postgres://ada@db/shop").__aenter__)


@mistake(
    "DUR-0100",
    "function 'fulfil' is made more than once by one `def` (shop.py:12) in app 'shop': all but the last would be "
    "lost. Give each an id of its own, as in @app.function(f'fulfil-{x}', on=x), or one function all of the "
    "triggers, as in on=[a, b]",
)
async def functions_made_in_a_loop(world: Any) -> Any:
    def make() -> None:
        app = durable.App("shop")
        for event in ("shop/order.placed", "shop/order.paid"):

            @app.function(on=event)
            async def fulfil(ctx: durable.Context) -> None: ...

    return await raised(make)


@mistake(
    "DUR-0100",
    "function 'fulfil': on='@daily' is a moment, and no event's name",
    "  accepted: Cron('@daily'), or an event's name, as in 'shop/order.placed'",
)
async def a_cron_in_place_of_an_event(world: Any) -> Any:
    return await declared(on="@daily")


@mistake(
    "DUR-0100",
    "function 'fulfil': on.if_: event.data.order_id is never true or false: compare it, as in "
    "event.data.order_id != null",
    "    event.data.order_id",
    "    ^^^^^^^^^^^^^^^^^^^",
    CEL,
)
async def a_condition_that_is_never_true(world: Any) -> Any:
    return await declared(on=durable.On(placed, if_="event.data.order_id"))


@mistake(
    "DUR-0100",
    "function 'fulfil': cancel_on.match='order_id' is no field of an event, whose own are data, name, id, ts, "
    'user, v: write "data.order_id"',
    '  accepted: a path in both, as in "data.order_id"',
)
async def a_match_that_is_no_path(world: Any) -> Any:
    cancel = durable.CancelOn("shop/order.withdrawn", match="order_id")
    return await declared(on=placed, cancel_on=cancel)


@mistake(
    "DUR-0100",
    "EventType: model={'order_id': <class 'str'>} is of type dict, and no type itself",
    "  accepted: the class of its data: a pydantic model, a dataclass or a TypedDict, as in "
    "EventType('shop/order.placed', Order)",
)
async def an_event_type_of_a_dict(world: Any) -> Any:
    fields: Any = {"order_id": str}
    return await raised(lambda: durable.EventType("shop/order.placed", fields))


@mistake(
    "DUR-0200",
    "event 'shop/order.placed': id= beside its data would be lost: write event_type.event(data, id='o1')",
)
async def an_id_beside_an_events_data(world: Any) -> Any:
    order = Order(order_id="o1", customer_id="c1")
    return await raised(lambda: placed(order, id="o1"))


@mistake(
    "DUR-0100",
    "fulfil: parameter 'receipt': a Depends is no default here, it stands in the annotation: write receipt: "
    "Annotated[int, durable.Depends(charge)]",
)
async def a_depends_as_a_default(world: Any) -> Any:
    given: Any = durable.Depends(charge)

    async def fulfil(ctx: durable.Context, receipt: int = given) -> None: ...

    return await raised(lambda: durable.App("shop").function(on=placed)(fulfil))


@mistake(
    "DUR-0100",
    "on_failure of function 'fulfil' (shop.py:12) takes a Context[Order], and is given the event of the failure: write "
    'Context, without [Order]. What started the run that failed is ctx.event.data["event"], and its data '
    'ctx.event.data["event"]["data"]',
)
async def a_context_of_a_failure_with_a_type(world: Any) -> Any:
    async def release(ctx: durable.Context[Order]) -> None: ...

    return await declared(on=placed, on_failure=release)


@mistake(
    "DUR-0100",
    "EventType('shop/order.placed', Order) is no function's id, it is what starts one: write @app.function(on=...)",
)
async def an_event_type_in_place_of_an_id(world: Any) -> Any:
    given: Any = placed
    return await raised(lambda: durable.App("shop").function(given))


@mistake(
    "DUR-0504",
    "event 'shop/order.placed': ts is in ms since the epoch; 1763700000 is a day of early 1970 and looks like "
    "seconds: give a datetime with a time zone, or 1000 times as much",
)
async def a_moment_of_an_event_in_seconds(world: Any) -> Any:
    return await raised(lambda: durable.Event("shop/order.placed", ts=1_763_700_000))


@mistake(
    "DUR-0100",
    "function 'fulfil' (shop.py:12) takes a Context[Invoice], and the event 'shop/order.placed' that starts it "
    "has data of Order: write Context[Order], or listen to an event of Invoice",
)
async def a_context_of_another_event(world: Any) -> Any:
    async def fulfil(ctx: durable.Context[Invoice]) -> None: ...

    return await raised(lambda: durable.App("shop").function(on=placed)(fulfil))


@mistake(
    "DUR-0100",
    "function 'fulfil' (shop.py:12) takes a Context[Order], and the event 'shop/order.placed' that starts it has "
    "no type, so its data is a dict: write on=durable.EventType('shop/order.placed', Order), or leave [Order] out",
)
async def a_context_with_a_type_and_an_event_without(world: Any) -> Any:
    async def fulfil(ctx: durable.Context[Order]) -> None: ...

    on = "shop/order.placed"
    return await raised(lambda: durable.App("shop").function(on=on)(fulfil))


@mistake(
    "DUR-0100",
    "function 'fulfil' (shop.py:12) is a plain `def` and takes a durable.Context, whose steps are awaited: write "
    "`async def`, or take a durable.SyncContext, whose steps block",
)
async def a_plain_function_with_a_context_to_await(world: Any) -> Any:
    def fulfil(ctx: durable.Context) -> None: ...

    function: Any = durable.App("shop").function()
    return await raised(lambda: function(fulfil))


@mistake(
    "DUR-0100",
    "function 'fulfil' (shop.py:12) is an `async def` and takes a durable.SyncContext, whose steps block: take a "
    "durable.Context and await its steps, or write a plain `def`",
)
async def a_coroutine_with_a_context_that_blocks(world: Any) -> Any:
    async def fulfil(ctx: durable.SyncContext) -> None: ...

    return await raised(lambda: durable.App("shop").function()(fulfil))
