"""What is promised of hooks: docs/guides/middleware.md, when each is called, in which order, and what becomes of what it raises."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from typing_extensions import override

import durable
from durable.middleware import (
    Execution,
    Finished,
    Input,
    Output,
)

from .conftest import Diary, use


pytestmark = pytest.mark.asyncio


async def settled(world: Any) -> None:
    """Wait for the tasks that tell of ends."""
    await world.settle()
    await world.engine.session.worker.ends.settle(1)


def charge(cents: int) -> int:
    return cents + 1


async def one_step(ctx: durable.Context) -> int:
    return await ctx.step.run("charge", charge, 1)


CALL = ["input events", "before memoization", "after memoization", "before"]


async def test_each_hook_is_called_where_it_says(world: Any, diary: Diary) -> None:
    """A step is an attempt of its own; the code before it and behind it is a stretch each."""
    use(world, diary)
    world.function(one_step, on="test/start")
    await world.open()
    await world.start()
    await settled(world)
    told = [line for line in diary.lines if "send" not in line]
    step = ["before charge", "after charge", "output charge 2"]
    rest = ["before", "after", "output 2"]
    live = [*CALL, "after", *step, "input step charge", *rest]
    again = ["input events", "before memoization", "input step charge"]
    replayed = [*CALL, "after", *step, *again, "after memoization", *rest]
    expected = live if world.replay == "needed" else replayed
    assert told[: len(expected)] == expected
    assert told.count("finished completed") == 1


async def test_the_same_holds_on_a_thread(world: Any, diary: Diary) -> None:
    def handler(ctx: durable.SyncContext) -> int:
        return ctx.step.run("charge", charge, 1)

    use(world, diary)
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.result) == ("completed", 2)
    steps = [line for line in diary.lines if line.endswith(("charge", "charge 2"))]
    assert steps[:4] == [
        "before charge",
        "after charge",
        "output charge 2",
        "input step charge",
    ]
    assert diary.lines.count("output 2") == 1


async def test_the_applications_come_first_and_outputs_in_reverse(world: Any) -> None:
    lines: list[str] = []
    a, b, c = (Diary(f"{name} ", lines) for name in "abc")
    use(world, a, b)
    world.function(one_step, on="test/start", middleware=[c])
    await world.open()
    await world.start()
    await settled(world)

    def order(of: str) -> str:
        return "".join(line[0] for line in lines if line[2:] == of)[:3]

    for name in ("input events", "before memoization", "before charge"):
        assert order(name) == "abc", name
    for name in ("after charge", "output charge 2", "output 2", "finished completed"):
        assert order(name) == "cba", name
    assert order("after memoization") == "cba"
    assert order("before send ['test/start']") == "ba"
    assert order("after send 1") == "ab"


async def test_what_is_handed_in_and_out_may_be_changed(world: Any) -> None:
    """A step's answer is what a replay would give: through the output and the input."""

    class Doubling(durable.Middleware):
        @override
        def transform_input(self, given: Input) -> None:
            if given.kind == "events":
                first = given.events[0]
                given.events = [durable.Event(first.name, {"n": first.data["n"] * 2})]
            elif given.kind == "step":
                given.data = given.data["stored"]

        @override
        def transform_output(self, output: Output) -> None:
            if output.step is not None:
                output.data = {"stored": output.data * 10}

    seen: list[Any] = []

    async def handler(ctx: durable.Context) -> int:
        seen.append(ctx.event.data["n"])
        return await ctx.step.run("charge", charge, ctx.event.data["n"])

    use(world, Doubling())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start(data={"n": 2}))
    assert set(seen) == {4}
    assert run.result == 50
    assert run.steps["charge"].result == 50


class Breaking(durable.Middleware):
    """Raises in one of its hooks, so many times."""

    def __init__(self, hook: str, times: int, where: str | None = None) -> None:
        self.left = times
        self.hook = hook
        self.where = where

    def _tell(self, hook: str, step: Any) -> None:
        name = None if step is None else step.name
        if hook == self.hook and name == self.where and self.left:
            self.left -= 1
            text = f"{hook} is broken"
            raise ValueError(text)

    @override
    def transform_input(self, given: Input) -> None:
        if given.kind != "result":
            self._tell("transform_input", given.step)

    @override
    def before_memoization(self, call: Any) -> None:
        self._tell("before_memoization", None)

    @override
    def after_memoization(self, call: Any) -> None:
        self._tell("after_memoization", None)

    @override
    def before_execution(self, execution: Execution) -> None:
        self._tell("before_execution", execution.step)

    @override
    def after_execution(self, execution: Execution) -> None:
        self._tell("after_execution", execution.step)

    @override
    def transform_output(self, output: Output) -> None:
        self._tell("transform_output", output.step)


