"""What is promised of `Dependencies`: what is asked for is given, once for a call, and closed with it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from typing import Annotated, Any

import pytest

import durable
from durable import Depends
from durable.middleware import Dependencies


pytestmark = pytest.mark.asyncio

LINES: list[str] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    LINES.clear()


class Client:
    """Something that is opened and closed."""

    def __init__(self, name: str) -> None:
        self.name = name


async def get_client() -> AsyncGenerator[Client]:
    LINES.append("open client")
    try:
        yield Client("real")
    finally:
        await asyncio.sleep(0)  # noqa: TID251  # to close takes a pass of the loop
        LINES.append("close client")


def get_session() -> Generator[str]:
    LINES.append("open session")
    try:
        yield "session"
    finally:
        LINES.append("close session")


AClient = Annotated[Client, Depends(get_client)]
ASession = Annotated[str, Depends(get_session)]


async def get_orders(client: AClient) -> str:
    LINES.append("orders")
    return f"orders by {client.name}"


def get_customer(ctx: Any, client: AClient) -> str:
    return f"{ctx.event.data['customer']} by {client.name}"


AnOrders = Annotated[str, Depends(get_orders)]
ACustomer = Annotated[str, Depends(get_customer)]


def use(world: Any, dependencies: Dependencies) -> None:
    world.app = durable.App("world", middleware=[dependencies])


async def test_what_is_asked_for_is_given_once_for_a_call_and_closed_behind_it(
    world: Any,
) -> None:
    async def handler(
        _: durable.Context,
        orders: AnOrders,
        client: AClient,
        *,
        session: ASession,
        customer: ACustomer,
    ) -> list[str]:
        LINES.append("handler")
        return [orders, client.name, session, customer]

    use(world, Dependencies())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start(data={"customer": "c1"}))
    assert run.result == ["orders by real", "real", "session", "c1 by real"]
    assert LINES == [
        "open client",
        "orders",
        "open session",
        "handler",
        "close session",
        "close client",
    ]


async def test_a_plain_handler_is_given_it_too(world: Any) -> None:
    def handler(
        ctx: durable.SyncContext, orders: AnOrders, session: ASession
    ) -> list[str]:
        ctx.step.run("a", len, "abc")
        return [orders, session]

    use(world, Dependencies())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.result == ["orders by real", "session"]
    assert LINES[-2:] == ["close session", "close client"]
    opened = [line.removeprefix("open ") for line in LINES if line.startswith("open")]
    closed = [line.removeprefix("close ") for line in LINES if line.startswith("close")]
    assert sorted(opened) == sorted(closed)


async def test_each_call_has_its_own_and_what_is_put_aside_is_closed(
    world: Any,
) -> None:
    """With a replay at each step there are three calls, each with a client that is closed."""

    async def handler(ctx: durable.Context, client: AClient) -> str:
        await ctx.step.run("a", len, "abc")
        await ctx.step.sleep("rest", "1h")
        return client.name

    use(world, Dependencies())
    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("2h")
    await engine.session.worker.ends.settle(1)
    assert (await world.get(run_id)).result == "real"
    calls = 1 if world.replay == "needed" else 3
    assert LINES.count("open client") == LINES.count("close client") == calls


async def test_it_is_closed_where_the_handler_raises_and_sees_what(world: Any) -> None:
    async def get_watched() -> AsyncGenerator[str]:
        try:
            yield "watched"
        finally:
            LINES.append("closed")

    async def handler(
        _: durable.Context, watched: Annotated[str, Depends(get_watched)]
    ) -> None:
        raise durable.NonRetriableError(watched)

    use(world, Dependencies())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.message) == ("failed", "watched")
    assert LINES == ["closed"]


async def test_what_is_shared_is_opened_once_and_closed_with_the_engine(
    world: Any,
) -> None:
    dependencies = Dependencies(shared=[get_client])

    async def handler(_: durable.Context, orders: AnOrders) -> str:
        return orders

    use(world, dependencies)
    world.function(handler, on="test/start")
    await world.open()
    for _ in range(3):
        await world.start()
    assert LINES == ["open client", "orders", "orders", "orders"]
    await world.restart()
    assert LINES[-1] == "close client"
    await world.start()
    assert LINES.count("open client") == 2


async def test_a_shared_one_has_no_runs_context(world: Any) -> None:
    dependencies = Dependencies()

    @dependencies.shared
    def get_wrong(ctx: Any) -> str:
        return str(ctx)

    async def handler(
        _: durable.Context, wrong: Annotated[str, Depends(get_wrong)]
    ) -> str:
        return wrong

    use(world, dependencies)
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "no run's context" in run.error.message


async def test_a_test_may_put_another_in_its_place(world: Any) -> None:
    dependencies = Dependencies()

    async def handler(_: durable.Context, orders: AnOrders) -> str:
        return orders

    use(world, dependencies)
    world.function(handler, on="test/start")
    await world.open()
    with dependencies.override(get_client, lambda: Client("fake")):
        faked = await world.get(await world.start())
    real = await world.get(await world.start())
    assert (faked.result, real.result) == ("orders by fake", "orders by real")


@pytest.mark.parametrize(
    ("function", "by", "told"),
    [
        ("get_client", Client, "override('get_client', ...): it is no function: give"),
        (get_client, Client("fake"), "is a function: write lambda: ..."),
    ],
)
async def test_what_cannot_be_called_is_no_override(
    function: Any, by: Any, told: str
) -> None:
    dependencies = Dependencies()
    with (
        pytest.raises(durable.ConfigError, match=re.escape(told)),
        dependencies.override(function, by),
    ):
        pytest.fail("it is refused")
    assert dependencies.overrides == {}


async def test_one_that_depends_on_itself_is_refused(world: Any) -> None:
    async def handler(
        _: durable.Context, it: Annotated[str, Depends(depends_on_itself)]
    ) -> str:
        return it

    use(world, Dependencies())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    text = "depends_on_itself -> also_on_it -> depends_on_itself: it depends on itself"
    assert text in run.error.message


def also_on_it(it: Annotated[str, Depends(lambda: "")]) -> str:
    return it


def depends_on_itself(it: Annotated[str, Depends(also_on_it)]) -> str:
    return it


also_on_it.__annotations__["it"] = Annotated[str, Depends(depends_on_itself)]


async def test_what_raises_while_it_is_opened_fails_the_run(world: Any) -> None:
    async def get_broken() -> str:
        raise durable.NonRetriableError("no client")

    async def handler(
        _: durable.Context,
        client: AClient,  # noqa: ARG001  # it is to be closed
        it: Annotated[str, Depends(get_broken)],
    ) -> str:
        return it

    use(world, Dependencies())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.message) == ("failed", "no client")
    assert LINES == ["open client", "close client"]


async def test_who_asks_and_has_nobody_to_give_is_told_when_it_is_declared() -> None:
    app = durable.App("shop")
    with pytest.raises(durable.ConfigError, match="asks for 'client' by Depends"):

        @app.function(on="test/start")
        async def handler(ctx: durable.Context, client: AClient) -> None: ...

    with pytest.raises(durable.ConfigError, match="no function"):
        Depends("client")  # type: ignore[arg-type]


async def test_a_handler_stays_callable_by_hand() -> None:
    app = durable.App("shop", middleware=[Dependencies()])

    @app.function(on="test/start")
    async def handler(_: durable.Context, client: AClient) -> str:
        return client.name

    assert await handler.handler(None, client=Client("fake")) == "fake"  # type: ignore[arg-type]
