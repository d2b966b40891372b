"""What is told of calls that Python itself refuses, and where in the user's code a mistake is."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import traceback
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from ._errors import OWN, ConfigError, UsageError
from ._events import is_event


if TYPE_CHECKING:
    from collections.abc import Callable

    from ._events import Event


_PACKAGE: Final = "durable."
#: Steps, as Python names them in what it says of operators, of `len` and the like.
_UNAWAITED: Final = re.compile(r"'(Step|Sleep|Signal|Event|Invoke)Call'")


class Call(Protocol):
    """Which function was to be called, and how."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def function(self) -> Callable[..., Any] | None: ...


def explained(error: BaseException, function_id: str) -> BaseException:
    """What a run is told of an error that its handler raised: where it is, if it says that something is used wrongly."""
    if isinstance(error, UsageError) and isinstance(error, TypeError | AttributeError):
        return _placed(_usage(str(error), error), function_id)
    if isinstance(error, TypeError | AttributeError):
        return _placed(_of_own_api(error) or error, function_id)
    return _placed(error, function_id)


def explained_in_step(error: BaseException, function_id: str) -> BaseException:
    """The same of an error that a step's function raised: what may be right the next time keeps its type, and is tried again."""
    told = explained(error, function_id)
    if (
        told is not error
        and isinstance(error, AttributeError)
        and type(error.obj) is dict
    ):
        error.add_note(str(told))
        return error
    return told


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
        (frame.f_code.co_filename, f"{frame.f_code.co_filename}:{line}")
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((OWN, "<"))
    ]
    libraries = _libraries()
    own = [line for file, line in lines if not file.startswith(libraries)]
    return next(reversed(own or [line for _, line in lines]), None)


def _libraries() -> tuple[str, ...]:
    """Where code lies that is not the user's own, as a rule."""
    import sysconfig  # noqa: PLC0415  # only errors need it

    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({f"{paths[name]}{os.sep}" for name in names})


def _of_own_api(error: TypeError | AttributeError) -> UsageError | None:
    """What to tell where it was a method of ours that was called wrongly, or that does not exist."""
    if isinstance(error, AttributeError):
        text = _of_attribute(error)
    elif _UNAWAITED.search(str(error)):
        text = unawaited(str(error))
    else:
        text = _of_arguments(error)
    return None if text is None else _usage(text, error)


def _usage(text: str, error: BaseException) -> UsageError:
    return UsageError(text).with_traceback(error.__traceback__)


def unawaited(what: str) -> str:
    """What to tell of a step that was used as if it were its result."""
    return (
        f"{what}: it is a step that was not awaited; its result is what `await` gives, as in "
        "(await ctx.step.run('charge', charge_card))['id']"
    )


def _of_attribute(error: AttributeError) -> str | None:  # noqa: PLR0911  # one answer for each case
    kind = type(error.obj)
    if not error.name:
        return None
    if kind is dict and _is_of_user(error):
        return _of_dict(cast("dict[str, Any]", error.obj), error.name)
    if not kind.__module__.startswith(_PACKAGE):
        return None
    text = f"{kind.__name__} has no '{error.name}'"
    if is_event(error.obj):
        return _of_event(error.obj, error.name, text)
    if isinstance(error.obj, Awaitable):
        return unawaited(text)
    if error.name == "data" and kind.__module__ == "durable._context":
        return f"{text}: it is ctx.event.data"
    if hasattr(_type_of(getattr(error.obj, "step", None)), error.name):
        return f"{kind.__name__} has no '{error.name}': it is ctx.step.{error.name}"
    public = [name for name in dir(kind) if not name.startswith("_")]
    near = difflib.get_close_matches(error.name, public, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(public)}"
    return f"{kind.__name__} has no '{error.name}': {hint}"


def _is_of_user(error: BaseException) -> bool:
    """True where it was raised in the user's own code, and not in a library."""
    files = [
        frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    return bool(files) and not files[-1].startswith(_libraries())


def _of_dict(data: dict[str, Any], name: str) -> str | None:
    """Of a dict that has the key: where a type is declared, it is an attribute."""
    if name not in data:
        return None
    return (
        f"'dict' object has no attribute '{name}': it is [{name!r}]. What has no declared type is a dict: an event's data "
        "has one by durable.EventType(name, Model), what a step returns by its function's annotation, as in `-> Receipt`"
    )


def _has_key(data: object, name: str) -> bool:
    return isinstance(data, dict) and name in data


def _of_event(event: Event[Any], name: str, text: str) -> str:
    if _has_key(event.data, name):
        return f"{text}: it is ctx.event.data[{name!r}]"
    if hasattr(event.data, name):
        return f"{text}: it is ctx.event.data.{name}"
    fields = [*type(event).model_fields]
    return f"{text}: it has {', '.join(fields)}; what was sent is in `data`"


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
