"""The steps of a plain handler are those of an async one: the same names, the same arguments."""

from __future__ import annotations

import inspect

import pytest

from durable._steps import Steps
from durable._sync_steps import SyncSteps


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith(("_", "make"))}


def test_there_is_each_step() -> None:
    assert public(Steps) - public(SyncSteps) == {"options"}


@pytest.mark.parametrize("name", sorted(public(SyncSteps) - {"ai", "token"}))
def test_a_step_takes_the_same(name: str) -> None:
    ours, theirs = (
        inspect.signature(getattr(kind, name)) for kind in (SyncSteps, Steps)
    )
    assert list(ours.parameters.values()) == list(theirs.parameters.values())
