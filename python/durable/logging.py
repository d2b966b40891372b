"""Logging inside runs: which run, step and attempt a line is of, for any logger.

`ctx.logger` says it by itself. For all others put a `RunFilter` on a handler, or call `fields` yourself, as a
processor of structlog does: `lambda logger, method, line: {**fields(), **line}`.
"""

from __future__ import annotations

import logging
from typing import Any

from typing_extensions import override

from ._failure import LOGGER_NAME
from ._run_logger import ENDED, fields_of, is_going_through
from ._step import CURRENT_RUN


def fields() -> dict[str, Any]:
    """`run_id`, `function_id`, `step_id` (`None` between steps) and `attempt` of the code that calls this.

    Empty outside of runs. In `finished` hooks: of the run that has ended.
    """
    run = CURRENT_RUN.get()
    return ENDED.get() if run is None else fields_of(run)


def is_replaying() -> bool:
    """True while code that is called again goes through what is remembered."""
    run = CURRENT_RUN.get()
    return run is not None and is_going_through(run)


class RunFilter(logging.Filter):
    """Gives each record `run_id`, `function_id`, `step_id` and `attempt`: `None` outside of runs.

    Put it on a handler: a filter on a logger does not see what its children log.

    Args:
        drops_replayed: keep back what is logged while remembered steps are gone through again, as `ctx.logger` does.
    """

    def __init__(self, *, drops_replayed: bool = True) -> None:
        super().__init__()
        self._drops_replayed = drops_replayed

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Never false but for what is kept back."""
        found = fields()
        for name in ("run_id", "function_id", "step_id", "attempt"):
            if not hasattr(record, name):
                setattr(record, name, found.get(name))
        if record.name == LOGGER_NAME:  # said when it happens, and not again
            return True
        return not (self._drops_replayed and is_replaying())
