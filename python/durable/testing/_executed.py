"""A run that a test has let run to its end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from durable._views import Run


if TYPE_CHECKING:
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
