"""What may be declared but is not executed in this version. With the last of it, this file goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._errors import ConfigError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._function import Function


def refuse_absent(functions: Iterable[Function[Any, Any]]) -> None:
    """Nothing, where this version can execute these functions as they were declared.

    Raises:
        ConfigError: a function has a setting that this version would not hold to.
    """
    for function in functions:
        absent = next(_absent(function), None)
        if absent is not None:
            text = (
                f"function '{function.id}': {absent} is not in this version yet\n"
                "  instead: leave it out; there are concurrency, throttle, rate_limit, priority and idempotency"
            )
            raise ConfigError(text)


#: What the engine holds to.
_PRESENT: Final = frozenset(
    {"concurrency", "throttle", "rate_limit", "priority", "idempotency"}
)


def _absent(function: Function[Any, Any]) -> Iterator[str]:
    """What a function declares and this version does not execute, in the decorator's order."""
    return (f"`{name}`" for name in function.flow if name not in _PRESENT)
