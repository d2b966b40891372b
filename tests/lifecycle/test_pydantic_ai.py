"""Agents of Pydantic AI in durable functions: each request and each call is a step, asked once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterator
from typing import Any

import pytest
from fastmcp import FastMCP
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import (
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.toolsets import FunctionToolset

import durable
from durable.integrations.pydantic_ai import DurableAgent
from durable.testing import TestEngine


pytestmark = pytest.mark.asyncio
ASKED = durable.Event("shop/asked", {"n": 1})


@pytest.fixture(params=["needed", "always"], autouse=True)
def replay(request: pytest.FixtureRequest) -> Any:
    """Both with code that stays live, and with code that is called again for each step."""
    return request.param


class Asks:
    """A model that calls `look_up` for some numbers, then says what it was told; it counts what it is asked."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.count = 0
        self.errors: Iterator[Exception] = iter(())

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        del info
        self.count += 1
        if (error := next(self.errors, None)) is not None:
            raise error
        if len(messages) == 1 and self.numbers:
            calls = [ToolCallPart("look_up", {"n": one}) for one in self.numbers]
            return ModelResponse(parts=calls)
        told = [one.content for one in messages[-1].parts]
        return ModelResponse(parts=[TextPart(f"told {told}")])


def app_of(agent: Any, **settings: Any) -> tuple[durable.App, Any]:
    """An application with one function, which asks an agent."""
    app = durable.App("shop")

    @app.function(on="shop/asked", **settings)
    async def ask(_: durable.Context[Any]) -> Any:
        result = await agent.run("what is it?")
        return result.output

    return app, ask


async def test_each_request_and_each_call_is_a_step_with_its_tokens(
    replay: Any,
) -> None:
    model = Asks(1, 2)
    agent = Agent(FunctionModel(model), name="support")
    called: list[int] = []

    @agent.tool_plain
    async def look_up(n: int) -> int:
        called.append(n)
        return n * 10

    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == "told [10, 20]"
    assert (model.count, called) == (2, [1, 2])
    assert list(run.steps) == [
        "support/model",
        "support/tool look_up",
        "support/tool look_up:1",
        "support/model:1",
    ]
    usage = run.steps["support/model"].usage
    assert usage is not None
    assert (usage.model, usage.input_tokens, usage.total) == (
        "function:Asks:",
        53,
        61,
    )
    assert run.steps["support/tool look_up"].usage is None


async def test_a_crash_in_the_middle_asks_nothing_twice(replay: Any) -> None:
    model = Asks(1, 2)
    agent = Agent(FunctionModel(model), name="support")
    called: list[int] = []
    engine: list[TestEngine] = []

    @agent.tool_plain
    async def look_up(n: int) -> int:
        called.append(n)
        if called == [1, 2]:  # the first call is not remembered yet
            await engine[0].crash()
        return n * 10

    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        engine.append(t)
        run = await t.execute(ask, ASKED)
        assert run.result == "told [10, 20]"
        assert model.count == 2
        assert called[:2] == [1, 2]
        assert set(called[2:]) <= {1, 2}
        await t.crash()
        assert model.count == 2


async def test_a_crash_during_a_request_repeats_that_request_alone(
    replay: Any,
) -> None:
    engine: list[TestEngine] = []
    counts: list[int] = []

    async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        del info
        counts.append(len(messages))
        if counts == [1, 3]:
            await engine[0].crash()
        if len(messages) == 1:
            return ModelResponse(parts=[ToolCallPart("look_up", {})])
        return ModelResponse(parts=[TextPart("done")])

    agent = Agent(FunctionModel(model), name="support")
    called: list[str] = []

    @agent.tool_plain
    def look_up() -> str:
        called.append("look_up")
        return "it"

    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        engine.append(t)
        run = await t.execute(ask, ASKED)
    assert run.result == "done"
    assert counts == [1, 3, 3]
    assert called == ["look_up"]


async def test_what_fails_is_tried_again_alone(replay: Any) -> None:
    model = Asks(1, 2)
    model.errors = iter([OSError("no net")])
    agent = Agent(FunctionModel(model), name="support")
    failures = iter([OSError("not now")])
    called: list[int] = []

    @agent.tool_plain
    async def look_up(n: int) -> int:
        called.append(n)
        if n == 2 and (error := next(failures, None)) is not None:
            raise error
        return n * 10

    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == "told [10, 20]"
    attempts = [one.attempts for one in run.steps.values()]
    assert attempts == [2, 1, 2, 1]
    assert (model.count, called) == (3, [1, 2, 2])


