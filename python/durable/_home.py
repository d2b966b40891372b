"""What a live run needs of the worker that it lives on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ._step import StepHome


if TYPE_CHECKING:
    import contextvars

    from ._bridge import Report
    from ._context import SyncContext
    from ._layered import Layered

RunT = TypeVar("RunT")


class Home(StepHome, Protocol[RunT]):
    """What a live run needs of its worker."""

    context: contextvars.Context
    is_draining: bool

    def is_ending(self) -> bool:
        """True once nothing new is begun: what is cancelled then is not the code's own wish."""
        ...

    def clock(self) -> float:
        """Seconds, from anywhere."""
        ...

    def mark(self, run: RunT) -> None:
        """Have it decide at the end of the pass."""
        ...

    def report(self, report: Report) -> None:
        """Hand this over at the end of the pass."""
        ...

    def watch_end(self, layered: Layered) -> None:
        """Tell the run's middleware once it has ended."""
        ...

    def park(self, run: RunT) -> None:
        """It waits."""
        ...

    def want_slot(self, run: RunT) -> None:
        """It would go on, but has no slot."""
        ...

    def renew(self, run: RunT) -> RunT:
        """Put its live code aside, and keep the rest."""
        ...

    def forget(self, run: RunT, *, is_live: bool) -> None:
        """It has ended, or its handler has."""
        ...

    def thread_driver(
        self, run: RunT, given: SyncContext[Any], context: contextvars.Context
    ) -> Any:  # what drives it
        """Call a plain handler on a thread."""
        ...
