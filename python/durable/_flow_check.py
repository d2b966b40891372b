"""Flow control, checked: what a decorator's arguments mean together, and what of it crosses the border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict, TypeGuard, cast

from ._duration import Duration
from ._errors import ConfigError
from ._events import EventType, check_heard
from ._expression import (
    check as check_expression,
    check_constant,
    check_fields,
    wrong_match,
)
from ._flow import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Scope,
    Singleton,
    Throttle,
    Timeouts,
)
from ._setting import Place


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MAX_LIMIT: Final = 2**31 - 1
#: A run's record names each of its events: it is written again with each that comes.
MAX_BATCH: Final = 1_000
MAX_CONCURRENCIES: Final = 2
MAX_CANCEL_ON: Final = 5

_SHORTEST: Final = "1ms"
_LONGEST: Final = "366d"
_LONGEST_PERIOD: Final = "7d"
_LONGEST_RATE_PERIOD: Final = "24h"

_LIMIT_FORMS: Final = 'a whole number, or Concurrency(limit) as in Concurrency(10, key="event.data.customer_id")'
_LIMITS_FORMS: Final = f"{_LIMIT_FORMS}, or a list of at most two of these"
_SCOPES: Final = ("fn", "env", "account")
_MODES: Final = ("skip", "cancel")

FlowFields: TypeAlias = dict[str, object]
"""Flow control as it crosses the border: by argument, those that are absent left out."""


class LimitFields(TypedDict):
    """A `Concurrency` as it crosses the border."""

    limit: int
    key: str | None
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The flow control a decorator was given, by argument; `None` where it was not."""

    concurrency: int | Concurrency | Sequence[int | Concurrency] | None = None
    run_concurrency: int | Concurrency | None = None
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    priority: Priority | None = None
    singleton: Singleton | None = None
    idempotency: str | None = None
    timeouts: Timeouts | None = None
    cancel_on: CancelOn | Sequence[CancelOn] | None = None


def read_flow(place: Place, flow: Flow) -> FlowFields:
    """What a decorator's flow control means.

    Raises:
        ConfigError: a setting is wrong, or two exclude each other.
    """
    fields = {
        name: read(place.at(name), given)
        for name, read in _READERS.items()
        if (given := getattr(flow, name)) is not None
    }
    _check_combinations(place, fields)
    return fields


def expressions_of(place: Place, fields: FlowFields) -> Iterator[tuple[Place, str]]:
    """Each CEL text of a function's flow control, and where it stands."""
    for name, value in cast("dict[str, Any]", fields).items():
        at = place.at(name)
        if isinstance(value, str):
            yield at, value
        parts: list[tuple[Place, Any]] = [(at, value)]
        if _is_list(value):
            is_one = len(value) == 1  # it may have been given without a list
            parts = [
                (at if is_one else at.item(index), one)
                for index, one in enumerate(value)
            ]
        for part, one in parts:
            for key in ("key", "if"):
                text = cast("dict[str, Any]", one).get(key) if _is_object(one) else None
                if text is not None:
                    yield part.within("if_" if key == "if" else key), text


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


# --- one by one


def _read_concurrency(place: Place, given: object) -> list[LimitFields]:
    if not _is_list(given):
        return [_read_limit(place, given, _LIMITS_FORMS)]
    if not 1 <= len(given) <= MAX_CONCURRENCIES:
        reason = f"has {len(given)} limits"
        accepted = "one or two limits; leave `concurrency` out where there is none"
        raise place.error(given, reason, accepted)
    limits = [
        _read_limit(place.item(index), one, _LIMIT_FORMS)
        for index, one in enumerate(given)
    ]
    if len({(one["scope"], one["key"]) for one in limits}) < len(limits):
        reason = "limits the same twice"
        accepted = (
            "limits that differ in key or scope; of two numbers the smaller would hold"
        )
        raise place.error(given, reason, accepted)
    return limits


def _read_run_concurrency(place: Place, given: object) -> LimitFields:
    return _read_limit(place, given, _LIMIT_FORMS)


