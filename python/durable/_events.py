"""Events as users make and read them: `Event`, the typed `EventType`, and the trigger `On`."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeGuard, cast, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from typing_extensions import TypeVar, is_typeddict, override

from ._codec import adapter_of, read_plain
from ._cron import is_cron, looks_like_cron
from ._duration import seconds_for_ms
from ._errors import (
    ConfigError,
    EventRefused,
    SerializationError,
    UsageError,
)
from ._expression import check, check_constant, check_fields
from ._setting import Place, wrong_id


if TYPE_CHECKING:
    DataT = TypeVar("DataT", default=dict[str, Any])
else:
    DataT = TypeVar("DataT")  # at run time an Event without a type takes every data

MAX_TRIGGERS: Final = 10
_RESERVED: Final = ("durable/", "inngest/")  # as in durable-core's event.rs
FAILED: Final = "durable/function.failed"
FINISHED: Final = "durable/function.finished"
CANCELLED: Final = "durable/function.cancelled"
#: What the engine tells whoever listens.
_TOLD: Final = (FAILED, FINISHED, CANCELLED)
#: What the engine gives to the function that is invoked, or that a schedule starts, and to nobody else.
INVOKED: Final = "durable/function.invoked"
_GIVEN: Final = (INVOKED, "durable/scheduled.timer")
SYSTEM_EVENTS: Final = (*_TOLD, *_GIVEN)
_TOLD_FORMS: Final = ", ".join(_TOLD)
_SYSTEM_FORMS: Final = f"{_TOLD_FORMS}, durable/function.*, durable/*"
_NAME_FORMS: Final = (
    "an event's name as in 'shop/order.placed'; a wildcard is one '*' at the end, after '/' or '.', "
    "as in 'shop/*' or 'shop/order.*'"
)
_MODEL_FORMS: Final = "the class of its data: a pydantic model, a dataclass or a TypedDict, as in EventType('shop/order.placed', Order)"
_FIX: Final = "give a pydantic model, a dataclass or a TypedDict"
#: What stands beside an event's data.
_ENVELOPE: Final = frozenset({"id", "ts", "v", "user"})


class MisusedError(UsageError, TypeError):
    """Something is used as what it is not; still a `TypeError`, for templates and others that try what a value can."""


class Event(BaseModel, Generic[DataT]):
    """What happened: a name and data, with the envelope around them.

    Raises:
        EventRefused: `ts` is in seconds.
        pydantic.ValidationError: another field is wrong.

    Attributes:
        name: what happened, as in `shop/order.placed`.
        data: a JSON object, or the model that the event's type declares.
        id: the sender's own id: for a day a second event with it starts nothing again. On an event that
            was received without one: the engine's.
        ts: when it happened, in ms since the epoch. In the future: its runs start then.
        v: the version of its shape.
        user: who it is about.
    """

    model_config = ConfigDict(
        frozen=True, arbitrary_types_allowed=True, defer_build=True
    )

    name: str = Field(min_length=1, max_length=256)
    data: DataT
    id: str | None = Field(default=None, min_length=1, max_length=256)
    ts: int | None = Field(default=None, ge=0, lt=2**53)
    v: str | None = None
    user: dict[str, Any] | None = None

    def __init__(  # the envelope's own fields
        self,
        name: str,
        data: DataT | None = None,
        *,
        id: str | None = None,  # noqa: A002  # the word users know
        ts: datetime | int | None = None,
        v: str | None = None,
        user: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(ts, int | float) and (
            problem := seconds_for_ms(f"event '{name}': ts is in", ts)
        ):
            raise EventRefused(problem)
        filled: object = {} if data is None else data
        super().__init__(name=name, data=filled, id=id, ts=ts, v=v, user=user)

    @field_validator("ts", mode="before")
    @classmethod
    def _read_ts(cls, ts: object) -> object:
        if not isinstance(ts, datetime):
            return ts
        if ts.tzinfo is None:
            reason = "a datetime without a time zone says no moment: give it one, as in datetime.now(UTC)"
            raise ValueError(reason)
        return round(ts.timestamp() * 1000)

    if not TYPE_CHECKING:  # checkers refuse it

        def __getitem__(self, name: object) -> object:
            text = f"an event is no dict: its fields are attributes, as in ctx.event.data, not ctx.event[{name!r}]"
            raise MisusedError(text)


class EventType(Generic[DataT]):
    """A typed event: calling it with the model's fields, or one instance of it, gives an `Event`.

    The engine's own events, as `durable/function.failed`, may be named for triggers; `send` refuses them.

    Args:
        name: what happens, as in `shop/order.placed`.
        model: the type of its data: a pydantic model, a dataclass or a TypedDict; any object by default. What a
            TypedDict does not declare is kept, unless its `__pydantic_config__` says otherwise; a model's own
            `extra` decides for the model.

    Raises:
        ConfigError: the name is none, or the model no type.
    """

    __slots__ = ("_adapter", "model", "name")

    def __init__(self, name: str, model: type[DataT] | None = None) -> None:
        check_name(Place("EventType", "name"), name, is_trigger=False)
        if is_reserved(name) and name not in SYSTEM_EVENTS:
            text = (
                f"event '{name}': names beginning with 'durable/' or 'inngest/' are the engine's own; "
                "choose another prefix"
            )
            raise ConfigError(text)
        if model is not None and not _is_type(model):
            place = Place("EventType", "model")
            reason = (
                f"is of type {type(cast('object', model)).__name__}, and no type itself"
            )
            raise place.error(model, reason, _MODEL_FORMS)
        self.name = name
        self.model = model
        self._adapter: TypeAdapter[DataT] | None = None

    def __call__(self, instance: DataT | None = None, /, **fields: Any) -> Event[DataT]:
        """An event with this data. What stands beside it, as its id, is given to `event`.

        Raises:
            pydantic.ValidationError: it does not fit the model.
            UsageError: a field is given beside an instance, or is one of the event's own.
        """
        make: Any = self.model
        if fields and (instance is not None or not _ENVELOPE.isdisjoint(fields)):
            self._check_fields(instance, fields)
        if instance is None:
            is_model = isinstance(make, type) and issubclass(make, BaseModel)
            given = make(**fields) if is_model else self.read(fields)
            return make_event(self.name, cast("DataT", given))
        if type(instance) is not make:
            instance = self.read(instance)
        return make_event(self.name, instance)

    def _check_fields(self, instance: object, fields: Mapping[str, object]) -> None:
        """That none of these would be lost.

        Raises:
            UsageError: one would.
        """
        lead, own = f"event '{self.name}'", name_of_type(self.model)
        for field, value in fields.items():
            is_own = field in _ENVELOPE
            how = f"event_type.event(data, {field}={reprlib.repr(value)})"
            if instance is not None:
                remedy = f"write {how}" if is_own else "give the one or the others"
                text = f"{lead}: {field}= beside its data would be lost: {remedy}"
                raise UsageError(text)
            if is_own and not _may_have(self.model, field):
                text = f"{lead}: {field}= is no field of {own}, but one of the event's own: write {how}"
                raise UsageError(text)

    def event(
        self,
        data: DataT,
        *,
        id: str | None = None,  # the name is the envelope's  # noqa: A002  # the word users know
        ts: datetime | int | None = None,
        v: str | None = None,
        user: dict[str, Any] | None = None,
    ) -> Event[DataT]:
        """An event with this data and these fields of the envelope."""
        envelope = Event[Any](self.name, {}, id=id, ts=ts, v=v, user=user)
        return make_event(
            self.name, self.read(data), id=id, ts=envelope.ts, v=v, user=user
        )

    def read(self, data: object) -> DataT:
        """`data` as the declared model.

        Raises:
            pydantic.ValidationError: it does not fit the model.
        """
        if self.model is None:
            return cast("DataT", data)
        return self._typed().validate_python(data)

    def _typed(self) -> TypeAdapter[DataT]:
        if self._adapter is None:
            self._adapter = adapter_of(
                self.model, f"event '{self.name}':", _FIX, keeps_undeclared=True
            )
        return self._adapter

    def read_stored(self, json: bytes, whose: str) -> DataT:
        """The data that `json` stands for. `whose` begins the error's message.

        Raises:
            SerializationError: it does not fit the model.
        """
        if self.model is None:
            return cast("DataT", read_plain(json))
        try:
            return self._typed().validate_json(json)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in ("data", *first["loc"]))
            text = f"{whose} does not fit {self!r}: {path}: {first['msg']}"
            raise SerializationError(text, path=path) from None

    @override
    def __repr__(self) -> str:
        model = "" if self.model is None else f", {name_of_type(self.model)}"
        return f"EventType({self.name!r}{model})"


class On(Generic[DataT]):
    """A trigger: the event that starts a run.

    Args:
        event: its type, or its name; a `*` at the end stands for any ending.
        if_: CEL over the event, as in `"event.data.total_cents > 1000"`: one for which it is not true starts
            nothing, also where it gives a number or a text. By default each does.

    Raises:
        ConfigError: out of `app.function`, naming the function, where it is no event or no expression.
    """

    __slots__ = ("event", "if_")

    def __init__(self, event: EventType[DataT] | str, if_: str | None = None) -> None:
        self.event = event
        self.if_ = if_

    @override
    def __repr__(self) -> str:
        condition = "" if self.if_ is None else f", if_={self.if_!r}"
        return f"On({self.event!r}{condition})"


def _may_have(model: Any, field: str) -> bool:
    """False where it is sure that a model would leave a field of this name out."""
    if _is_model(model):
        return _may_read(model, field)
    if dataclasses.is_dataclass(model):
        return field in {one.name for one in dataclasses.fields(model)}
    annotations: dict[str, object] = getattr(model, "__annotations__", {})
    return not is_typeddict(model) or field in annotations


def _is_model(given: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(given, type) and issubclass(given, BaseModel)


def _may_read(model: type[BaseModel], field: str) -> bool:
    """The same of a pydantic model: by its fields, their aliases, or a validator that comes before them."""
    hooks = model.__pydantic_decorators__.model_validators.values()
    takes_all = model.model_config.get("extra") in {"allow", "forbid"}
    if takes_all or any(one.info.mode != "after" for one in hooks):
        return True
    aliases = [
        alias
        for one in model.model_fields.values()
        for alias in (one.alias, one.validation_alias)
        if alias is not None
    ]
    # An alias of pydantic's own classes is read by pydantic alone.
    is_alias = any(one == field or not isinstance(one, str) for one in aliases)
    return is_alias or field in model.model_fields


def _is_type(model: Any) -> bool:
    is_special = type(model).__module__ in {"typing", "typing_extensions", "types"}
    return isinstance(model, type) or get_origin(model) is not None or is_special


def name_of_type(model: object) -> str:
    """A type as its author wrote it."""
    if isinstance(model, type) and get_origin(model) is None:
        return cast("type[object]", model).__name__
    return str(model).replace("typing.", "")


def make_event(name: str, data: DataT, **envelope: Any) -> Event[DataT]:
    """An `Event` of parts that are known to be right; pydantic is not asked again."""
    event = cast("Event[DataT]", Event.__new__(Event))
    fields = {
        "name": name,
        "data": data,
        "id": None,
        "ts": None,
        "v": None,
        "user": None,
    }
    fields.update(envelope)
    object.__setattr__(event, "__dict__", fields)
    object.__setattr__(event, "__pydantic_fields_set__", {"name", "data", *envelope})
    object.__setattr__(event, "__pydantic_extra__", None)
    object.__setattr__(event, "__pydantic_private__", None)
    return event


def check_name(place: Place, name: object, *, is_trigger: bool) -> str:
    """An event's name, or a trigger's.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(name, str):
        reason = f"is of type {type(name).__name__}"
        raise place.error(name, reason, _NAME_FORMS)
    if not name:
        reason = "is empty"
        raise place.error(name, reason, _NAME_FORMS)
    if problem := wrong_id("event", "a name", name):
        raise place.error(name, problem.partition(": ")[2], _NAME_FORMS)
    star = name.find("*")
    if star >= 0:
        is_fine = (
            is_trigger and star == len(name) - 1 and name[:-1].endswith(("/", "."))
        )
        if not is_fine:
            reason = "a '*' cannot stand here"
            raise place.error(name, reason, _NAME_FORMS, position=star)
    return name


