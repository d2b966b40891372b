"""Finds expressions of a function that read what the engine does not see, since middleware encrypts it before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ._bridge import expression_paths
from ._errors import ConfigError
from ._events import INVOKED, is_reserved
from ._flow_check import expressions_of


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ._flow_check import FlowFields
    from ._middleware import Middleware
    from ._setting import Place


_RUNS_OWN: Final = "event.data."
_OTHERS: Final = "async.data."


class Readings:
    """What is read of events for one function: by its triggers' conditions, and by its flow control.

    Args:
        place: of the function.
        triggers: what it listens to.
        conditions: what must be true of an event, by its name.
        flow: its flow control as it was read.
        matches: the events that cancel its runs, each with its `match`.
    """

    def __init__(  # each is one thing its caller has at hand
        self,
        place: Place,
        *,
        triggers: Iterable[str],
        conditions: Mapping[str, str],
        flow: FlowFields,
        matches: Iterable[tuple[str, str]],
    ) -> None:
        self._place = place
        self._is_told = [is_reserved(name) for name in triggers]
        self._conditions = conditions
        self._flow = flow
        self._matches = {f"event.{one} == async.{one}": one for _, one in matches}

    def check(self, members: Iterable[Middleware]) -> None:
        """That none of it is encrypted by these, through which all goes that is sent.

        Raises:
            ConfigError: something is.
        """
        for member in members:
            if member.clear_fields is not None:
                for one in self._all():
                    one.check(member, member.clear_fields)

    def _all(self) -> Iterator[_Reading]:
        for name, text in self._conditions.items():
            if not is_reserved(name):
                at = self._place.at("on").within("if_")
                yield _Reading(at, text, text, (_RUNS_OWN,))
        own = (_RUNS_OWN,) if not self._is_told or not all(self._is_told) else ()
        told = {
            one["if"]
            for one in cast("list[dict[str, Any]]", self._flow.get("cancel_on", []))
            if is_reserved(one["event"])
        }
        for at, text in expressions_of(self._place, self._flow):
            prefixes = (*own, *(() if text in told else (_OTHERS,)))
            match = self._matches.get(text)
            if match is None:
                yield _Reading(at, text, text, prefixes)
            else:
                at_match = at.at(f"{at.argument.removesuffix('if_')}match")
                yield _Reading(at_match, text, match, prefixes)


def check_wait(
    place: Place,
    members: Iterable[Middleware],
    *,
    names: tuple[str, str],
    match: str | None,
    if_: str | None,
) -> None:
    """That what a wait asks of two events is not encrypted by these, through which all goes that is sent.

    Args:
        place: of the step.
        members: the middleware.
        names: of the run's own event, and of the one that is waited for.
        match: a field of both.
        if_: a condition.

    Raises:
        ConfigError: it is: nothing would ever match.
    """
    own, coming = names
    prefixes = (
        *(() if is_reserved(own) and own != INVOKED else (_RUNS_OWN,)),
        *(() if is_reserved(coming) else (_OTHERS,)),
    )
    for member in members:
        clear = member.clear_fields
        if clear is not None and match is not None:
            text = f"event.{match} == async.{match}"
            _Reading(place.at("match"), text, match, prefixes).check(member, clear)
        if clear is not None and if_ is not None:
            _Reading(place.at("if_"), if_, if_, prefixes).check(member, clear)


class _Reading(NamedTuple):
    """One expression.

    Attributes:
        place: where it stands.
        text: the whole of it.
        shown: what its author wrote.
        prefixes: what begins the paths of which the sender's middleware decides.
    """

    place: Place
    text: str
    shown: str
    prefixes: tuple[str, ...]

    def check(self, member: Middleware, clear: Collection[str]) -> None:
        lacks: dict[str, str] = {}
        for path, _, _ in expression_paths(self.text):
            if path.startswith(self.prefixes):
                name = path.split(".", 2)[2].split(".", 1)[0].split("[", 1)[0]
                if name not in clear:
                    lacks.setdefault(name, f"{path.split('.', 1)[0]}.data.{name}")
        if lacks:
            raise self._error(lacks, type(member).__name__, clear)

    def _error(
        self, lacks: Mapping[str, str], kind: str, clear: Collection[str]
    ) -> ConfigError:
        whole = ", ".join(repr(one) for one in sorted({*clear, *lacks}))
        verb, them = (
            ("is", "that field") if len(lacks) == 1 else ("are", "those fields")
        )
        text = (
            f"{self.place.owner}: {self.place.argument} reads {' and '.join(lacks.values())}, which {verb} encrypted by "
            f"{kind} before the engine sees the event: it would have no value\n"
            f"    {self.shown}\n"
            f"  instead: {kind}(..., clear={{{whole}}}), which leaves {them} of events' data plain"
        )
        return ConfigError(text)
