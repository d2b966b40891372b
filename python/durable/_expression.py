"""CEL expressions in settings, checked where they are written: the engine's own parser, and the declared model."""

from __future__ import annotations

import re
import types
from datetime import date, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
)
from uuid import UUID

from pydantic import BaseModel, RootModel

from ._bridge import check_expression, expression_paths
from ._errors import ConfigError


if TYPE_CHECKING:
    from ._setting import Place


_ACCEPTED: Final = (
    'a CEL expression, as in "event.data.amount > 100" or "event.data.customer_id"; of two fields '
    'together "[event.data.a, event.data.b]"'
)

#: What an event has, as `match` names it.
_FIELDS: Final = ("data", "name", "id", "ts", "user", "v")
#: No value of these is true or false as JSON, but of `bool`, which is an `int`.
_NEVER_TRUE: Final = (
    str,
    bytes,
    int,
    float,
    Decimal,
    date,
    time,
    timedelta,
    UUID,
    list,
    tuple,
    set,
    frozenset,
    dict,
    BaseModel,
    types.NoneType,
)
_CONSTANT: Final = re.compile(r"""\s*(-?\d+(\.\d+)?|"[^"]*"|'[^']*'|null)\s*""")


def check(
    place: Place,
    text: object,
    model: object = None,
    *,
    scope: Literal["event", "async"] = "event",
    plain: bool = False,
) -> str:
    """A CEL expression that was given here.

    Args:
        place: where it stands.
        text: what was given.
        model: what the event's type declares. Where that is a pydantic model, the fields of `event.data` that
            are read must be its own.
        scope: `event`, or `async` where `async` is known too.
        plain: True where macros (`has`, `exists`, ...) are refused, as in `cancel_on`.

    Raises:
        ConfigError: it is none, or it reads a field that the model has not.
    """
    given = place.instance(text, str, _ACCEPTED)
    if not given.strip():
        raise place.error(given, "is empty", _ACCEPTED)
    mistake = check_expression(given, scope, plain=plain)
    if mistake is not None:
        raise _error(place, given, mistake)
    check_fields(place, given, model)
    return given


def check_fields(
    place: Place,
    text: str,
    model: object,
    *,
    of: Literal["event", "async"] = "event",
    is_condition: bool = False,
) -> None:
    """That an expression reads only fields of `event.data`, or of `async.data`, that a pydantic model has.

    `is_condition`: that it is not just a field which is never true or false, too.

    Raises:
        ConfigError: it reads another, or is such a field.
    """
    model = _within(model)
    if isinstance(model, type) and issubclass(model, BaseModel):
        misfit = _misfit(text, model, of, is_condition=is_condition)
        if misfit is not None:
            raise _error(place, text, misfit)


def wrong_match(match: str) -> str | None:
    """What is wrong with a `match`, a path in both events, if anything is."""
    first = match.split(".", 1)[0].split("[", 1)[0]
    if first in {"event", "async"}:
        return f"is looked up in both events: leave '{first}.' out, as in \"data.order_id\""
    if first not in _FIELDS:
        if match.isidentifier():
            return f'is no field of an event, whose own are {", ".join(_FIELDS)}: write "data.{match}"'
        return 'is no path in both events, as "data.order_id" is'
    return None


def has_field(data: object, path: str) -> bool:
    """Whether an event's data has what a `match` names; also where that is more than a path, which is not looked at."""
    first, *names = path.split(".")
    if first != "data" or not all(name.isidentifier() for name in names):
        return True
    for name in names:
        if not isinstance(data, dict) or name not in data:
            return False
        data = cast("dict[str, object]", data)[name]
    return True


def _names(model: type[BaseModel]) -> list[str] | None:
    """The fields a model's data may have; None where it may have any."""
    if model.model_config.get("extra") == "allow":
        return None
    names = [*model.model_fields, *model.model_computed_fields]
    for field in model.model_fields.values():
        names += [
            name
            for name in (field.alias, field.serialization_alias)
            if name is not None
        ]
    return list(dict.fromkeys(names))


@lru_cache(maxsize=1024)
def _misfit(
    text: str, model: type[BaseModel], of: str, *, is_condition: bool
) -> tuple[str, int, int] | None:
    """The first field that it reads and the model has not, and where: a wait asks each time that it is made."""
    names = _names(model)
    if names is None:
        return None
    data = f"{of}.data."
    for path, at, length in expression_paths(text):
        name = path.removeprefix(data).split(".", 1)[0].split("[", 1)[0]
        if name in names or not path.startswith(data):
            continue
        close = get_close_matches(name, names, n=1)
        hint = (
            f"did you mean {data}{close[0]}?"
            if close
            else f"its data has {', '.join(names) or 'no fields'}"
        )
        return f"the event has no {data}{name}: {hint}", at, length
    return _never_true(text, model, data) if is_condition else None


def check_constant(place: Place, text: str) -> str:
    """A condition that is no bare number or text, which would never be true.

    Raises:
        ConfigError: it is.
    """
    if _CONSTANT.fullmatch(text):
        reason = "is always the same, and never true: a condition is true or false"
        at = text.index(text.strip())
        raise _error(place, text, (reason, at, len(text.strip())))
    return text


def _never_true(
    text: str, model: type[BaseModel], data: str
) -> tuple[str, int, int] | None:
    """What to tell of a condition that is nothing but a field, which is neither true nor false."""
    path = text.strip()
    name = path.removeprefix(data)
    fields = model.model_fields
    named = {one.alias: one for one in fields.values() if one.alias is not None}
    field = fields.get(name) or named.get(name)
    if field is None or not path.startswith(data) or _may_be_true(field.annotation):
        return None
    reason = f"{path} is never true or false: compare it, as in {path} != null"
    return reason, text.index(path), len(path)


def _may_be_true(hint: Any) -> bool:
    """False for a type of which no value is true or false as JSON: all others get the benefit of the doubt."""
    hint = _within(hint)
    if get_origin(hint) in {Union, types.UnionType}:
        return any(_may_be_true(one) for one in get_args(hint))
    if not isinstance(hint, type):
        return True
    if issubclass(hint, Enum):
        return any(isinstance(one.value, bool) for one in hint)
    return hint is bool or not issubclass(hint, _NEVER_TRUE)


def _within(hint: Any) -> Any:
    """What stands in the place of a `RootModel` as JSON; any other type as it is."""
    model: object = hint
    if not isinstance(model, type) or not issubclass(model, RootModel):
        return hint
    return _within(model.model_fields["root"].annotation)


def _error(place: Place, text: str, mistake: tuple[str, int, int]) -> ConfigError:
    """The error to raise: what is wrong, the line, and carets under the place."""
    reason, at, length = mistake
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    column = at - start
    carets = "^" * max(1, min(length, len(line) - column))
    lines = [f"{place.owner}: {place.argument}: {reason}"]
    if text.strip():
        lines += [f"    {line}", f"    {' ' * column}{carets}"]
    lines.append(f"  accepted: {_ACCEPTED}")
    return ConfigError("\n".join(lines))
