"""`OpenTelemetry`: a span for each run, each attempt of a step and each send, by way of the host's own SDK.

A run's span is that of its code while it executes and goes from step to step. Where it waits for long (a sleep, an
event, a signal, another run, a retry of its code) its span ends, and what comes after has a span of its own with a link
to the one before: nothing is lost where the process ends meanwhile. What was sent is linked, not the parent.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as current, trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from .._events import INVOKED
from .._layers import copy_event
from .._middleware import (
    Call,
    Execution,
    Finished,
    Input,
    Middleware,
    RunAbout,
    Sending,
    StepAbout,
)


if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import Attributes, AttributeValue

    from .._events import Event

_SYSTEM: Final = "durable"
_W3C: Final = TraceContextTextMapPropagator()
#: So many runs are known at one time; the spans of the longest known ones are ended beyond.
_MAX_OPEN: Final = 10_000
#: Whose children no sampler that looks at parents takes.
_MUTED: Final = NonRecordingSpan(SpanContext(1, 1, is_remote=False))


@dataclass(slots=True)
class _Traced:
    """What is known of one run."""

    sent: list[SpanContext] = field(default_factory=list["SpanContext"])
    destination: str = ""
    count: int = 1
    span: Span | None = None
    before: SpanContext | None = None
    waits_for: str | None = None
    is_replaying: bool = False


class OpenTelemetry(Middleware):
    """Traces runs, attempts of steps and sends. Uses the providers that the program has set, and sets none.

    Events carry a W3C `traceparent` in their `user` field, under that name, from where they are sent.

    Args:
        tracer_provider: in the place of the global one.
    """

    def __init__(self, *, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("durable", tracer_provider=tracer_provider)
        self._runs: OrderedDict[str, _Traced] = OrderedDict()
        self._steps: dict[int, tuple[Span, Context]] = {}
        self._sends: dict[int, Span] = {}

    # --- what is sent

    @override
    def before_send(self, sending: Sending) -> None:
        """Begin the span of a send, and put its context into the events."""
        events = sending.events
        if not events:
            return
        destination = sending.function_id or events[0].name
        attributes: dict[str, str | int] = {
            "messaging.system": _SYSTEM,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": destination,
        }
        if len(events) > 1:
            attributes |= {"messaging.batch.message_count": len(events)}
        elif events[0].id is not None:
            attributes |= {"messaging.message.id": events[0].id}
        span = self._tracer.start_span(
            f"send {destination}", kind=SpanKind.PRODUCER, attributes=attributes
        )
        self._sends[id(sending)] = span
        around = trace.set_span_in_context(span)
        sending.events = [_with_context(event, around) for event in events]

    @override
    def after_send(self, sending: Sending) -> None:
        """End it."""
        span = self._sends.pop(id(sending), None)
        if span is None:
            return
        if len(sending.ids) == 1:
            span.set_attribute("messaging.message.id", sending.ids[0])
        _end(span, sending.error)

    # --- runs

    @override
    def transform_input(self, given: Input) -> None:
        """Learn where the events that started a run were sent from."""
        if given.kind == "events":
            traced = self._find(given.run)
            traced.destination = given.run.event_name
            traced.count = len(given.events)
            traced.sent = [one for event in given.events for one in _sent_from(event)]

    @override
    def before_memoization(self, call: Call) -> None:
        """Have all code of the run, in whatever task, under the span that the run has then."""
        traced = self._find(call.run)
        traced.is_replaying = True
        current.attach(trace.set_span_in_context(_RunSpan(traced)))

    @override
    def after_memoization(self, call: Call) -> None:
        """New code comes: it has spans again."""
        self._find(call.run).is_replaying = False

    @override
    def before_execution(self, execution: Execution) -> None:
        """Begin the span of a step's attempt, and that of the run, where it has none."""
        traced = self._find(execution.run)
        if traced.span is None:
            traced.span = self._begin_run(execution.run, traced)
        if execution.step is None:
            return
        outside = current.get_current()
        span = self._tracer.start_span(
            f"step {execution.step.name}",
            context=trace.set_span_in_context(traced.span, outside),
            attributes=_attributes(execution.run, execution.step, execution.attempt),
        )
        self._steps[id(execution)] = span, outside
        current.attach(trace.set_span_in_context(span, outside))

    @override
    def after_execution(self, execution: Execution) -> None:
        """End the span of the attempt; that of the run where it waits for long or ends."""
        if execution.step is not None:
            span, outside = self._steps.pop(id(execution), (None, None))
            if span is not None and outside is not None:
                current.attach(outside)
                _end(span, execution.error)
            if execution.error is not None and not execution.is_last:
                self._end_run(execution.run.id, None, waits_for="retry")
            return
        comes_to = execution.comes_to
        if comes_to is None:
            self._end_run(execution.run.id, execution.error)
        elif comes_to.kind != "run":
            self._end_run(execution.run.id, None, waits_for=comes_to.kind)

    @override
    def finished(self, end: Finished) -> None:
        """Forget the run."""
        traced = self._runs.pop(end.run.id, None)
        if traced is not None and traced.span is not None:
            traced.span.set_attribute("durable.run.status", end.status)
            traced.span.end()

    def _find(self, run: RunAbout) -> _Traced:
        traced = self._runs.get(run.id)
        if traced is None:
            traced = self._runs[run.id] = _Traced(destination=run.event_name)
            if len(self._runs) > _MAX_OPEN:
                _, oldest = self._runs.popitem(last=False)
                if oldest.span is not None:
                    oldest.span.end()
        return traced

    def _begin_run(self, run: RunAbout, traced: _Traced) -> Span:
        attributes = {
            "messaging.system": _SYSTEM,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": traced.destination,
            "messaging.message.id": run.event_id,
            **_attributes(run, None, run.attempt),
        }
        if traced.count > 1:
            attributes["messaging.batch.message_count"] = traced.count
        if traced.waits_for is not None:
            attributes["durable.wait.reason"] = traced.waits_for
        before = [traced.before] if traced.before is not None else traced.sent
        return self._tracer.start_span(
            f"run {run.function_id}",
            context=current.Context(),  # a root: whoever sent is linked
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(one) for one in before],
        )

    def _end_run(
        self, run_id: str, error: BaseException | None, waits_for: str | None = None
    ) -> None:
        traced = self._runs.get(run_id)
        if traced is None or traced.span is None:
            return
        traced.before = traced.span.get_span_context()
        traced.waits_for = "retry" if error is not None else waits_for
        if waits_for is not None:
            traced.span.set_attribute("durable.wait.reason", waits_for)
        _end(traced.span, error)
        traced.span = None


