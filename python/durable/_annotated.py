"""What a handler says of its context by its annotation, and whether that is what it will be given."""

from __future__ import annotations

import dataclasses
import inspect
import types
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel
from typing_extensions import TypeVar

from ._errors import ConfigError
from ._events import INVOKED, EventType, name_of_type
from ._setting import Place


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MODULE: Final = "durable._context"


def type_of_context(handler: Callable[..., Any]) -> EventType[Any] | None:
    """What a handler says of its event's data, as in `ctx: Context[Order]`; nothing where that is any object."""
    hint = _hint_of_context(handler)
    given: tuple[Any, ...] = get_args(hint)
    if not given:
        return None
    model = given[0]
    if model is Any or type(model) is TypeVar or dict in {model, get_origin(model)}:
        return None
    return EventType(INVOKED, model)


def check_context(
    place: Place,
    handler: Callable[..., Any],
    triggers: Mapping[str, EventType[Any] | None],
) -> None:
    """That a handler is given the context that it names, with data of the type that it names.

    Raises:
        ConfigError: it is not.
    """
    hint = _hint_of_context(handler)
    if hint is None:
        return
    kind = getattr(get_origin(hint) or hint, "__name__", "")
    where = f"{place.owner} ({line_of(handler)})"
    if inspect.iscoroutinefunction(handler) != (kind == "Context"):
        is_wrapped = inspect.iscoroutinefunction(inspect.unwrap(handler)) == (
            kind == "Context"
        )
        texts = _WRONG_WRAPPER if is_wrapped else _WRONG_KIND
        raise ConfigError(texts[kind].format(where=where, wrapper=_line(handler)))
    said = type_of_context(handler)
    if said is None:
        return
    typed = {name: one for name, one in triggers.items() if one and one.model}
    for name, given in (typed or triggers).items():  # who mixes both tells them apart
        problem = _misfit(name, given, said, kind)
        if problem is not None:
            text = f"{where} {problem}"
            raise ConfigError(text)


def check_context_of_failure(owner: str, handler: Callable[..., Any]) -> None:
    """The same of a handler of failures, whose event's data is that of the engine's own event.

    Raises:
        ConfigError: it is given another context than it names.
    """
    check_context(Place(owner, ""), handler, {})
    said = type_of_context(handler)
    if said is None or not any(_is_class_of_ours(one) for one in _members(said.model)):
        return
    own = name_of_type(said.model)
    kind = getattr(get_origin(_hint_of_context(handler)), "__name__", "")
    text = (
        f"{owner} ({line_of(handler)}) takes a {kind}[{own}], and is given the event of the failure: write {kind}, "
        f'without [{own}]. What started the run that failed is ctx.event.data["event"], and its data '
        f'ctx.event.data["event"]["data"]'
    )
    raise ConfigError(text)


def _misfit(  # noqa: PLR0917  # each is one thing the caller has at hand
    name: str, given: EventType[Any] | None, said: EventType[Any], kind: str
) -> str | None:
    """What to tell of a context whose data is not what an event that starts the function has, if so."""
    own = name_of_type(said.model)
    lead = f"takes a {kind}[{own}], and the event '{name}' that starts it has"
    if given is None or given.model is None:
        if not any(_is_class_of_ours(one) for one in _members(said.model)):
            return None
        typed = f"on=durable.EventType('{name}', {own})"
        if name.endswith("*"):
            typed = "each event with its type, on=[...]"
        return f"{lead} no type, so its data is a dict: write {typed}, or leave [{own}] out"
    if _fits(given.model, said.model):
        return None
    theirs = name_of_type(given.model)
    return f"{lead} data of {theirs}: write {kind}[{theirs}], or listen to an event of {own}"


def line_of(handler: Callable[..., Any]) -> str:
    """Where a handler is written."""
    return _line(inspect.unwrap(handler))


def _line(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return (
        repr(function) if code is None else f"{code.co_filename}:{code.co_firstlineno}"
    )


_WRONG_KIND: Final = {
    "Context": (
        "{where} is a plain `def` and takes a durable.Context, whose steps are awaited: write `async def`, or take a "
        "durable.SyncContext, whose steps block"
    ),
    "SyncContext": (
        "{where} is an `async def` and takes a durable.SyncContext, whose steps block: take a durable.Context and "
        "await its steps, or write a plain `def`"
    ),
}

_WRONG_WRAPPER: Final = {
    "Context": (
        "{where} is an `async def`, and what wraps it ({wrapper}) a plain `def`, which does not await it: make the "
        "wrapper an `async def` and await what it wraps"
    ),
    "SyncContext": (
        "{where} is a plain `def`, and what wraps it ({wrapper}) an `async def`, on whose loop its steps would block: "
        "make the wrapper a plain `def`"
    ),
}


def _hint_of_context(handler: Callable[..., Any]) -> Any:
    """The annotation of the context, where it is one of ours."""
    try:
        hints = [*get_type_hints(handler).items()]
    except (NameError, TypeError, AttributeError):
        return None  # only known to type checkers: treated as if it were not there
    name, hint = hints[0] if hints else ("return", None)
    kind = get_origin(hint) or hint
    is_context = getattr(kind, "__module__", "") == _MODULE
    return hint if is_context and name != "return" else None


def _members(model: Any) -> tuple[Any, ...]:
    is_union = get_origin(model) in {Union, types.UnionType}
    return get_args(model) if is_union else (model,)


def _is_class_of_ours(model: Any) -> bool:
    """True for a class whose values are never dicts."""
    if not isinstance(model, type) or get_origin(model) is not None:
        return False
    kind = cast("type[object]", model)
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)


def _fits(given: Any, said: Any) -> bool:
    """False where it is sure that none of what is given is of what is said."""
    both = (*_members(given), *_members(said))
    if not all(_is_class_of_ours(one) for one in both):
        return True
    kinds = cast("tuple[type, ...]", _members(said))
    return any(issubclass(one, kinds) for one in _members(given))