def check_heard(place: Place, name: object) -> str:
    """The name of an event that may be waited for.

    Raises:
        ConfigError: it is none, or nobody is ever told of such an event.
    """
    event = check_name(place, name, is_trigger=False)
    if is_reserved(event) and event not in _TOLD:
        raise place.error(event, _why_unheard(event), _TOLD_FORMS)
    return event


def read_triggers(place: Place, given: object) -> dict[str, EventType[Any] | None]:
    """What a decorator's `on` means: names of events, each with its type where one was given. Crons are passed by.

    Raises:
        ConfigError: something in it is no trigger, or there are more than ten, or one twice.
    """
    listed = [] if given is None else given if _is_list(given) else [given]
    crons = [one for one in listed if is_cron(one)]
    triggers: dict[str, EventType[Any] | None] = {}
    for one in listed:
        if is_cron(one):
            continue
        name, kind = _read_trigger(place, one)
        if name in triggers:
            reason = f"has the trigger '{name}' twice"
            accepted = (
                "each event once; join conditions in one, as in On(event, if_='a || b')"
            )
            raise place.error(given, reason, accepted)
        triggers[name] = kind
    count = len(triggers) + len(crons)
    if count > MAX_TRIGGERS:
        reason = f"has {count} triggers"
        raise place.error(given, reason, f"1 to {MAX_TRIGGERS} triggers")
    if _is_list(given) and not count:
        reason = "has no trigger"
        raise place.error(
            given,
            reason,
            "1 to 10 triggers; leave `on` out where only invoke starts it",
        )
    return triggers


