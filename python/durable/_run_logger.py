"""The logger of a run: silent while remembered steps are gone through again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from typing_extensions import override


if TYPE_CHECKING:
    from ._step import StepOwner

_LOGGER: Final = logging.getLogger("durable.run")


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs with the run's id, and not at all while remembered steps are gone through again.

    Silent until the step that was recorded last has been answered and those that are pending were asked
    for again, or until the code asks for a step that is new. So a step that is gone from the code silences
    nothing beyond; only where it was the last one, and no new one comes, what follows stays unsaid.
    """

    def __init__(self, run: StepOwner) -> None:
        super().__init__(_LOGGER, {"run_id": run.id, "function_id": run.function.id})
        self._run = run

    @override
    def isEnabledFor(self, level: int) -> bool:  # logging's own name
        return not self._run.unmet and super().isEnabledFor(level)
