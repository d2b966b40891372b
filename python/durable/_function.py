"""A durable function: its settings, checked, and the handler that its runs call."""

from __future__ import annotations

import inspect
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    TypeGuard,
    TypeVar,
    cast,
)

import orjson
from typing_extensions import override

from ._annotated import check_context, check_context_of_failure, type_of_context
from ._checkpointing import read_checkpointing
from ._codec import Codec, codec_of
from ._cron import CronFields, read_crons
from ._depends import Depends, check_wanted
from ._errors import ConfigError, UsageError
from ._events import (
    FAILED,
    FINISHED,
    EventType,
    MisusedError,
    On,
    is_event,
    read_conditions,
    read_triggers,
)
from ._expression import check_fields
from ._flow import DEFAULT_RETRIES, Retries, read_retries
from ._flow_check import Flow, FlowFields, expressions_of, matches_of, read_flow
from ._hidden import Readings
from ._layers import Stack, read_stack
from ._setting import Place


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


ResultT = TypeVar("ResultT")
HandlerT = TypeVar("HandlerT", bound="Callable[..., Any]")

MAX_ID_BYTES: Final = 256
#: Behind a function's id: that of its `on_failure`, as in the SDK protocol.
FAILURE_SUFFIX: Final = "-failure"


#: How others start what they make of a function: `task.delay(...)`.
_HABITS: Final = frozenset(
    {
        *(
            "apply",
            "apply_async",
            "defer",
            "delay",
            "enqueue",
            "invoke",
            "kiq",
            "map",
            "publish",
            "remote",
        ),
        *(
            "run",
            "s",
            "schedule",
            "send",
            "si",
            "signature",
            "spawn",
            "start",
            "submit",
            "trigger",
        ),
    }
)
_HOW_STARTED: Final = (
    "`await engine.send(event)` starts it where it listens to the event, `await engine.invoke({0}, data)` starts it and "
    "waits for its result, in a handler `await ctx.step.invoke(id, {0}, data)`"
)


class NoSuchMethodError(UsageError, AttributeError):
    """An attribute that functions of others have; still none, for who asks whether it is there."""


class Function(Generic[HandlerT, ResultT]):
    """A registered function: what `@app.function` gives, and what `invoke` takes.

    Attributes:
        id: its id, unique in the store.
        handler: the decorated function itself, to be called in tests.
        triggers: names of the events that start it, each with its type where one was given.
        crons: when it is started by the clock.
        conditions: what must be true of an event, in CEL, by its trigger's name, where a trigger says so.
        retries: how many more tries, and how far apart.
        flow: its flow control, by argument, in ms and without what was left out: as `flow_json` gives it.
        cancel_matches: events that cancel its runs, each with the field that both must have the same.
        checkpointing: how far its handler may go on before its steps are on disk; `None`: it waits for each.
        stack: the middleware around it: its application's, then its own.
        sealed_by: what of its application's middleware encrypts events before the engine sees them.
        on_failure: the function that each of its failed runs starts, where it has one.
    """

    def __init__(  # settings, all by name  # noqa: PLR0913
        self,
        handler: HandlerT,
        id: str | None,  # the word users know  # noqa: A002  # the word users know
        *,
        on: object,
        retries: int | Retries,
        flow: Flow,
        on_failure: object = None,
        checkpointing: object = None,
        middleware: object = None,
        around: Stack | None = None,
    ) -> None:
        self.handler: HandlerT = handler
        self.id = _check_id(handler, id)
        place = Place(f"function '{self.id}'", "on")
        self.triggers: dict[str, EventType[Any] | None] = read_triggers(place, on)
        self.conditions: dict[str, str] = read_conditions(place, on)
        self.crons: list[CronFields] = read_crons(place, on)
        self.retries = read_retries(place.at("retries"), retries)
        self.checkpointing = read_checkpointing(
            place.at("checkpointing"), checkpointing
        )
        before = around.members if around else ()
        self.stack: Stack = read_stack(place.owner, middleware, before)
        self.sealed_by = tuple(one for one in before if one.clear_fields is not None)
        self.flow: FlowFields = read_flow(place, flow)
        self.cancel_matches = matches_of(flow)
        self._context_type = type_of_context(handler)
        kind = self.type_for_invoke()
        if kind is not None:
            for where, text in expressions_of(place, self.flow):
                is_condition = where.argument.endswith("if_")
                check_fields(where, text, kind.model, is_condition=is_condition)
        if self.triggers or not self.crons:
            Readings(
                place,
                triggers=self.triggers,
                conditions=self.conditions,
                flow=self.flow,
                matches=self.cancel_matches,
            ).check(before)
        gives = any(one.gives_arguments for one in self.stack.members)
        self.is_async = _check_handler(
            place, handler, check_wanted(place, handler, gives=gives)
        )
        check_context(place, handler, self.triggers)
        self.codec: Codec[ResultT] = codec_of(handler)
        self.on_failure = _read_on_failure(self, place.at("on_failure"), on_failure)
        self.__doc__ = handler.__doc__

    def type_of(self, event_name: str) -> EventType[Any] | None:
        """The declared type of an event that started a run."""
        return self.triggers.get(event_name)

    def type_for_invoke(self) -> EventType[Any] | None:
        """The type of the data a caller hands in: that of the only trigger; without one that of the handler's context."""
        if not self.triggers and not self.crons:
            return self._context_type
        if len(self.triggers) != 1:
            return None
        return next(iter(self.triggers.values()))

    @override
    def __repr__(self) -> str:
        return f"<durable function '{self.id}'>"

    if not TYPE_CHECKING:  # checkers refuse all of it
        #: Django's templates call what can be called.
        do_not_call_in_templates = True

        def __call__(self, *_given: object, **_named: object) -> None:
            what = f"function '{self.id}' is not called"
            text = f"{what}: {_HOW_STARTED.format(self._name())}; a test may call its code itself: {self._name()}.handler(ctx)"
            raise MisusedError(text)

        def __getattr__(self, name: str) -> None:
            text = f"'{type(self).__name__}' object has no attribute '{name}'"
            if name not in _HABITS:
                raise AttributeError(text, name=name, obj=self)
            text = f"function '{self.id}' has no '{name}': {_HOW_STARTED.format(self._name())}"
            raise NoSuchMethodError(text)

        def _name(self) -> str:
            return getattr(self.handler, "__name__", "function")