def read_conditions(place: Place, given: object) -> dict[str, str]:
    """The `if_` of those of a decorator's triggers that have one, by the event's name.

    Raises:
        ConfigError: one is no expression.
    """
    listed = given if _is_list(given) else [given]
    conditions: dict[str, str] = {}
    for index, one in enumerate(listed):
        if _is_on(one) and one.if_ is not None:
            at = place.item(index) if _is_list(given) else place
            name = one.event if isinstance(one.event, str) else one.event.name
            model = None if isinstance(one.event, str) else one.event.model
            text = check_constant(
                at.within("if_"), check(at.within("if_"), one.if_, model)
            )
            check_fields(at.within("if_"), text, model, is_condition=True)
            conditions[name] = text
    return conditions


def _is_list(given: object) -> TypeGuard[list[object]]:
    return isinstance(given, list)


def _is_on(given: object) -> TypeGuard[On[Any]]:
    return isinstance(given, On)


def is_reserved(name: str) -> bool:
    """True for names that only the engine may send."""
    return name.lower().startswith(_RESERVED)


def is_event(given: object) -> TypeGuard[Event[Any]]:
    """True for an event of any data."""
    return isinstance(given, Event)


def flat(events: Iterable[object]) -> list[Any]:
    """All that was given to be sent, one by one or in lists, in order: what is no event is left for `send` to refuse."""
    found: list[Any] = []
    for one in events:
        if is_event(one) or not _is_batch(one):
            found.append(one)
        else:
            found += flat(one)
    return found


