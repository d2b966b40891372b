"""What a list leaves out of its runs: whoever looks is told where it is, and not that there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

from typing_extensions import override

from ._errors import UsageError


if TYPE_CHECKING:
    from typing import SupportsIndex

_SHOWN = "<not read in lists>"


def _refuse(what: str, run_id: str) -> NoReturn:
    text = (
        f"a list gives runs without their {what}: `run = await engine.runs.get({run_id!r})` "
        f"has those of this run, as run.{what}"
    )
    raise UsageError(text)


class UnreadSteps(Mapping[str, Any]):
    """In the place of a run's steps."""

    __slots__ = ("_run_id",)

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    @override
    def __getitem__(self, key: str) -> NoReturn:
        _refuse("steps", self._run_id)

    @override
    def __iter__(self) -> NoReturn:
        _refuse("steps", self._run_id)

    @override
    def __len__(self) -> NoReturn:  # it has none to give  # noqa: PLE0303
        _refuse("steps", self._run_id)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnreadSteps)

    @override
    def __hash__(self) -> int:
        return hash(_SHOWN)

    @override
    def __repr__(self) -> str:
        return _SHOWN


class UnreadWaits(tuple[Any, ...]):  # noqa: SLOT001
    """In the place of what a run waits for."""

    _run_id: str  # no slots: a tuple's subclass can have none

    def __new__(cls, run_id: str) -> Self:
        made = super().__new__(cls)
        made._run_id = run_id
        return made

    @override
    def __getitem__(self, key: SupportsIndex | slice, /) -> NoReturn:
        _refuse("waiting_on", self._run_id)

    @override
    def __iter__(self) -> NoReturn:
        _refuse("waiting_on", self._run_id)

    @override
    def __len__(self) -> NoReturn:  # as above  # noqa: PLE0303
        _refuse("waiting_on", self._run_id)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnreadWaits)

    @override
    def __hash__(self) -> int:
        return hash(_SHOWN)

    @override
    def __contains__(self, key: object, /) -> NoReturn:
        _refuse("waiting_on", self._run_id)

    @override
    def __repr__(self) -> str:
        return _SHOWN