class _RunSpan(Span):
    """The span that a run has now: what is current for all its code.

    While the code is gone through again, one that is not sampled, so that spans of the user's own are not there twice.
    """

    def __init__(self, traced: _Traced) -> None:
        self._traced = traced

    def _now(self) -> Span:
        span = self._traced.span
        return _MUTED if span is None or self._traced.is_replaying else span

    @override
    def get_span_context(self) -> SpanContext:
        return self._now().get_span_context()

    @override
    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._now().set_attributes(attributes)

    @override
    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self._now().set_attribute(key, value)

    @override
    def add_event(
        self,
        name: str,
        attributes: Attributes = None,
        timestamp: int | None = None,
    ) -> None:
        self._now().add_event(name, attributes, timestamp)

    @override
    def update_name(self, name: str) -> None:
        self._now().update_name(name)

    @override
    def is_recording(self) -> bool:
        return self._now().is_recording()

    @override
    def set_status(
        self, status: Status | StatusCode, description: str | None = None
    ) -> None:
        self._now().set_status(status, description)

    @override
    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # OpenTelemetry's own
    ) -> None:
        self._now().record_exception(exception, attributes, timestamp, escaped)

    @override
    def end(self, end_time: int | None = None) -> None:
        """Nothing: the run's own end ends it."""


def _attributes(
    run: RunAbout, step: StepAbout | None, attempt: int
) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "durable.run.id": run.id,
        "durable.function.id": run.function_id,
        "durable.attempt": attempt,
    }
    if step is not None:
        attributes["durable.step.id"] = step.name
    return attributes


def _end(span: Span, error: BaseException | None) -> None:
    if isinstance(error, Exception):
        span.record_exception(error)
        text = f"{type(error).__name__}: {error}"
        span.set_status(Status(StatusCode.ERROR, text))
        span.set_attribute("error.type", type(error).__name__)
    elif error is not None:  # it was cut off, and is done again
        span.set_attribute("durable.cut_off", value=True)
    span.end()


def _with_context(event: Event[Any], around: Context) -> Event[Any]:
    if event.name == INVOKED:
        return event
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, around)
    return copy_event(event, user={**carrier, **(event.user or {})})


def _sent_from(event: Event[Any]) -> list[SpanContext]:
    carrier: Mapping[str, Any] = event.user or {}
    if "traceparent" not in carrier:
        return []
    texts = {key: text for key, text in carrier.items() if isinstance(text, str)}
    around = _W3C.extract(texts, current.Context())
    found = trace.get_current_span(around).get_span_context()
    return [found] if found.is_valid else []
