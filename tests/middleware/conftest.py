"""What tests of middleware share: one that writes down what it is called for."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override

import durable
from durable.middleware import (
    Call,
    Execution,
    Finished,
    Input,
    Output,
    Sending,
)


def _step(about: Any) -> str:
    return "" if about is None else f" {about.name}"


def use(world: Any, *middleware: durable.Middleware) -> None:
    """Give the world an application with these."""
    world.app = durable.App("world", middleware=list(middleware))


class Diary(durable.Middleware):
    """Writes down each call of each hook."""

    def __init__(self, name: str = "", lines: list[str] | None = None) -> None:
        self.name = name
        self.lines: list[str] = [] if lines is None else lines

    def write(self, line: str) -> None:
        self.lines.append(f"{self.name}{line}")

    @override
    def transform_input(self, given: Input) -> None:
        self.write(f"input {given.kind}{_step(given.step)}")

    @override
    def before_memoization(self, call: Call) -> None:
        self.write("before memoization")

    @override
    def after_memoization(self, call: Call) -> None:
        self.write("after memoization")

    @override
    def before_execution(self, execution: Execution) -> None:
        self.write(f"before{_step(execution.step)}")

    @override
    def after_execution(self, execution: Execution) -> None:
        said = "" if execution.error is None else f" {type(execution.error).__name__}"
        self.write(f"after{_step(execution.step)}{said}")

    @override
    def transform_output(self, output: Output) -> None:
        said = output.data if output.error is None else type(output.error).__name__
        self.write(f"output{_step(output.step)} {said}")

    @override
    def finished(self, end: Finished) -> None:
        self.write(f"finished {end.status}")

    @override
    def before_send(self, sending: Sending) -> None:
        self.write(f"before send {[one.name for one in sending.events]}")

    @override
    def after_send(self, sending: Sending) -> None:
        self.write(f"after send {len(sending.ids)}")


class Waiting(Diary):
    """The same, where each hook waits for the loop."""

    async def _late(self, line: str) -> None:
        import asyncio  # noqa: PLC0415

        await asyncio.sleep(0)  # noqa: TID251  # one pass of the loop
        self.write(line)


for _name in (
    "transform_input",
    "before_memoization",
    "after_memoization",
    "before_execution",
    "after_execution",
    "transform_output",
    "finished",
    "before_send",
    "after_send",
):

    def _make(name: str) -> Any:
        async def hook(self: Any, about: Any) -> None:
            import asyncio  # noqa: PLC0415

            await asyncio.sleep(0)  # noqa: TID251  # one pass of the loop
            getattr(Diary, name)(self, about)

        return hook

    setattr(Waiting, _name, _make(_name))


@pytest.fixture(params=[Diary, Waiting], ids=["plain", "async"])
def diary(request: pytest.FixtureRequest) -> Diary:
    made: Diary = request.param()
    return made