def _read_limit(place: Place, given: object, forms: str) -> LimitFields:
    if isinstance(given, int) and not isinstance(given, bool):
        return {"limit": _limit(place, given), "key": None, "scope": "fn"}
    it = place.instance(given, Concurrency, forms)
    limit = _limit(place.within("limit"), it.limit)
    scope = cast("Scope", _choice(place.within("scope"), it.scope, _SCOPES))
    if scope != "fn" and it.key is None:
        reason = f"is missing: scope={scope!r} is shared by functions with the same value of a key"
        accepted = (
            'a CEL expression, as in "event.data.customer_id"; for one limit over all, a constant, '
            "as in \"'payments'\""
        )
        raise place.within("key").error(None, reason, accepted)
    return {"limit": limit, "key": _key(place, it.key), "scope": scope}


def _read_throttle(place: Place, given: object) -> FlowFields:
    forms = 'Throttle(limit, period), as in Throttle(10, "1m")'
    it = place.instance(given, Throttle, forms)
    return {
        "limit": _limit(place.within("limit"), it.limit),
        "period_ms": _length(place.within("period"), it.period, _LONGEST_PERIOD),
        "burst": _burst(place, it.burst),
        "key": _key(place, it.key),
    }


def _read_rate_limit(place: Place, given: object) -> FlowFields:
    forms = 'RateLimit(limit, period), as in RateLimit(10, "1m")'
    it = place.instance(given, RateLimit, forms)
    limit = _limit(place.within("limit"), it.limit)
    return {
        "limit": limit,
        "period_ms": _length(place.within("period"), it.period, _LONGEST_RATE_PERIOD),
        "burst": limit - 1 if it.burst is None else _burst(place, it.burst),
        "key": _key(place, it.key),
    }


def _read_debounce(place: Place, given: object) -> FlowFields:
    it = place.instance(given, Debounce, 'Debounce(period), as in Debounce("30s")')
    return {
        "period_ms": _length(place.within("period"), it.period, _LONGEST_PERIOD),
        "key": _key(place, it.key),
        "timeout_ms": _optional_length(place.within("timeout"), it.timeout),
    }


def _read_batch(place: Place, given: object) -> FlowFields:
    forms = 'Batch(max_size, timeout), as in Batch(100, "5s")'
    it = place.instance(given, Batch, forms)
    at = place.within("if_")
    return {
        "max_size": place.within("max_size").whole_number(it.max_size, 2, MAX_BATCH),
        "timeout_ms": _length(place.within("timeout"), it.timeout, _LONGEST),
        "key": _key(place, it.key),
        "if": None
        if it.if_ is None
        else check_constant(at, check_expression(at, it.if_)),
    }


def _read_priority(place: Place, given: object) -> str:
    forms = "Priority(expr), as in Priority(\"event.data.plan == 'paid' ? 120 : 0\")"
    it = place.instance(given, Priority, forms)
    return check_expression(place.within("expr"), it.expr)


def _read_singleton(place: Place, given: object) -> FlowFields:
    it = place.instance(given, Singleton, 'Singleton("skip") or Singleton("cancel")')
    return {
        "mode": _choice(place.within("mode"), it.mode, _MODES),
        "key": _key(place, it.key),
    }


def _read_timeouts(place: Place, given: object) -> FlowFields:
    forms = 'Timeouts(start="10m"), Timeouts(finish="2h"), or both in one'
    it = place.instance(given, Timeouts, forms)
    if it.start is None and it.finish is None:
        reason = "has neither start nor finish"
        raise place.error(given, reason, forms)
    return {
        "start_ms": _optional_length(place.within("start"), it.start),
        "finish_ms": _optional_length(place.within("finish"), it.finish),
    }


def _read_cancel_on(place: Place, given: object) -> list[FlowFields]:
    if not _is_list(given):
        return [_read_cancel(place, given)]
    if not 1 <= len(given) <= MAX_CANCEL_ON:
        reason = f"has {len(given)} events"
        raise place.error(given, reason, f"1 to {MAX_CANCEL_ON} of CancelOn(event)")
    return [_read_cancel(place.item(index), one) for index, one in enumerate(given)]


