"""What is promised of `OpenTelemetry`: a span for each run, attempt and send; links over long waits; no providers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import durable
from durable.middleware import OpenTelemetry


pytestmark = pytest.mark.asyncio


class Traced:
    """Middleware with a provider of its own, and what it has exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.middleware = OpenTelemetry(tracer_provider=self.provider)

    def spans(self, name: str) -> list[ReadableSpan]:
        found = [one for one in self.exporter.get_finished_spans() if one.name == name]
        return sorted(found, key=lambda one: one.start_time or 0)


@pytest.fixture
def traced(world: Any) -> Traced:
    made = Traced()
    world.app = durable.App("world", middleware=[made.middleware])
    return made


def charge() -> str:
    return "charged"


def ids(span: ReadableSpan) -> Any:
    return span.context and span.context.span_id


async def test_a_run_its_steps_and_what_started_it(world: Any, traced: Traced) -> None:
    async def handler(ctx: durable.Context) -> str:
        await asyncio.gather(ctx.step.run("a", charge), ctx.step.run("b", charge))
        return await ctx.step.run("c", charge)

    world.function(handler, on="test/start")
    await world.open()
    tracer = traced.provider.get_tracer("test")
    with tracer.start_as_current_span("request") as request:
        run_id = await world.start()
    (send,) = traced.spans("send test/start")
    assert send.kind is SpanKind.PRODUCER
    assert send.parent is not None
    assert send.parent.span_id == request.get_span_context().span_id
    (run,) = traced.spans("run handler")
    assert run.kind is SpanKind.CONSUMER
    assert run.parent is None
    assert [link.context.span_id for link in run.links] == [ids(send)]
    received = await world.engine.events.list(name="test/start")
    attributes = dict(run.attributes or {})
    assert attributes == {
        "messaging.system": "durable",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "test/start",
        "messaging.message.id": received[0].id,
        "durable.run.id": run_id,
        "durable.function.id": "handler",
        "durable.attempt": 0,
    }
    for name in "abc":
        (step,) = traced.spans(f"step {name}")
        assert step.parent is not None
        assert step.parent.span_id == ids(run)
        assert (step.attributes or {})["durable.step.id"] == name


async def test_spans_of_the_users_own_are_under_those_of_their_step(
    world: Any, traced: Traced
) -> None:
    tracer = traced.provider.get_tracer("test")

    async def work() -> None:
        with tracer.start_as_current_span("query"):
            pass

    def plain(ctx: durable.SyncContext) -> None:
        with tracer.start_as_current_span("outer"):
            pass
        ctx.step.run("a", work_plain)

    def work_plain() -> None:
        with tracer.start_as_current_span("query"):
            pass

    async def handler(ctx: durable.Context) -> None:
        with tracer.start_as_current_span("outer"):
            pass
        await ctx.step.run("a", work)

    world.function(handler, on="test/start")
    world.function(plain, on="test/plain")
    await world.open()
    await world.start()
    await world.start("test/plain")
    for run, step, query, outer in zip(
        [*traced.spans("run handler"), *traced.spans("run plain")],
        traced.spans("step a"),
        traced.spans("query"),
        traced.spans("outer"),  # none of them twice
        strict=True,
    ):
        assert query.parent is not None
        assert query.parent.span_id == ids(step)
        assert step.parent is not None
        assert step.parent.span_id == ids(run)
        assert outer.parent is not None
        assert outer.parent.span_id == ids(run)
    assert not trace.get_current_span().get_span_context().is_valid


async def test_over_a_long_wait_there_is_a_link_and_no_open_span(
    world: Any, traced: Traced
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("a", charge)
        await ctx.step.sleep("rest", "3d")
        await ctx.step.run("b", charge)

    world.function(handler, on="test/start")
    engine = await world.open()
    await world.start()
    (before,) = traced.spans("run handler")
    assert (before.attributes or {})["durable.wait.reason"] == "sleep"
    await engine.advance("4d")
    first, second = traced.spans("run handler")
    assert first is before or ids(first) == ids(before)
    assert [link.context.span_id for link in second.links] == [ids(first)]
    (step,) = traced.spans("step b")
    assert step.parent is not None
    assert step.parent.span_id == ids(second)


async def test_each_attempt_has_a_span_and_failed_ones_say_why(
    world: Any, traced: Traced
) -> None:
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("busy")
        return "fine"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("a", flaky)

    world.function(handler, on="test/start", retries=2)
    engine = await world.open()
    await world.start()
    await engine.advance("1d")
    first, second = traced.spans("step a")
    assert [(one.attributes or {})["durable.attempt"] for one in (first, second)] == [
        0,
        1,
    ]
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "ValueError: busy"
    assert first.events[0].name == "exception"
    assert second.status.status_code is StatusCode.UNSET
    before, after = traced.spans("run handler")
    assert [link.context.span_id for link in after.links] == [ids(before)]


async def test_a_failed_run_says_why(world: Any, traced: Traced) -> None:
    async def handler(_: durable.Context) -> None:
        raise durable.NonRetriableError("no")

    world.function(handler, on="test/start")
    await world.open()
    await world.start()
    (run,) = traced.spans("run handler")
    assert run.status.status_code is StatusCode.ERROR
    assert (run.attributes or {})["error.type"] == "NonRetriableError"


async def test_what_a_step_sends_is_under_its_span_and_keeps_its_user(
    world: Any, traced: Traced
) -> None:
    async def told(ctx: durable.Context) -> Any:
        return ctx.event.user

    async def handler(ctx: durable.Context) -> None:
        event = durable.Event("test/told", user={"id": "u1"})
        await ctx.step.send_event("tell", event)

    world.function(told, on="test/told")
    world.function(handler, on="test/start")
    await world.open()
    await world.start()
    (step,) = traced.spans("step tell")
    (send,) = traced.spans("send test/told")
    (run,) = traced.spans("run told")
    assert send.parent is not None
    assert send.parent.span_id == ids(step)
    assert [link.context.span_id for link in run.links] == [ids(send)]
    (event,) = await world.engine.events.list(name="test/told")
    assert event.event.user["id"] == "u1"
    version, _, span_id, _ = event.event.user["traceparent"].split("-")
    assert (version, int(span_id, 16)) == ("00", ids(send))


async def test_a_refused_send_says_why(world: Any, traced: Traced) -> None:
    engine = await world.open()
    with pytest.raises(durable.EventRefused):
        await engine.send(durable.Event("durable/mine"))
    (send,) = traced.spans("send durable/mine")
    assert send.status.status_code is StatusCode.ERROR


async def test_it_sets_no_provider() -> None:
    OpenTelemetry()
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
