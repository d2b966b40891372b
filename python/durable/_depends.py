"""`Depends`: what a handler asks for beside its context, and how it is found in a signature."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Final, cast, get_args, get_origin

from ._errors import ConfigError
from ._events import name_of_type


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._setting import Place

_NO_WANTS: Final[Mapping[str, Depends]] = {}


class Depends:
    """Asks for what a function gives: `client: Annotated[Client, Depends(get_client)]`.

    Args:
        function: a plain function, an `async def`, or a generator of either kind, which yields once and is
            closed when the handler's call ends. It may have such parameters itself; its first one that has
            none is given the handler's context.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(cast("object", function)):
            text = f"Depends({function!r}): it is no function\n  accepted: as in Depends(get_client)"
            raise ConfigError(text)
        self.function = function


def find_depends(function: Callable[..., Any]) -> Mapping[str, Depends]:
    """The parameters of a function that ask for something, by name.

    Raises:
        ConfigError: an annotation that names `Depends` cannot be read, or a `Depends` stands where nothing is given for it.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some that are built in have none
        return _NO_WANTS
    wanted: dict[str, Depends] = {}
    for name, parameter in parameters.items():
        found = _depends_in(function, parameter)
        if found is not None:
            wanted[name] = found
    return wanted


def check_wanted(
    place: Place, handler: Callable[..., Any], *, gives: bool
) -> Mapping[str, Depends]:
    """What a handler asks for.

    Raises:
        ConfigError: it asks, and nobody gives.
    """
    is_function = callable(cast("object", handler))
    wanted = find_depends(handler) if is_function else _NO_WANTS
    if wanted and not gives:
        names = ", ".join(f"'{name}'" for name in wanted)
        text = (
            f"{place.owner} asks for {names} by Depends, and has no middleware that gives it: "
            "App(..., middleware=[durable.middleware.Dependencies()])"
        )
        raise ConfigError(text)
    return wanted


def _depends_in(
    function: Callable[..., Any], parameter: inspect.Parameter
) -> Depends | None:
    annotation: Any = parameter.annotation
    default: Any = parameter.default
    if isinstance(default, Depends) or _is_of_fastapi(default):
        raise _no_default(function, parameter)
    if isinstance(annotation, str):
        if "Depends" not in annotation and not _may_name_one(function, annotation):
            return None
        annotation = _resolve(function, annotation)
    if get_origin(annotation) is not Annotated:
        return None
    given = get_args(annotation)[1:]
    if any(_is_of_fastapi(one) for one in given):
        text = f"{_named(function, parameter)}: this is fastapi's Depends: use durable.Depends"
        raise ConfigError(text)
    found = [one for one in given if isinstance(one, Depends)]
    return found[0] if found else None


def _is_of_fastapi(given: object) -> bool:
    kind = type(given)
    return kind.__name__ == "Depends" and kind.__module__.startswith("fastapi")


def _no_default(function: Any, parameter: inspect.Parameter) -> ConfigError:
    """What to tell of a `Depends` that is a parameter's default, as of a view of FastAPI."""
    default, annotation = parameter.default, parameter.annotation
    # Both have what is called: one as `function`, the other as `dependency`.
    asked = getattr(default, "function", None) or getattr(default, "dependency", None)
    name = "" if asked is None else getattr(asked, "__name__", repr(asked))
    hint = "Client" if annotation is parameter.empty else name_of_type(annotation)
    text = (
        f"{_named(function, parameter)}: a Depends is no default here, it stands in the annotation: write "
        f"{parameter.name}: Annotated[{hint}, durable.Depends({name})]"
    )
    return ConfigError(text)


def _named(function: Any, parameter: inspect.Parameter) -> str:
    name = getattr(function, "__name__", repr(function))
    return f"{name}: parameter '{parameter.name}'"


def _names_of(function: Any) -> dict[str, Any]:
    inner = inspect.unwrap(function)
    names = dict(getattr(inner, "__globals__", {}))
    code = getattr(inner, "__code__", None)
    cells = getattr(inner, "__closure__", None) or ()
    if code is not None:
        for name, cell in zip(code.co_freevars, cells, strict=False):
            try:
                names[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
    return names


def _may_name_one(function: Any, annotation: str) -> bool:
    """True where the annotation is a name that stands for an `Annotated`."""
    return get_origin(_names_of(function).get(annotation)) is Annotated


def _resolve(function: Any, annotation: str) -> Any:
    try:
        return eval(annotation, _names_of(function))  # noqa: S307  # as typing.get_type_hints does
    except Exception as error:  # it may be any expression  # noqa: BLE001
        name = getattr(function, "__name__", repr(function))
        text = (
            f"{name}: the annotation {annotation!r} cannot be read: {error}; define what it names at the "
            "module's level, outside of `if TYPE_CHECKING`"
        )
        raise ConfigError(text) from None
