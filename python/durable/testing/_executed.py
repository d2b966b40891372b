"""A run that a test has let run to its end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from durable._errors import UsageError
from durable._function import function_id_of
from durable._views import Run


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from durable._function import Function

T = TypeVar("T")

_NOTHING: Final[Any] = None


@dataclass(frozen=True, slots=True)
class Executed(Run, Generic[T]):
    """A run that has ended, its result as the function's own type.

    Attributes:
        result: what the handler returned; `None` where the run was not completed.
    """

    result: T = _NOTHING


def executed(_function: Function[Any, T] | str, run: Run) -> Executed[T]:
    """The run, known to be one of this function."""
    values = {one.name: getattr(run, one.name) for one in fields(run)}
    return Executed(**values)


def check_known(given: object, known: Collection[str]) -> None:
    """That this is a function which an engine has; `known`: the ids of all.

    Raises:
        UsageError: it is none, or its application was not given to the engine.
    """
    function_id = function_id_of(given, "execute")
    if given is function_id:
        text = f"execute: {given!r} is an id: give the function itself, which `@app.function` made"
        raise UsageError(text)
    if function_id not in known:
        text = (
            f"execute: function '{function_id}' is none of this engine's: give its app, as in TestEngine(app), and have "
            "the function made before the engine is opened"
        )
        raise UsageError(text)


def trigger_of(function: Function[Any, Any], name: str) -> str | None:
    """Which of a function's triggers an event of this name is for, if any."""
    for one in function.triggers:
        if name.startswith(one[:-1]) if one.endswith("*") else name == one:
            return one
    return None


def not_started(
    function: Function[Any, Any], name: str, skipped: Mapping[str, str]
) -> UsageError:
    """Why an event of this name has started no run of the function."""
    text = f"execute: event '{name}' starts no run of '{function.id}'"
    trigger = trigger_of(function, name)
    if function.id in skipped:
        text = f"{text}: it was skipped ({skipped[function.id]})"
    elif trigger in function.conditions:
        condition = function.conditions[trigger]
        text = f"{text}: what its trigger asks for is not true of this event: On({trigger!r}, if_={condition!r})"
    else:
        listens = ", ".join(function.triggers) or "nothing: give data, not an event"
        text = f"{text}, which listens to {listens}"
    return UsageError(text)
