"""One call: how far the code goes, and what it asks for."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

import durable
from durable._serving.names import hash_of
from durable._serving.server import Server

from .serving_calls import body, endpoint_of, ops_of, request


pytestmark = pytest.mark.asyncio


async def call(endpoint: Any, *, step: str | None = None, **given: Any) -> Any:
    query = {"fnId": "shop-work", "stepId": "step" if step is None else hash_of(step)}
    return await endpoint.respond(request(query=query, body=body(**given)))


async def two_chains(ctx: durable.Context) -> list[int]:
    """Each goes on by itself."""

    async def chain(n: int) -> int:
        first: int = await ctx.step.run(f"a{n}", int, n)
        second: int = await ctx.step.run(f"b{n}", int, n)
        return first + second

    return list(await asyncio.gather(chain(1), chain(2)))


async def soon() -> None:
    """Somebody outside answers."""
    loop = asyncio.get_running_loop()
    answered = loop.create_future()
    loop.call_later(0.01, answered.set_result, None)
    await answered


async def test_a_step_that_is_ready_alone_executes_at_once() -> None:
    async def handler(ctx: durable.Context) -> str:
        first: str = await ctx.step.run("one", str, "x")
        return first + await ctx.step.run("two", str, "y")

    endpoint = endpoint_of(handler)
    assert ops_of(await call(endpoint)) == [("StepRun", "one", "x")]
    steps: dict[str, Any] = {"one": {"data": "x"}}
    assert ops_of(await call(endpoint, steps=steps)) == [("StepRun", "two", "y")]
    steps["two"] = {"data": "y"}
    ended = await call(endpoint, steps=steps)
    assert (ended.status, ended.body) == (200, b'"xy"')


async def test_several_at_once_are_planned_and_called_one_by_one() -> None:
    endpoint = endpoint_of(two_chains)
    assert ops_of(await call(endpoint)) == [
        ("StepPlanned", "a1"),
        ("StepPlanned", "a2"),
    ]
    assert ops_of(await call(endpoint, step="a2")) == [("StepRun", "a2", 2)]


async def test_a_chain_goes_on_while_the_other_is_outstanding() -> None:
    endpoint, steps = endpoint_of(two_chains), {"a2": {"data": 2}}
    going = await call(endpoint, steps=steps, disable_immediate_execution=True)
    assert sorted(ops_of(going)) == [("StepPlanned", "a1"), ("StepPlanned", "b2")]
    assert ops_of(await call(endpoint, step="b2", steps=steps)) == [
        ("StepRun", "b2", 2)
    ]


async def test_a_step_that_is_outstanding_is_not_executed_twice() -> None:
    steps = {"a2": {"data": 2}, "b2": {"data": 2}}
    asked = await call(
        endpoint_of(two_chains), steps=steps, disable_immediate_execution=True
    )
    assert ops_of(asked) == [("StepPlanned", "a1")], "the server knows of it"


async def test_the_last_of_a_group_executes_where_it_is() -> None:
    steps = {name: {"data": 1} for name in ("a1", "a2", "b1")}
    last = await call(endpoint_of(two_chains), steps=steps)
    assert ops_of(last) == [("StepRun", "b2", 2)]


async def test_a_step_beside_a_sleep_does_not_hold_it_up() -> None:
    async def handler(ctx: durable.Context) -> None:
        await asyncio.gather(ctx.step.run("work", int), ctx.step.sleep("nap", "1s"))

    asked = ops_of(await call(endpoint_of(handler)))
    assert asked == [("StepPlanned", "work"), ("Sleep", "nap")]


async def test_waits_are_answered_by_what_is_remembered() -> None:
    async def handler(ctx: durable.Context) -> list[Any]:
        slept = await ctx.step.sleep("nap", "1s")
        late = await ctx.step.wait_for_event("late", "a/b", timeout="1s")
        event = await ctx.step.wait_for_event("event", "a/b", timeout="1s")
        signal = await ctx.step.wait_for_signal("signal", "go", timeout="1s")
        nobody = await ctx.step.wait_for_signal("nobody", "go", timeout="1s")
        result = await ctx.step.invoke("other", "other", {})
        assert event is not None
        assert signal is not None
        return [slept, late, event.data, signal.data, nobody, result]

    steps: dict[str, Any] = {
        "nap": None,
        "late": None,
        "event": {"name": "a/b", "data": {"n": 1}, "id": "e", "ts": 1},
        "signal": {"data": {"signal": "go", "data": 2}},
        "nobody": None,
        "other": {"data": 3},
    }
    ended = await call(endpoint_of(handler), steps=steps)
    assert orjson.loads(ended.body) == [None, None, {"n": 1}, 2, None, 3]


@pytest.mark.parametrize(
    ("error", "kind", "reason", "text"),
    [
        (
            {"name": "InngestInvokeTimeoutError", "message": "Timed out"},
            durable.InvokeTimeoutError,
            "timeout",
            "Timed out",
        ),
        (
            {"name": "Error", "message": "could not find function with ID: x"},
            durable.InvokeError,
            "refused",
            "could not find",
        ),
        (
            {"name": "ValueError", "message": "no", "stack": "..."},
            durable.InvokeError,
            "failed",
            "it failed: ValueError: no",
        ),
    ],
)
async def test_an_invocation_says_why_it_gave_no_result(
    error: Any, kind: type[durable.InvokeError], reason: str, text: str
) -> None:
    async def handler(ctx: durable.Context) -> list[str]:
        try:
            await ctx.step.invoke("other", "other", {})
        except kind as raised:
            return [raised.reason, str(raised)]
        return []

    ended = await call(endpoint_of(handler), steps={"other": {"error": error}})
    said = orjson.loads(ended.body)
    assert said[0] == reason
    assert text in said[1]


async def test_a_step_that_fails_says_so_and_what_follows() -> None:
    async def handler(ctx: durable.Context) -> None:
        def charge() -> None:
            raise durable.RetryAfterError(f"busy, try {ctx.attempt}", "7s")

        await ctx.step.run("charge", charge)

    endpoint = endpoint_of(handler)
    failed = await call(endpoint, step="charge", attempt=1)
    ((word, name),) = ops_of(failed)
    assert (word, name, failed.headers["Retry-After"]) == ("StepError", "charge", "7")
    error = orjson.loads(failed.body)[0]["error"]
    assert (error["name"], error["message"]) == ("RetryAfterError", "busy, try 1")
    ended = await call(endpoint, steps={"charge": {"error": error}})
    assert (ended.status, ended.headers["X-Inngest-No-Retry"]) == (500, "true")
    assert orjson.loads(ended.body)["name"] == "StepError"


async def test_the_code_between_steps_fails_as_a_whole() -> None:
    async def handler(ctx: durable.Context) -> None:
        raise ValueError(f"try {ctx.attempt}")

    failed = await call(endpoint_of(handler), attempt=1)
    assert failed.status == 500
    assert orjson.loads(failed.body)["message"] == "try 1"
    assert "X-Inngest-No-Retry" not in failed.headers


async def test_a_step_that_the_code_does_not_come_to_is_not_executed() -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("one", int)

    assert ops_of(await call(endpoint_of(handler), step="gone")) == []


async def test_a_step_that_the_code_comes_to_late_is_waited_for() -> None:
    async def handler(ctx: durable.Context) -> None:
        async def later() -> None:
            await soon()
            await ctx.step.run("two", int)

        await asyncio.gather(ctx.step.run("one", int), later())

    asked = ops_of(await call(endpoint_of(handler), step="two"))
    assert asked == [("StepRun", "two", 0)]


async def test_code_that_has_changed_its_kind_of_step_fails() -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.run("nap", int)

    failed = await call(endpoint_of(handler), steps={"nap": None})
    assert orjson.loads(failed.body)["name"] == "NonDeterminismError"
    assert failed.headers["X-Inngest-No-Retry"] == "true"


async def test_a_call_ends_with_its_step_also_where_code_may_go_ahead() -> None:
    gone_on: list[int] = []

    async def handler(ctx: durable.Context) -> None:
        gone_on.append(await ctx.step.run("one", int))

    ahead = durable.Checkpointing(buffered_steps=10)
    asked = ops_of(await call(endpoint_of(handler, checkpointing=ahead)))
    assert (asked, gone_on) == ([("StepRun", "one", 0)], [])


async def test_a_plain_handler_executes_on_a_thread() -> None:
    def handler(ctx: durable.SyncContext) -> int:
        ctx.step.sleep("nap", "1s")
        doubled: int = ctx.step.run("double", int, "2")
        return doubled

    endpoint = endpoint_of(handler)
    assert ops_of(await call(endpoint)) == [("Sleep", "nap")]
    steps: dict[str, Any] = {"nap": None}
    assert ops_of(await call(endpoint, steps=steps)) == [("StepRun", "double", 2)]
    steps["double"] = {"data": 2}
    assert (await call(endpoint, steps=steps)).body == b"2"


async def test_code_that_awaits_something_else_is_waited_for() -> None:
    async def handler(ctx: durable.Context) -> None:
        async def later() -> None:
            await soon()
            await ctx.step.run("two", int)

        await asyncio.gather(ctx.step.sleep("one", "1s"), later())

    asked = ops_of(await call(endpoint_of(handler)))
    assert asked == [("Sleep", "one"), ("StepPlanned", "two")]


async def test_a_call_that_is_called_off_leaves_nothing_behind() -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def handler(ctx: durable.Context) -> None:
        async def wait() -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                await soon()  # it may clean up, as a task may
                left.set()

        await ctx.step.run("wait", wait)

    calling = asyncio.create_task(call(endpoint_of(handler)))
    await reached.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    async with asyncio.timeout(10):
        await left.wait()


async def test_middleware_is_told_of_an_end_once_and_only_of_an_end() -> None:
    ends: list[Any] = []

    class Told(durable.Middleware):
        def finished(self, end: Any) -> None:
            ends.append((end.status, end.result, end.error and end.error["message"]))

    async def handler(ctx: durable.Context) -> str:
        await ctx.step.sleep("nap", "1s")
        if ctx.event.data["n"] == 2:
            raise ValueError("no")
        return "done"

    endpoint = endpoint_of(handler, middleware=[Told()])
    await call(endpoint)
    assert ends == []
    nap: dict[str, Any] = {"nap": None}
    await call(endpoint, steps=nap)
    bad = {"data": {"n": 2}}
    await call(endpoint, steps=nap, event=bad, attempt=1)
    await call(endpoint, steps=nap, event=bad, attempt=2)
    assert ends == [("completed", "done", None), ("failed", None, "no")]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the server is told."""
    given: list[Any] = []

    def send(_: Server, events: Any) -> list[str]:
        given.extend(events)
        return ["i1"]

    def publish(_: Server, *message: Any) -> str:
        given.append(message)
        return "m1"

    monkeypatch.setattr(Server, "send", send)
    monkeypatch.setattr(Server, "publish", publish)
    return given


