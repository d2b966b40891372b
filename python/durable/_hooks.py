"""Finds what was meant to be a hook of middleware and is none: a misspelt name, or arguments that do not fit."""

from __future__ import annotations

import inspect
from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING, Any, Final

from ._errors import ConfigError
from ._middleware import Middleware


if TYPE_CHECKING:
    from collections.abc import Iterator


HOOKS: Final = tuple(
    name
    for name, value in vars(Middleware).items()
    if inspect.isfunction(value) and not name.startswith("_")
)
#: Only hooks are called so.
_FAMILIES: Final = ("before_", "after_", "transform_")
#: What others' hooks are called, each with the hook in which the same is done here.
_ELSEWHERE: Final = {
    "on_start": "before_execution",
    "on_error": "transform_output",
    "on_exception": "transform_output",
    "on_success": "finished",
    "on_failure": "finished",
    "on_complete": "finished",
    "on_completed": "finished",
    "on_end": "finished",
    **{f"on_{hook.rpartition('_')[2]}": hook for hook in HOOKS},
    **{f"on_{hook}": hook for hook in HOOKS},
}
_NEAR: Final = 0.8
_VERY_NEAR: Final = 0.9


def check_hooks(owner: str, member: Middleware) -> None:
    """That each hook of this one can be called, and that nothing looks like a hook which is none.

    A method of the user's own may have any other name. What another base brings is not looked at.

    Raises:
        ConfigError: a hook takes other arguments, or would never be called.
    """
    for name in _methods(type(member)):
        if name in HOOKS:
            _check_arguments(owner, member, name)
            continue
        meant = _meant(name, takes_one=_fits(getattr(member, name), [None]))
        if meant is not None:
            text = (
                f"{owner}: middleware {type(member).__name__}: {name}() is no hook, and would never be called: did "
                f"you mean {meant}()?\n"
                f"  accepted: {', '.join(HOOKS)}; a method that is for the class itself may begin with an underscore"
            )
            raise ConfigError(text)


def _methods(kind: type) -> Iterator[str]:
    """The methods that a class and its bases up to `Middleware` define."""
    bases: tuple[type[Any], ...] = kind.__mro__
    others = [base for base in bases if not issubclass(base, Middleware)]
    foreign = {name for base in (Middleware, *others) for name in vars(base)}
    seen: set[str] = set()
    for base in bases:
        if base is Middleware or base in others:
            continue
        for name, value in vars(base).items():
            is_own = name in HOOKS or name not in foreign
            if is_own and name not in seen and not name.startswith("_"):
                seen.add(name)
                if name in HOOKS or _is_method(value):
                    yield name


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, staticmethod | classmethod)


def _fits(function: Any, given: list[object]) -> bool:
    try:
        inspect.signature(function).bind(*given)
    except TypeError:
        return False
    except ValueError:  # nobody knows
        return True
    return True


def _meant(name: str, *, takes_one: bool) -> str | None:
    """The hook that somebody meant who wrote this, if anybody did."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    lower = name.lower()
    family = next((one for one in _FAMILIES if lower.startswith(one)), None)
    if family is not None:
        members = [hook for hook in HOOKS if hook.startswith(family)]
        return get_close_matches(lower, members, 1, 0)[0]
    (close,) = get_close_matches(lower, HOOKS, 1, 0)
    ratio = SequenceMatcher(None, lower, close).ratio()
    is_near = ratio >= (_NEAR if lower[:1] == close[:1] else _VERY_NEAR)
    return close if is_near and (takes_one or close == "lifespan") else None


def _check_arguments(owner: str, member: Middleware, name: str) -> None:
    declared = [*inspect.signature(getattr(Middleware, name)).parameters.values()]
    wanted = [one.name for one in declared]
    hook = getattr(member, name)
    if callable(hook) and _fits(hook, [None] * (len(wanted) - 1)):
        return
    takes = f"it is no method but {hook!r}"
    if callable(hook):
        bare = [
            one.replace(annotation=one.empty)
            for one in inspect.signature(hook).parameters.values()
        ]
        takes = f"it takes ({', '.join(map(str, bare))})"
    argument = f"one argument, the {wanted[1]}" if wanted[1:] else "none"
    text = (
        f"{owner}: middleware {type(member).__name__}: the hook {name}() is called with {argument}, and {takes}\n"
        f"  accepted: def {name}({', '.join(wanted)})"
    )
    raise ConfigError(text)