CODE = [
    "transform_input",
    "before_memoization",
    "after_memoization",
    "before_execution",
    "after_execution",
    "transform_output",
]
STEP = ["before_execution", "after_execution", "transform_output"]


@pytest.mark.parametrize("hook", CODE)
async def test_what_raises_around_the_code_is_tried_again(
    world: Any, hook: str
) -> None:
    use(world, Breaking(hook, 1))
    world.function(one_step, on="test/start", retries=1)
    engine = await world.open()
    run_id = await world.start()
    assert (await world.get(run_id)).status == "parked"
    await engine.advance("1h")
    run = await world.get(run_id)
    assert (run.status, run.result) == ("completed", 2)


@pytest.mark.parametrize("hook", CODE)
async def test_what_raises_around_the_code_for_good_fails_the_run(
    world: Any, hook: str
) -> None:
    use(world, Breaking(hook, 99))
    world.function(one_step, on="test/start", retries=1)
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    run = await world.get(run_id)
    assert run.status == "failed"
    assert (run.error.name, run.error.message) == ("ValueError", f"{hook} is broken")


@pytest.mark.parametrize("hook", STEP)
async def test_what_raises_around_a_step_is_the_steps_failure(
    world: Any, hook: str
) -> None:
    async def handler(ctx: durable.Context) -> str:
        try:
            await ctx.step.run("charge", charge, 1)
        except durable.StepError as error:
            return error.message
        return "charged"

    use(world, Breaking(hook, 99, "charge"))
    world.function(handler, on="test/start", retries=1)
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("1h")
    run = await world.get(run_id)
    assert (run.status, run.result) == ("completed", f"{hook} is broken")
    assert run.steps["charge"].attempts == 2


@pytest.mark.parametrize("is_plain", [False, True])
async def test_what_raises_where_the_code_comes_to_a_step_cannot_be_caught(
    world: Any,
    is_plain: bool,  # noqa: FBT001  # a case
) -> None:
    async def handler(ctx: durable.Context) -> str:
        try:
            await ctx.step.run("charge", charge, 1)
        except Exception:  # noqa: BLE001
            return "caught"
        return "charged"

    def plain(ctx: durable.SyncContext) -> str:
        try:
            ctx.step.run("charge", charge, 1)
        except Exception:  # noqa: BLE001
            return "caught"
        return "charged"

    use(world, Breaking("after_execution", 1))
    world.function(plain if is_plain else handler, on="test/start", retries=0)
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error and run.error.message) == (
        "failed",
        "after_execution is broken",
    )
    assert not run.steps


async def test_what_raises_where_a_step_is_answered_fails_the_run_and_not_the_step(
    world: Any,
) -> None:
    """The handler cannot catch it: its step has succeeded."""

    async def handler(ctx: durable.Context) -> str:
        try:
            await ctx.step.run("charge", charge, 1)
        except Exception:  # noqa: BLE001
            return "caught"
        return "charged"

    use(world, Breaking("transform_input", 99, "charge"))
    world.function(handler, on="test/start", retries=0)
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.message) == ("failed", "transform_input is broken")
    assert run.steps["charge"].status == "completed"


async def test_a_hook_may_see_and_replace_an_error(world: Any) -> None:
    class Hiding(durable.Middleware):
        @override
        def transform_output(self, output: Output) -> None:
            if output.step is not None:
                output.error, output.data = None, "made up"
            elif output.error is not None:
                output.error = durable.NonRetriableError("hidden")

    async def broken() -> str:
        raise ValueError("secret")

    async def handler(ctx: durable.Context) -> str:
        assert await ctx.step.run("a", broken) == "made up"
        raise ValueError("secret")

    use(world, Hiding())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.error.message) == ("failed", "hidden")
    assert run.steps["a"].result == "made up"


@pytest.mark.parametrize("made", [{1, 2}, object()])
async def test_who_makes_another_type_of_a_result_is_named(
    world: Any, made: object
) -> None:
    class Changing(durable.Middleware):
        @override
        def transform_output(self, output: Output) -> None:
            output.data = made

    def charge() -> str:
        return "paid"

    async def handler(ctx: durable.Context) -> str:
        return await ctx.step.run("charge", charge)

    use(world, Changing())
    world.function(handler, on="test/start", retries=0)
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "`transform_output` of Changing has made it" in run.error.message


