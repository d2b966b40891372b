"""What is promised of `Sentry`: what is not tried again is reported once, with where it was raised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport
from typing_extensions import override

import durable
from durable.middleware import Sentry


pytestmark = pytest.mark.asyncio


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    @override
    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def sent() -> Iterator[list[Any]]:
    kept = Kept()
    sentry_sdk.init(
        dsn="https://key@localhost/1",
        transport=kept,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield kept.events
    sentry_sdk.init()


async def broken() -> None:
    raise ValueError("card refused")


def said(event: Any) -> Any:
    tags = {key.removeprefix("durable."): text for key, text in event["tags"].items()}
    (raised,) = event["exception"]["values"]
    return event["transaction"], raised["type"], tags


async def test_what_is_not_tried_again_is_reported_with_its_place(
    world: Any, sent: list[Any]
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("charge", broken)

    world.app = durable.App("world", middleware=[Sentry()])
    world.function(handler, on="test/start", retries=2)
    engine = await world.open()
    run_id = await world.start()
    assert sent == []
    await engine.advance("1d")
    (event,) = sent
    assert said(event) == (
        "handler/charge",
        "ValueError",
        {
            "function_id": "handler",
            "run_id": run_id,
            "step_id": "charge",
            "attempt": "2",
        },
    )
    assert event["contexts"]["durable"]["event_name"] == "test/start"


async def test_each_try_is_reported_where_that_is_wanted(
    world: Any, sent: list[Any]
) -> None:
    async def handler(_: durable.Context) -> None:
        await broken()

    world.function(
        handler, on="test/start", retries=2, middleware=[Sentry(each_try=True)]
    )
    engine = await world.open()
    await world.start()
    await engine.advance("1d")
    assert [said(event)[2]["attempt"] for event in sent] == ["0", "1", "2"]
    assert said(sent[0])[0] == "handler"


async def test_a_run_that_is_called_off_is_reported_where_that_is_wanted(
    world: Any, sent: list[Any]
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    world.function(handler, on="test/start", middleware=[Sentry(cancelled=True)])
    engine = await world.open()
    await engine.runs.cancel(await world.start())
    await world.settle()
    await engine.session.worker.ends.settle(1)
    (event,) = sent
    assert event["message"].startswith("run of 'handler' was cancelled")


async def test_what_is_logged_of_a_failure_is_no_second_report(world: Any) -> None:
    """sentry_sdk makes an event of each line of level ERROR, where its integration for logging is on, as it is by default."""
    kept = Kept()
    sentry_sdk.init(
        dsn="https://key@localhost/1",
        transport=kept,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration()],
    )

    async def handler(_: durable.Context) -> None:
        raise ValueError("card refused")

    try:
        world.app = durable.App("world", middleware=[Sentry()])
        world.function(handler, on="test/start", retries=0)
        await world.open()
        await world.start()
    finally:
        sentry_sdk.init()
    (event,) = kept.events
    assert event["transaction"] == "handler"
