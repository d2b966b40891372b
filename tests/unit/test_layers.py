"""Hooks are called in order, in reverse, on a loop or from a thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typing_extensions import override

import durable
from durable._layers import (
    Stack,
    ThreadTell,
    copy_event,
    drive,
    flatten,
    leave,
    leave_quietly,
    stack_of,
    tell,
)
from durable._middleware import Call, Execution, Middleware, RunAbout


ABOUT = RunAbout("R1", "f")


class Named(Middleware):
    """Writes its name down."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name = name
        self.lines = lines

    @override
    def before_execution(self, execution: Execution) -> None:
        self.lines.append(f"before {self.name}")

    @override
    def after_execution(self, execution: Execution) -> None:
        self.lines.append(f"after {self.name}")
        if self.name == "b":
            raise ValueError(self.name)


class Late(Named):
    """The same, of which the end is awaited."""

    @override
    async def after_execution(self, execution: Execution) -> None:
        self.lines.append(f"after {self.name}")


def test_what_nobody_overrides_costs_nothing() -> None:
    empty = Stack([Middleware()])
    assert not empty.sends
    assert not any((empty.transform_input, empty.around_execution, empty.finished))


@pytest.mark.asyncio
async def test_all_that_were_entered_are_left_in_reverse_whatever_they_raise() -> None:
    lines: list[str] = []
    stack = Stack([Named(name, lines) for name in "abc"])
    execution, entered = Execution(ABOUT), list[Any]()
    await stack.enter(tell, execution, entered)
    with pytest.raises(ValueError, match="b"):
        await leave(tell, execution, entered)
    assert lines == [
        *("before a", "before b", "before c"),
        *("after c", "after b", "after a"),
    ]


def test_what_is_cut_off_calls_plain_hooks_alone_and_lets_nothing_out() -> None:
    lines: list[str] = []
    members = [Named("a", lines), Named("b", lines), Late("c", lines)]
    entered: list[Any] = [one.after_execution for one in members]
    execution = Execution(ABOUT)
    leave_quietly(execution, entered, GeneratorExit())
    assert lines == ["after b", "after a"]
    assert isinstance(execution.error, GeneratorExit)


@pytest.mark.asyncio
async def test_a_thread_waits_for_what_is_awaited_on_the_loop() -> None:
    loops: list[Any] = []

    async def hook(_: Any) -> None:
        loops.append(asyncio.get_running_loop())

    speak = ThreadTell(asyncio.get_running_loop())
    await asyncio.to_thread(lambda: drive(speak([hook], Call(ABOUT))))
    assert loops == [asyncio.get_running_loop()]


def test_what_waits_elsewhere_cannot_be_driven() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)  # noqa: TID251  # waits for a loop that is not there

    with pytest.raises(RuntimeError, match="outside of a hook"):
        drive(waits())


def test_one_that_is_in_two_places_is_called_once() -> None:
    one, other = Middleware(), Middleware()
    both = stack_of([Stack([one]), Stack([other, one])])
    assert both.members == (one, other)


def test_events_are_copied_in_order_whatever_they_are_in() -> None:
    a, b = durable.Event("a", {"n": 1}, id="1"), durable.Event("b")
    flat = flatten([a, [b, "no event"], (one for one in [a])])
    assert [getattr(one, "name", one) for one in flat] == ["a", "b", "no event", "a"]
    assert flat[0] == a
    assert flat[0] is not a
    assert copy_event(a, id="2").id == "2"
