"""The logger of a run: silent while remembered steps are gone through again."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from ._step import CURRENT_STEP


if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from ._middleware import RunAbout
    from ._step import StepOwner

_LOGGER: Final = logging.getLogger("durable.run")
#: What `durable.logging.fields` gives where a run is told of that has ended.
ENDED: Final[ContextVar[dict[str, Any]]] = ContextVar("ENDED", default={})  # noqa: B039  # nobody changes it


def fields_of(run: StepOwner) -> dict[str, Any]:
    """`run_id`, `function_id`, `step_id` (`None` between steps) and `attempt` of the code that calls this, of this run."""
    call = CURRENT_STEP.get()
    return {
        "run_id": run.id,
        "function_id": run.function.id,
        "step_id": None if call is None else call.name,
        "attempt": run.attempt if call is None else call.attempt,
    }


def fields_of_end(about: RunAbout) -> dict[str, Any]:
    """The same of a run that has ended."""
    return {
        "run_id": about.id,
        "function_id": about.function_id,
        "step_id": None,
        "attempt": about.attempt,
    }


def is_going_through(run: StepOwner) -> bool:
    """True while code of this run that is called again goes through what is remembered."""
    return bool(run.unmet) and CURRENT_STEP.get() is None


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs with the ids of run, function and step and the attempt, and not at all while remembered steps are gone through again.

    Silent until the step that was recorded last has been answered and those that are pending were asked
    for again, or until the code asks for a step that is new. So a step that is gone from the code silences
    nothing beyond; only where it was the last one, and no new one comes, what follows stays unsaid.
    """

    def __init__(self, run: StepOwner) -> None:
        super().__init__(_LOGGER, {"run_id": run.id, "function_id": run.function.id})
        self._run = run

    @override
    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        own = {**(self.extra or {}), **fields_of(self._run)}
        kwargs["extra"] = {**own, **(kwargs.get("extra") or {})}
        return msg, kwargs

    @override
    def isEnabledFor(self, level: int) -> bool:  # logging's own name
        return not is_going_through(self._run) and super().isEnabledFor(level)
