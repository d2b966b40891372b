"""What is told of calls that Python itself refuses, and where in the user's code a mistake is."""

from __future__ import annotations

import difflib
import inspect
import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ._errors import ConfigError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable


#: What the names of our own files begin with.
OWN: Final = str(Path(__file__).parent) + os.sep
_PACKAGE: Final = "durable."


class Call(Protocol):
    """Which function was to be called, and how."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def function(self) -> Callable[..., Any] | None: ...


def explained(error: BaseException, function_id: str) -> BaseException:
    """What a run is told of an error that its handler raised: where it is, if it says that something is used wrongly."""
    if isinstance(error, TypeError | AttributeError):
        return _placed(_of_own_api(error) or error, function_id)
    return _placed(error, function_id)


def _placed(error: BaseException, function_id: str) -> BaseException:
    text = str(error) if type(error) in {UsageError, ConfigError} else ""
    if not text or f"function '{function_id}'" in text:
        return error
    where = _line_of(error)
    if where is None:
        return error
    placed = type(error)(f"{text}\n  in function '{function_id}' ({where})")
    return placed.with_traceback(error.__traceback__)


def _line_of(error: BaseException) -> str | None:
    """The innermost line of the user's own code that an error came through, as in `shop.py:12`."""
    lines = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((OWN, "<"))
    ]
    return lines[-1] if lines else None


def _of_own_api(error: TypeError | AttributeError) -> UsageError | None:
    """What to tell where it was a method of ours that was called wrongly, or that does not exist."""
    if isinstance(error, AttributeError):
        text = _of_attribute(error)
    else:
        text = _of_arguments(error)
    return (
        None if text is None else UsageError(text).with_traceback(error.__traceback__)
    )


def _of_attribute(error: AttributeError) -> str | None:
    kind = type(error.obj)
    if not kind.__module__.startswith(_PACKAGE) or not error.name:
        return None
    if hasattr(_type_of(getattr(error.obj, "step", None)), error.name):
        return f"{kind.__name__} has no '{error.name}': it is ctx.step.{error.name}"
    public = [name for name in dir(kind) if not name.startswith("_")]
    near = difflib.get_close_matches(error.name, public, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(public)}"
    return f"{kind.__name__} has no '{error.name}': {hint}"


def _of_arguments(error: TypeError) -> str | None:
    """Of a call that never began: the last frame is the caller's, and the text begins with the method's name."""
    method, _, misfit = str(error).partition("() ")
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not misfit or not frames or frames[-1].f_code.co_filename.startswith(OWN):
        return None
    found = _method(method, frames[-1].f_locals.values())
    if found is None:
        return None
    signature = inspect.signature(found)
    own = [*signature.parameters.values()][1:]
    bare = [one.replace(annotation=one.empty) for one in own]
    shown = signature.replace(parameters=bare, return_annotation=signature.empty)
    return f"{error}; it takes {shown}"


def _method(name: str, given: Any) -> Callable[..., Any] | None:
    """A method of a context or its steps, by its qualified name, where the caller has a context."""
    owner, _, own = name.partition(".")
    for one in given:
        for kind in (_type_of(one), _type_of(getattr(one, "step", None))):
            if kind.__module__.startswith(_PACKAGE) and kind.__name__ == owner:
                found: Callable[..., Any] | None = getattr(kind, own, None)
                return found
    return None


def _type_of(value: object) -> Any:
    return type(value)


def misuse_of(call: Call, error: TypeError) -> UsageError | None:
    """What to tell of a step whose function was called with arguments that it does not take.

    Asked only where a call raised a `TypeError`: nothing is looked at before. `None`: the function was
    called, and the error is its own.
    """
    function: Any = call.function
    own = [getattr(f, "__code__", None) for f in (function, inspect.unwrap(function))]
    frames = traceback.walk_tb(error.__traceback__)
    if any(frame.f_code in own for frame, _ in frames):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are built in have none
        return None
    try:
        signature.bind(*call.args, **call.kwargs)
    except TypeError as misfit:
        name = getattr(function, "__name__", repr(function))
        shown = signature.replace(return_annotation=signature.empty)
        text = (
            f"step '{call.name}' was called with other arguments than {name}{shown}: {misfit}; "
            "give it those that its function takes"
        )
        return UsageError(text).with_traceback(error.__traceback__)
    return None