def function_id_of(given: object, whose: str) -> str:
    """The id of a function to invoke. `whose` begins the error's message.

    Raises:
        UsageError: it is no durable function, and no id of one.
    """
    found = given.id if _is_function(given) else given
    if not isinstance(found, str) or not found:
        name = getattr(given, "__name__", None)
        text = (
            f"{whose}: {given!r} is no durable function: give what `@app.function` made"
        )
        if name is not None:
            text = f"{whose}: {name} is a plain function: give the durable one that `@app.function` made of it"
        text = f"{text}, or the id of one"
        raise UsageError(text)
    return found


def refuse_event(data: object, whose: str, instead: str) -> None:
    """That what a function is to be given is data. `whose` begins the error's message.

    Raises:
        UsageError: it is a whole event.
    """
    if is_event(data):
        text = (
            f"{whose}: the data is a whole event, '{data.name}': give what is in it, {instead}, or send it: "
            "engine.send(event)"
        )
        raise UsageError(text)


def flow_json(function: Function[Any, Any]) -> bytes:
    """What crosses the border of a function's flow control, its triggers' conditions and its crons.

    A JSON object with sorted keys, lengths in ms, and without the settings that are absent:

        {"concurrency": [{"key": "event.data.customer_id", "limit": 10, "scope": "fn"}],
         "conditions": {"shop/order.placed": "event.data.total > 100"},
         "throttle": {"burst": 0, "key": null, "limit": 5, "period_ms": 60000}}
    """
    fields: FlowFields = dict(function.flow)
    if function.conditions:
        fields["conditions"] = dict(function.conditions)
    if function.crons:
        fields["crons"] = list(function.crons)
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def _read_on_failure(
    function: Function[Any, Any], place: Place, handler: Any
) -> Function[Any, Any] | None:
    """The function that failed runs of another start: one of its own, told of the other's failures alone.

    Raises:
        ConfigError: it is no handler, or would never be called.
    """
    if handler is None:
        return None
    accepted = "a function that takes the context, as in on_failure=tell_support"
    if _is_function(handler):
        reason = "is a durable function, which its own triggers start"
        accepted = f"its handler, or on=On('{FAILED}', if_=...) at that function"
        raise place.error(handler, reason, accepted)
    if not callable(handler):
        reason = f"is of type {type(handler).__name__}"
        raise place.error(handler, reason, accepted)
    if function.triggers and function.triggers.keys() <= {FAILED, FINISHED}:
        reason = "would never be called: no end is told of a run that the end of another has started"
        accepted = "on_failure at functions with other triggers"
        raise place.error(handler, reason, accepted)
    owner = Place(f"on_failure of {place.owner}", "on_failure")
    gives = any(one.gives_arguments for one in function.stack.members)
    _check_handler(owner, handler, check_wanted(owner, handler, gives=gives))
    check_context_of_failure(owner.owner, handler)
    own_id = f"{function.id}{FAILURE_SUFFIX}"
    if len(own_id.encode()) > MAX_ID_BYTES:
        reason = f"is registered as '{own_id}', which is too long"
        raise place.error(handler, reason, f"an id of {place.owner} of 248 bytes")
    condition = f"event.data.function_id == {orjson.dumps(function.id).decode()}"
    own = On[Any](FAILED, condition)
    return Function(
        handler,
        own_id,
        on=own,
        retries=DEFAULT_RETRIES,
        flow=Flow(),
        around=function.stack,
    )


def _is_function(given: object) -> TypeGuard[Function[Any, Any]]:
    return isinstance(given, Function)


def _check_id(handler: object, given: object) -> str:
    name = getattr(handler, "__name__", None) if given is None else given
    place = Place(f"function {name!r}", "id")
    if not isinstance(name, str):
        raise place.error(
            name, f"is of type {type(name).__name__}", "a text of 1 to 256 bytes"
        )
    if not 1 <= len(name.encode()) <= MAX_ID_BYTES:
        reason = "is empty" if not name else "is too long"
        raise place.error(name, reason, "a text of 1 to 256 bytes")
    if name == "<lambda>":
        raise place.error(name, "is no name", "an id: @app.function('my-function')")
    return name


def _check_handler(place: Place, handler: Any, wanted: Mapping[str, Depends]) -> bool:
    """True for an `async def`, false for a plain function.

    Raises:
        ConfigError: it cannot be called with one context.
    """
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        text = f"{place.owner} is a generator: use `return`, not `yield`"
        raise ConfigError(text)
    if not callable(handler):
        text = f"{place.owner}: {handler!r} is no function"
        raise ConfigError(text)
    try:
        inspect.signature(handler).bind(cast("object", None), **wanted)
    except TypeError:
        shown = inspect.signature(handler)
        text = (
            f"{place.owner} takes {shown}; it is called with one argument, the context: (ctx). What else it needs comes "
            "in its event: ctx.event.data"
        )
        raise ConfigError(text) from None
    return inspect.iscoroutinefunction(handler)
