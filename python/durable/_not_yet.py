"""What may be declared but is not executed in this version. With the last of it, this file goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ._errors import ConfigError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._flow_check import LimitFields
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
                "  instead: leave it out; of flow control there is `concurrency` as one number"
            )
            raise ConfigError(text)


def only_limit(function: Function[Any, Any]) -> int | None:
    """The number of `concurrency`, which is all that the native module takes of flow control."""
    limits = cast("list[LimitFields]", function.flow.get("concurrency", []))
    return limits[0]["limit"] if limits else None


def _absent(function: Function[Any, Any]) -> Iterator[str]:
    """What a function declares and this version does not execute, in the decorator's order."""
    limits = cast("list[LimitFields]", function.flow.get("concurrency", []))
    if function.conditions:
        yield "`if_` of a trigger"
    if len(limits) > 1:
        yield "a second limit of `concurrency`"
    if any(limit["key"] is not None for limit in limits):
        yield "a key of `concurrency`"
    for name in function.flow:
        if name != "concurrency":
            yield f"`{name}`"