def _read_cancel(place: Place, given: object) -> FlowFields:
    forms = (
        'CancelOn(event), as in CancelOn("shop/order.cancelled", match="data.order_id")'
    )
    it = place.instance(given, CancelOn, forms)
    at = place.within("event")
    kind = it.event if isinstance(it.event, EventType) else None
    name: object = it.event if kind is None else kind.name
    model = None if kind is None else kind.model
    parts: list[str] = []
    if it.match is not None:
        at_match, form = place.within("match"), 'a path in both, as in "data.order_id"'
        match = at_match.instance(it.match, str, form)
        if reason := wrong_match(match):
            raise at_match.error(match, reason, form)
        parts.append(f"event.{match} == async.{match}")
        _check_async(at_match, parts[0])
        check_fields(at_match, f"async.{match}", model, of="async")
    if it.if_ is not None:
        at_if = place.within("if_")
        parts.append(check_constant(at_if, _check_async(at_if, it.if_)))
        check_fields(at_if, it.if_, model, of="async", is_condition=True)
    both = len(parts) > 1
    return {
        "event": check_heard(at, name),
        "if": " && ".join(f"({part})" if both else part for part in parts) or None,
        "timeout_ms": _optional_length(place.within("timeout"), it.timeout),
    }


def matches_of(flow: Flow) -> tuple[tuple[str, str], ...]:
    """Of a flow control that was read: the events that cancel, each with its `match`, where it has one."""
    given = flow.cancel_on
    listed = given if _is_list(given) else [given]
    cancels = [one for one in listed if isinstance(one, CancelOn)]
    return tuple(
        (one.event.name if isinstance(one.event, EventType) else one.event, one.match)
        for one in cancels
        if one.match is not None
    )


def _check_async(place: Place, given: object) -> str:
    return check_expression(place, given, scope="async", plain=True)


_READERS: Final[Mapping[str, Callable[[Place, Any], object]]] = {
    "concurrency": _read_concurrency,
    "run_concurrency": _read_run_concurrency,
    "throttle": _read_throttle,
    "rate_limit": _read_rate_limit,
    "debounce": _read_debounce,
    "batch": _read_batch,
    "priority": _read_priority,
    "singleton": _read_singleton,
    "idempotency": check_expression,
    "timeouts": _read_timeouts,
    "cancel_on": _read_cancel_on,
}


# --- their parts


def _is_list(given: object) -> TypeGuard[Sequence[object]]:
    return isinstance(given, list | tuple)


def _limit(place: Place, given: object) -> int:
    return place.whole_number(given, 1, MAX_LIMIT)


def _burst(place: Place, given: object) -> int:
    return place.within("burst").whole_number(given, 0, MAX_LIMIT)


def _key(place: Place, given: object) -> str | None:
    return None if given is None else check_expression(place.within("key"), given)


def _length(place: Place, given: Duration, most: str) -> int:
    return place.duration_between_ms(given, _SHORTEST, most)


def _optional_length(place: Place, given: Duration | None) -> int | None:
    return None if given is None else _length(place, given, _LONGEST)


def _choice(place: Place, given: object, choices: tuple[str, ...]) -> str:
    accepted = ", ".join(f'"{one}"' for one in choices)
    name = place.instance(given, str, accepted)
    if name not in choices:
        reason = "is not known"
        raise place.error(given, reason, accepted)
    return name


# --- together


#: Two arguments that exclude each other, why, and what to do instead.
_EXCLUSIVE: Final[Sequence[tuple[str, str, str, str]]] = (
    (
        "batch",
        "rate_limit",
        "a batch takes every event, a rate limit drops some",
        "throttle=Throttle(limit, period) makes later batches wait",
    ),
    (
        "batch",
        "debounce",
        "a batch keeps every event, a debounce the last one",
        "leave one of them out; a batch waits for more events too, for its `timeout`",
    ),
    (
        "batch",
        "singleton",
        "a singleton decides event by event, a batch takes many at once",
        "run_concurrency=Concurrency(1) lets one batch run at a time, the others wait",
    ),
    (
        "batch",
        "priority",
        "the events of one batch could differ in priority",
        "leave `priority` out; events for which Batch(if_=...) is not true do not wait for a batch",
    ),
    (
        "batch",
        "cancel_on",
        "the events of one batch could be cancelled by different ones",
        "leave `cancel_on` out; `engine.runs.cancel(run_id)` cancels a batch's run",
    ),
    (
        "idempotency",
        "rate_limit",
        "`idempotency` is a rate limit itself, of one event in 24 h for its key",
        "leave one of them out; an event's own id, as in Event(name, id=...), also counts once in 24 h",
    ),
)


def _check_combinations(place: Place, fields: FlowFields) -> None:
    for name, other, why, instead in _EXCLUSIVE:
        if name in fields and other in fields:
            text = (
                f"{place.owner}: `{name}` cannot be combined with `{other}`: {why}\n"
                f"  instead: {instead}"
            )
            raise ConfigError(text)