async def test_calls_that_come_to_their_steps_in_another_order_keep_their_results(
    replay: Any,
) -> None:
    """Their names follow the order in which the model asks, also where a crash changes who is first."""
    model = Asks(1, 2, 3)
    tries: list[int] = []
    engine: list[TestEngine] = []

    async def check(_: RunContext[None], n: int) -> None:
        if n == 1:
            for _ in range(9):
                await asyncio.sleep(0)  # noqa: TID251  # the others overtake it

    async def look_up(n: int) -> int:
        tries.append(n)
        if tries.count(3) == 1 and n == 3:
            raise OSError  # the others are remembered meanwhile
        if tries.count(3) == 2 and n == 3:
            await engine[0].crash()
        return n * 10

    tools = FunctionToolset[None](id="tools")
    tools.add_function(look_up, args_validator=check)
    agent = Agent(FunctionModel(model), name="support", toolsets=[tools])
    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        engine.append(t)
        run = await t.execute(ask, ASKED)
    assert run.result == "told [10, 20, 30]"
    assert (model.count, sorted(tries)) == (2, [1, 2, 3, 3, 3])


async def test_agents_at_once_keep_their_steps_apart(replay: Any) -> None:
    model = Asks(1)
    agent = Agent(FunctionModel(model), name="support")
    agent.tool_plain(lambda n: n, name="look_up")
    support, app = DurableAgent(agent), durable.App("shop")

    @app.function(on="shop/asked")
    async def ask(_: durable.Context[Any]) -> list[str]:
        both = await asyncio.gather(support.run("a"), support.run("b"))
        third = await support.run("c", message_history=both[0].all_messages())
        assert len({one.run_id for one in (*both, third)}) == 3
        return [one.output for one in (*both, third)]

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
        assert run.result == ["told [1]", "told [1]", "told ['c']"]
        assert {one.split("/")[0] for one in run.steps} == {
            "support",
            "support:1",
            "support:2",
        }
    assert model.count == 5


class Answer(BaseModel):
    """What an agent gives."""

    text: str
    marks: set[int]


async def test_outputs_and_what_is_handed_in_are_what_they_are_elsewhere(
    replay: Any,
) -> None:
    agent = Agent(
        TestModel(custom_output_args={"text": "yes", "marks": [1]}),
        name="support",
        deps_type=dict,
        output_type=Answer,
    )

    @agent.tool
    async def look_up(ctx: RunContext[dict[str, str]]) -> str:
        return ctx.deps["customer"]

    support, app = DurableAgent(agent), durable.App("shop")

    @app.function(on="shop/asked")
    async def ask(_: durable.Context[Any]) -> Answer:
        result = await support.run("?", deps={"customer": "c1"}, timeout=60)
        parts = [part for one in result.all_messages() for part in one.parts]
        told = [one.content for one in parts if isinstance(one, ToolReturnPart)]
        assert told[0] == "c1"
        assert isinstance(result.output, Answer)
        return result.output

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == Answer(text="yes", marks={1})
    assert run.steps["support/started"].attempts == 1


async def test_a_tool_that_asks_the_model_to_try_again_is_remembered_so(
    replay: Any,
) -> None:
    model = Asks(1)
    agent = Agent(FunctionModel(model), name="support")

    @agent.tool_plain
    async def look_up(n: int) -> int:
        raise ModelRetry(f"not {n}")

    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == "told ['not 1']"
    assert run.steps["support/tool look_up"].attempts == 1


@pytest.mark.parametrize(
    ("status", "tries"), [(400, 1), (401, 1), (429, 2), (408, 2), (503, 2)]
)
async def test_a_refusal_is_final_and_what_passes_is_tried_again(
    replay: Any, status: int, tries: int
) -> None:
    model = Asks()
    after = {"retry-after": "30"}
    model.errors = iter([ModelHTTPError(status, "asks-1", {"no": 1}, headers=after)])
    app, ask = app_of(DurableAgent(Agent(FunctionModel(model), name="support")))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.steps["support/model"].attempts == tries
    if tries == 1:
        assert run.error is not None
        assert f"status_code: {status}" in run.error.message
    else:
        assert run.status == "completed"
        assert run.ended_at is not None
        assert (run.ended_at - run.created_at).total_seconds() == 30


async def test_what_has_no_json_is_told_with_its_step(replay: Any) -> None:
    agent = Agent(FunctionModel(Asks(1)), name="support")

    @agent.tool_plain
    async def look_up(n: int) -> Any:
        return {n: object()}

    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.error is not None
    assert "step 'support/tool look_up': what it gives has no JSON" in run.error.message
    assert run.steps["support/tool look_up"].attempts == 1


async def test_a_tool_that_is_no_step_may_use_steps(replay: Any) -> None:
    agent = Agent(FunctionModel(Asks(1)), name="support", deps_type=durable.Context)

    @agent.tool(metadata={"durable": False})
    async def look_up(ctx: RunContext[durable.Context[Any]], n: int) -> int:
        await ctx.deps.step.sleep("wait for it", "1d")
        return await ctx.deps.step.run("count", abs, n)

    support, app = DurableAgent(agent), durable.App("shop")

    @app.function(on="shop/asked")
    async def ask(ctx: durable.Context[Any]) -> str:
        return (await support.run("?", deps=ctx)).output

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == "told [1]"
    assert list(run.steps) == [
        "support/model",
        "wait for it",
        "count",
        "support/model:1",
    ]


