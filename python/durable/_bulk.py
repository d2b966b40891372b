"""Something done to many runs: which they are, and page by page, so that neither the loop nor memory fills up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from ._expression import check, check_fields
from ._setting import Place


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from ._bridge import Core
    from ._function import Function

T = TypeVar("T")

#: States of runs that have not ended.
LIVE: Final = ("queued", "running", "parked")
_MOST_KEPT: Final = 10_000
_MOST: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What was done to many runs.

    Attributes:
        count: how many were called off or repeated; in a dry run how many would be.
        run_ids: which: the cancelled runs, or the new ones; in a dry run the runs as they are. The first 10,000.
        refused_count: how many were to be repeated and could not be.
        refused: why, for each of those by its id. The first 10,000.
    """

    count: int = 0
    run_ids: Sequence[str] = ()
    refused_count: int = 0
    refused: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Selection:
    """Which runs: what `core.select` is asked."""

    statuses: Sequence[str]
    function: str | None
    last_only: bool
    condition: str | None = None
    times: tuple[int | None, int | None] = (None, None)

    def see(
        self,
        place: Place,
        if_: str | None,
        times: tuple[int | None, int | None],
        *,
        known: Function[Any, Any] | None = None,
    ) -> None:
        """Take what limits it further; `known`: the function, where it is one of this engine's.

        Raises:
            ConfigError: the expression is wrong, or reads a field that the function's events have not.
        """
        self.times = times
        if if_ is not None:
            self.condition = check(place.at("if_"), if_)
            kind = None if known is None else known.type_for_invoke()
            if kind is not None:
                check_fields(place.at("if_"), if_, kind.model, is_condition=True)

    def page(
        self, core: Core, upto: str, after: str | None
    ) -> tuple[list[str], str | None]:
        """The next of them, and where to go on."""
        return core.select(
            self.statuses,
            self.function,
            self.times,
            (after, upto),
            condition=self.condition,
            last_only=self.last_only,
        )


def read_some(
    place: Place, statuses: Sequence[str], accepted: Iterable[str]
) -> Sequence[str]:
    """States that were given, all of them where none were.

    Raises:
        ConfigError: another than these is among them.
    """
    known = sorted(accepted)
    for status in statuses:
        if status not in known:
            raise place.error(status, "is no state for this", ", ".join(known))
    return statuses or known


#: What came of one run: the id of the run that it was done to or that was made, or why there is none.
_Outcome: TypeAlias = tuple[str | None, str | None]
#: A page's runs with what came of each, and where the next page begins.
_Done: TypeAlias = tuple[list[tuple[str, _Outcome]], str | None]


class Reads(Protocol):
    """Calls the native module on a thread."""

    def __call__(self, read: Callable[[Core], T], /) -> Awaitable[T]:
        """What it answers."""
        ...


def cancel_page(core: Core, runs: list[str]) -> list[_Outcome]:
    """Call these runs off. One that has ended meanwhile counts for nothing."""
    cancelled = core.cancel_many(runs)
    pairs = zip(runs, cancelled, strict=True)
    return [(run if is_cancelled else None, None) for run, is_cancelled in pairs]


def rerun_page(core: Core, runs: list[str]) -> list[_Outcome]:
    """Repeat these runs."""
    return core.rerun_many(runs)


def _count_page(_core: Core, runs: list[str]) -> list[_Outcome]:
    return [(run, None) for run in runs]


async def do_to_many(
    read: Reads,
    asked: Selection,
    do: Callable[[Core, list[str]], list[_Outcome]],
    *,
    limit: int | None,
    dry_run: bool,
) -> BulkResult:
    """Do it to all runs of a selection that are there when it begins, in the order of their creation.

    Args:
        read: calls the native module on a thread.
        asked: which runs.
        do: what is done to a page of them.
        limit: to so many at most.
        dry_run: nothing is done.
    """
    most = _MOST
    if limit is not None:
        most = Place("runs", "limit").whole_number(limit, 1, _MOST)
    done = _Sum(asked, _count_page if dry_run else do, most)
    newest = await read(_newest)
    after: str | None = None
    while newest is not None and not done.is_over:
        pairs, after = await read(done.next_page(newest, after))
        done.add(pairs)
        if after is None:
            break
    return done.result()


def _newest(core: Core) -> str | None:
    """The run behind which nothing is looked at: what is made meanwhile is left alone."""
    rows, _ = core.runs(limit=1)
    return rows[0][0] if rows else None


class _Sum:
    """What has been done so far."""

    def __init__(
        self,
        asked: Selection,
        do: Callable[[Core, list[str]], list[_Outcome]],
        most: int,
    ) -> None:
        self._asked = asked
        self._do = do
        self._left = most
        self._count = 0
        self._run_ids: list[str] = []
        self._refused_count = 0
        self._refused: dict[str, str] = {}

    @property
    def is_over(self) -> bool:
        """As many were met as are to be."""
        return self._left == 0

    def next_page(self, newest: str, after: str | None) -> Callable[[Core], _Done]:
        """Do it to the next page, on a thread."""

        def do_it(core: Core) -> _Done:
            runs, last = self._asked.page(core, newest, after)
            if len(runs) > self._left:
                runs = runs[: self._left]
                last = runs[-1]
            outcomes = self._do(core, runs) if runs else []
            return list(zip(runs, outcomes, strict=True)), last

        return do_it

    def add(self, page: list[tuple[str, _Outcome]]) -> None:
        """Take in what came of a page."""
        for run, (done, why) in page:
            if done is not None:
                self._count += 1
                self._left -= 1
                if len(self._run_ids) < _MOST_KEPT:
                    self._run_ids.append(done)
            elif why is not None:
                self._refused_count += 1
                self._left -= 1
                if len(self._refused) < _MOST_KEPT:
                    self._refused[run] = why

    def result(self) -> BulkResult:
        """All of it."""
        ids = tuple(self._run_ids)
        return BulkResult(self._count, ids, self._refused_count, self._refused)
