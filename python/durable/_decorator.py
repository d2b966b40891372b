"""`@durable.step`: a function that is a step when it is called inside a run."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from ._step import CURRENT_RUN, caller
from ._steps import Steps
from ._sync_steps import SyncSteps


if TYPE_CHECKING:
    from collections.abc import Callable


P = ParamSpec("P")
T = TypeVar("T")


@overload
def step(function: Callable[P, T], /) -> Callable[P, T]: ...
@overload
def step(
    *, id: str, blocking: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
@overload
def step(*, blocking: bool) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    id: str | None = None,  # the word users know  # noqa: A002  # the word users know
    blocking: bool = False,
) -> Callable[..., Any]:
    """Makes a step of a function: inside a run, calling it is `ctx.step.run` with its name as the id.

    Outside of a run it is a plain call. Inside an `async def` handler the call is awaited, whichever
    kind of function it is.
    """
    if function is None:

        def decorate(it: Callable[..., Any]) -> Callable[..., Any]:
            return _wrap(it, id, is_blocking=blocking)

        return decorate
    return _wrap(function, id, is_blocking=blocking)


def _wrap(
    function: Callable[..., Any], given: str | None, *, is_blocking: bool
) -> Callable[..., Any]:
    step_id = given or function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = CURRENT_RUN.get()
        if run is None:
            return function(*args, **kwargs)
        if run.function.is_async:
            steps = Steps(run, is_blocking=is_blocking)
            return steps.make(step_id, function, (args, kwargs), caller(1))
        made = SyncSteps(run).make(step_id, function, (args, kwargs), caller(1))
        return run.driver.wait_for(made)

    call.__durable_step__ = function  # type: ignore[attr-defined]  # found again by ctx.step.run
    return call