async def test_events_go_to_the_server_under_ids_of_their_step(told: list[Any]) -> None:
    async def handler(ctx: durable.Context) -> list[str]:
        return await ctx.step.send_event("tell", durable.Event("a/b", {}))

    endpoint = endpoint_of(handler)
    for _ in range(2):
        assert ops_of(await call(endpoint)) == [("StepRun", "tell", ["i1"])]
    assert told[0] == told[1], "a try that is repeated starts nothing twice"
    assert told[0][2].startswith("step/")


async def test_messages_go_to_the_server(told: list[Any]) -> None:
    async def handler(ctx: durable.Context) -> list[str]:
        async def inside() -> str:
            return await ctx.publish("c", "inside", 1)

        return [await ctx.publish("c", "t", 1), await ctx.step.run("in", inside)]

    def plain(ctx: durable.SyncContext) -> list[str]:
        def inside() -> str:
            return ctx.publish("c", "inside", 1)

        return [ctx.publish("c", "t", 1), ctx.step.run("in", inside)]

    memos: list[dict[str, Any]] = [{}, {"publish t": {"data": "m1"}}]
    for code in (handler, plain):
        asked = [ops_of(await call(endpoint_of(code), steps=known)) for known in memos]
        assert asked == [[("StepRun", "publish t", "m1")], [("StepRun", "in", "m1")]]
    assert told == [("c", "t", b"1"), ("c", "inside", b"1")] * 2


async def test_the_log_is_silent_for_what_was_gone_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(ctx: durable.Context) -> None:
        one = ctx.step.run("one", int)
        ctx.logger.warning("before")
        await one
        ctx.logger.warning("after")
        await ctx.step.run("two", int)

    await call(endpoint_of(handler), steps={"one": {"data": 0}})
    assert [record.message for record in caplog.records] == ["after"]