def _is_batch(given: object) -> TypeGuard[Iterable[object]]:
    is_one = isinstance(given, str | bytes | Mapping | BaseModel)
    return isinstance(given, Iterable) and not is_one


def _read_trigger(place: Place, given: object) -> tuple[str, EventType[Any] | None]:
    event: Any = given.event if _is_on(given) else given
    if type(event) is EventType:
        return event.name, event
    if not isinstance(event, str):
        reason = f"is of type {type(event).__name__}"
        accepted = "an EventType, an event's name, On(event), Cron(expression), or a list of 1 to 10 of these"
        raise place.error(given, reason, accepted)
    if looks_like_cron(event):
        reason = "is a moment, and no event's name"
        accepted = f"Cron({event!r}), or an event's name, as in 'shop/order.placed'"
        raise place.error(given, reason, accepted)
    name = check_name(place, event, is_trigger=True)
    if is_reserved(name) and not _is_sent_by_engine(name):
        raise place.error(given, _why_unheard(name), _SYSTEM_FORMS)
    return name, None


def _is_sent_by_engine(trigger: str) -> bool:
    if trigger.endswith("*"):
        return any(name.startswith(trigger[:-1]) for name in _TOLD)
    return trigger in _TOLD


def _why_unheard(name: str) -> str:
    if name in _GIVEN:
        return "is given to the function that it starts, and nobody else is told of it"
    return "names nothing that the engine sends"