async def test_a_failure_is_told_with_its_try_and_whether_it_is_the_last(
    world: Any,
) -> None:
    told: list[Any] = []

    class Noting(durable.Middleware):
        @override
        def after_execution(self, execution: Execution) -> None:
            if execution.error is not None:
                name = execution.step.name if execution.step else None
                told.append((name, execution.attempt, execution.is_last))

    async def broken() -> None:
        raise ValueError("broken")

    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("a", broken)

    use(world, Noting())
    world.function(handler, on="test/start", retries=2)
    engine = await world.open()
    await world.start()
    await engine.advance("1d")
    assert told == [
        ("a", 0, False),
        ("a", 1, False),
        ("a", 2, True),
        (None, 0, True),
    ]


@pytest.mark.parametrize(
    ("ending", "status"),
    [("return", "completed"), ("raise", "failed"), ("cancel", "cancelled")],
)
async def test_finished_is_told_of_each_end_once_and_never_harms(
    world: Any, ending: str, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[Finished] = []

    class Broken(durable.Middleware):
        @override
        def finished(self, end: Finished) -> None:
            ends.append(end)
            raise ValueError("finished is broken")

    async def handler(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        if ending == "raise":
            raise durable.NonRetriableError("no")
        return "yes"

    use(world, Broken(), Broken())
    world.function(handler, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    assert not ends
    caplog.set_level(logging.ERROR, "durable.middleware")
    if ending == "cancel":
        await engine.runs.cancel(run_id)
    await engine.advance("2h")
    await settled(world)
    assert [(one.run.id, one.status) for one in ends] == [(run_id, status)] * 2
    assert ends[0].result == ("yes" if ending == "return" else None)
    assert (ends[0].error or {}).get("message") == {
        "return": None,
        "raise": "no",
        "cancel": (await world.get(run_id)).error
        and (await world.get(run_id)).error.message,
    }[ending]
    assert (await world.get(run_id)).status == status
    assert sum("nothing depends on it" in one.message for one in caplog.records) == 2


async def test_finished_is_told_of_a_run_that_an_earlier_process_began(
    world: Any, diary: Diary
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    use(world, diary)
    world.function(handler, on="test/start")
    await world.open()
    await world.start()
    await world.restart()
    await world.engine.advance("2h")
    await settled(world)
    assert diary.lines.count("finished completed") == 1


async def test_steps_in_parallel_are_answered_in_the_order_of_recording(
    world: Any,
) -> None:
    """Also where a hook waits for longer with the first."""

    class Slow(durable.Middleware):
        @override
        async def transform_input(self, given: Input) -> None:
            if given.step is not None and given.step.name == "s0":
                for _ in range(5):
                    await asyncio.sleep(0)  # noqa: TID251  # passes of the loop

    async def handler(ctx: durable.Context) -> list[int]:
        order: list[int] = []

        async def one(n: int) -> None:
            await ctx.step.run(f"s{n}", charge, n)
            order.append(n)

        await asyncio.gather(*(one(n) for n in range(3)))
        await ctx.step.run("last", charge, 1)
        return order

    use(world, Slow())
    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.result) == ("completed", [0, 1, 2])


async def test_a_lifespan_is_open_for_as_long_as_the_engine(world: Any) -> None:
    from contextlib import asynccontextmanager  # noqa: PLC0415

    lines: list[str] = []

    class Open(durable.Middleware):
        @override
        @asynccontextmanager
        async def lifespan(self) -> Any:
            lines.append("open")
            yield
            lines.append("closed")

    async def handler(_: durable.Context) -> None:
        lines.append("called")

    one = Open()
    use(world, one)
    world.function(handler, on="test/start", middleware=[one])
    await world.open()
    await world.start()
    await world.close()
    assert lines == ["open", "called", "closed"]


async def test_a_handler_is_called_off_inside_a_hook(world: Any) -> None:
    """What a hook waits for is given up with the run."""
    inside = asyncio.Event()
    left: list[str] = []

    class Hanging(durable.Middleware):
        @override
        async def before_memoization(self, call: Any) -> None:
            inside.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.append("left")

    use(world, Hanging())
    world.function(one_step, on="test/start")
    engine = await world.open()
    (event_id,) = await engine.send(durable.Event("test/start"))
    await inside.wait()
    run = await world.run_of(event_id)
    assert await engine.runs.cancel(run.id)
    await world.settle()
    assert left == ["left"]