async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterable[Any]:
    del info
    if len(messages) == 1:
        yield {0: DeltaToolCall("look_up", '{"n": 1}')}
        yield {1: DeltaToolCall("look_up", '{"n": 2}')}
    else:
        yield "all "
        yield "done"


async def test_a_handler_is_given_each_event_once(replay: Any) -> None:
    agent = Agent(FunctionModel(stream_function=stream), name="support")
    agent.tool_plain(lambda n: n, name="look_up")
    seen: list[str] = []

    async def watch(_: RunContext[None], events: AsyncIterable[Any]) -> None:
        async for event in events:
            if isinstance(event, FunctionToolCallEvent | FunctionToolResultEvent):
                assert isinstance(event.part.tool_call_id, str)
            seen.append(event.event_kind)

    app, ask = app_of(DurableAgent(agent, event_stream_handler=watch))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == "all done"
    assert seen.count("function_tool_call") == seen.count("function_tool_result") == 2
    assert seen.count("final_result") == 1
    events = [one for one in run.steps if one.startswith("support/event")]
    assert len(events) == 4
    assert run.steps["support/model"].usage is not None


async def test_questions_to_an_mcp_server_are_steps(replay: Any) -> None:
    server = FastMCP("books")
    called: list[int] = []

    @server.tool
    def look_up(n: int) -> int:
        called.append(n)
        return n * 10

    model = Asks(1, 2)
    books = MCPToolset[None](server, id="books")
    agent = Agent(FunctionModel(model), name="support", toolsets=[books])
    app, ask = app_of(DurableAgent(agent))
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert run.result == "told [10, 20]"
    assert (model.count, sorted(called)) == (2, [1, 2])
    assert "support/tools of books" in run.steps
    assert "support/tool look_up:1" in run.steps


async def test_outside_of_runs_and_inside_steps_it_is_the_agent_that_it_was(
    replay: Any,
) -> None:
    model = Asks()
    support = DurableAgent(Agent(FunctionModel(model), name="support"))
    assert (await support.run("hello")).output == "told ['hello']"
    async with support.iter("hello") as steps:
        kinds = [type(one).__name__ async for one in steps]
    assert kinds[-1] == "End"
    app = durable.App("shop")

    async def inner() -> str:
        return (await support.run("in a step")).output

    @app.function(on="shop/asked")
    async def ask(ctx: durable.Context[Any]) -> str:
        return await ctx.step.run("inner", inner)

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert (run.result, list(run.steps)) == ("told ['in a step']", ["inner"])
    assert model.count == 3


async def test_what_cannot_be_durable_is_refused_with_words(replay: Any) -> None:
    model = FunctionModel(Asks())
    with pytest.raises(durable.ConfigError, match=r"unique `name`.* to `DurableAgent`"):
        DurableAgent(Agent(model))
    not_one: Any = "support"
    with pytest.raises(
        durable.ConfigError, match=r"DurableAgent\('support'\): it is no"
    ):
        DurableAgent(not_one)
    with pytest.raises(durable.ConfigError, match="unique `id`") as caught:
        DurableAgent(Agent(model, name="a", toolsets=[FunctionToolset()]))
    assert "_Durability" not in str(caught.value)
    support, app = DurableAgent(Agent(model, name="support")), durable.App("shop")

    @app.function(on="shop/streamed", retries=0)
    async def streamed(_: durable.Context[Any]) -> None:
        async with support.run_stream("?") as result:
            await result.get_output()

    @app.function(on="shop/plain", retries=0)
    def plain(_: durable.SyncContext[Any]) -> None:
        support.run_sync("?")

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(streamed, durable.Event("shop/streamed"))
        assert run.error is not None
        assert "use `await agent.run(...)`" in run.error.message
        assert f"in function 'streamed' ({__file__}:" in run.error.message
        plainly = await t.execute(plain, durable.Event("shop/plain"))
        assert plainly.error is not None
        assert "needs an `async def` handler" in plainly.error.message


async def test_another_model_of_those_that_are_given_is_asked(replay: Any) -> None:
    small = Asks()
    agent = Agent(FunctionModel(Asks()), name="support")
    support = DurableAgent(agent, models={"small": FunctionModel(small)})
    app = durable.App("shop")

    @app.function(on="shop/asked")
    async def ask(_: durable.Context[Any]) -> str:
        return (await support.run("?", model="small")).output

    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED)
    assert (run.result, small.count) == ("told ['?']", 1)


async def test_a_request_may_be_answered_by_a_test(replay: Any) -> None:
    model = Asks()
    app, ask = app_of(DurableAgent(Agent(FunctionModel(model), name="support")))
    said = ModelResponse(parts=[TextPart("mocked")])
    async with TestEngine(app, replay=replay) as t:
        run = await t.execute(ask, ASKED, steps={"support/model": said})
    assert (run.result, model.count) == ("mocked", 0)
