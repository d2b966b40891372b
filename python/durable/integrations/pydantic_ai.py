"""Agents of Pydantic AI in durable functions: each model request and each tool call is a step.

Needs `durable-engine[pydantic-ai]`. It stands on what `pydantic_ai.durable_exec` offers to engines.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeVar, cast

from pydantic_ai.agent import AbstractAgent, WrapperAgent
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    BoundDurableOperation,
    CapabilityOperationId,
    DurabilityEngineSpec,
    DurableOperation,
    DurableOperationBackend,
    DurableOperationId,
    EventStreamHandlerId,
    ModelCancelSuspendedResponseId,
    ModelCompactMessagesId,
    ModelRequestId,
    ToolsetCallToolId,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
    conversation_id_from_run_id,
    durable_unit_scope,
)
from pydantic_ai.exceptions import ModelHTTPError, UserError
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.output import OutputDataT
from pydantic_ai.tools import AgentDepsT, RunContext
from pydantic_core import PydanticSerializationError
from typing_extensions import override

from durable._errors import (
    ConfigError,
    NonRetriableError,
    ProviderError,
    SerializationError,
    UsageError,
)
from durable._following import Followed
from durable._step import CURRENT_RUN, CURRENT_STEP, StepOwner
from durable._steps import Steps


if TYPE_CHECKING:
    from pydantic_ai.agent import EventStreamHandler
    from pydantic_ai.capabilities import WrapRunHandler
    from pydantic_ai.models import Model
    from pydantic_ai.run import AgentRunResult
    from pydantic_ai.toolsets import ToolsetTool

ParamsT = TypeVar("ParamsT")
WireT = TypeVar("WireT")
ResultT = TypeVar("ResultT")

#: What a provider may answer otherwise when it is asked again; other 4xx are its last word.
_PASSING: Final = frozenset({408, 409, 425, 429})
_CLIENT_ERRORS: Final = range(400, 500)
#: The key of a tool's metadata, and what it may be: `metadata={"durable": False}`.
_METADATA_KEY: Final = "durable"


@dataclass(slots=True)
class _AgentRun:
    """One run of an agent inside a run of a function: what its steps are called."""

    run: StepOwner
    prefix: str
    #: The names of the tools' steps, by the id of the call: they are given in the order in which the model
    #: asks, whichever of several calls gets to its step first.
    tool_names: dict[str, str] = field(default_factory=dict[str, str])

    def expect(self, response: ModelResponse) -> None:
        """Give a name to each call that the model asks for."""
        for part in response.parts:
            if isinstance(part, ToolCallPart):
                name = self.run.names.next(f"{self.prefix}/tool {part.tool_name}")
                self.tool_names[part.tool_call_id] = name

    def name(self, operation_id: DurableOperationId, params: Any) -> str:
        """The name of the step that is this operation."""
        if isinstance(operation_id, ToolsetCallToolId):
            call_id = _context_of(params).tool_call_id or ""
            if given := self.tool_names.pop(call_id, ""):
                return given
        words = _WORDS.get(type(operation_id))
        what = type(operation_id).__name__  # of a later version
        if words is not None:
            what = words(operation_id, params)
        return self.run.names.next(f"{self.prefix}/{what}")


_AGENT_RUN: ContextVar[_AgentRun | None] = ContextVar("durable_agent_run", default=None)


def _context_of(params: Any) -> RunContext[Any]:
    """The agent's own context, which each of its operations has under one of two names."""
    return cast("RunContext[Any]", getattr(params, "ctx", None) or params.run_context)


def _of_call(params: Any) -> str:
    """A call by its tool and the id that the model gave it: the same in each replay."""
    call_id = _context_of(params).tool_call_id
    return f"{params.name} {call_id}" if call_id else str(params.name)


#: What an operation is called, by the kind of its id.
_WORDS: Final[Mapping[type, Callable[[Any, Any], str]]] = {
    ModelRequestId: lambda _, __: "model",
    ModelCompactMessagesId: lambda _, __: "compact",
    ModelCancelSuspendedResponseId: lambda _, __: "withdraw",
    EventStreamHandlerId: lambda _, __: "event",
    ToolsetCallToolId: lambda _, params: f"tool {_of_call(params)}",
    ToolsetValidateToolArgumentsId: lambda _, params: f"check {_of_call(params)}",
    ToolsetGetToolsId: lambda its, _: f"tools of {its.toolset_id}",
    ToolsetGetInstructionsId: lambda its, _: f"instructions of {its.toolset_id}",
    CapabilityOperationId: lambda its, _: f"{its.capability_id}.{its.operation}",
}


class _Bound(
    BoundDurableOperation[ParamsT, WireT, ResultT], Generic[ParamsT, WireT, ResultT]
):
    """One kind of operation, each call of which is a step."""

    def __init__(self, operation: DurableOperation[ParamsT, WireT, ResultT]) -> None:
        self._operation = operation

    @property
    @override
    def operation(self) -> DurableOperation[ParamsT, WireT, ResultT]:
        return self._operation

    @override
    async def __call__(
        self, params: ParamsT, *, config: object | None = None
    ) -> ResultT:
        operation = self._operation
        agent_run = _AGENT_RUN.get()
        if agent_run is None:
            text = "an agent's operation outside of its run: run the agent in the handler itself"
            raise UsageError(text)
        name = agent_run.name(operation.operation_id, params)

        async def execute() -> object:
            with durable_unit_scope():
                value = await _told(operation.handler(params))
                try:
                    return operation.result_codec.dump(value)
                except (PydanticSerializationError, TypeError) as error:
                    raise _not_json(name, error) from error

        steps = Steps(agent_run.run)
        payload = await steps.make_named(name, execute, sys._getframe())  # noqa: SLF001  # the quick way
        result = operation.result_codec.load(payload)
        if isinstance(result, ModelResponse):
            agent_run.expect(result)
        return result


async def _told(operation: Any) -> Any:
    """What an operation gives; its errors as the engine tells apart what may be tried again.

    Raises:
        NonRetriableError: the agent is put together in a way that cannot work.
        ProviderError: the provider refused, or asks to wait.
    """
    try:
        return await operation
    except UserError as error:
        raise NonRetriableError(str(error)) from error
    except ModelHTTPError as error:
        status = error.status_code
        raise ProviderError(
            str(error),
            status=status,
            is_final=status in _CLIENT_ERRORS and status not in _PASSING,
            retry_after=_retry_after(error.headers or {}),
        ) from error


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None


def _not_json(name: str, error: Exception) -> SerializationError:
    text = (
        f"step '{name}': what it gives has no JSON: {error}. Return plain data (dict, list, str, numbers), a "
        "pydantic model or a dataclass from tools"
    )
    return SerializationError(text)


class _Backend(DurableOperationBackend[Mapping[str, Any]]):
    """Makes each operation of an agent a step."""

    @override
    def bind(
        self, operation: DurableOperation[ParamsT, WireT, ResultT]
    ) -> BoundDurableOperation[ParamsT, WireT, ResultT]:
        return _Bound(operation)

    @override
    def config_for_tool(
        self,
        operation: DurableOperation[ParamsT, WireT, ResultT],
        *,
        tool: object | None,
        tool_name: str,
    ) -> Mapping[str, Any] | Literal[False]:
        if tool is None:
            return {}
        metadata = cast("ToolsetTool[Any]", tool).tool_def.metadata or {}
        given = metadata.get(_METADATA_KEY, True)
        if not isinstance(given, bool):
            text = (
                f"tool '{tool_name}': metadata={{'{_METADATA_KEY}': {given!r}}}: True, which is the default, or "
                "False for a tool that is no step"
            )
            raise UserError(text)
        return {} if given else False

    @override
    def registrations(self) -> Sequence[Any]:
        return ()


class _Durability(BaseDurabilityCapability[AgentDepsT]):
    """How `pydantic_ai` sees this engine."""

    engine_spec: ClassVar[DurabilityEngineSpec] = DurabilityEngineSpec(
        engine_name="durable",
        durable_unit_noun="step",
        durable_container_noun="run",
        codec=JSON_CODEC,
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        toolset_lifecycles={
            "function": "enter-always",
            "mcp": "enter-in-durable-unit",
            "dynamic": "enter-never",
        },
        tool_config_key=_METADATA_KEY,
    )

    @property
    @override
    def in_durable_context(self) -> bool:
        return _run_here() is not None

    @override
    def get_durable_operation_backend(self) -> DurableOperationBackend[Any]:
        return _Backend()

    @override
    def get_default_run_id(self) -> str | None:
        run = _run_here()
        return None if run is None else f"{run.id}/{run.names.next(self.name)}"

    @override
    def get_default_conversation_id(self, run_id: str) -> str | None:
        return None if _run_here() is None else conversation_id_from_run_id(run_id)

    @override
    async def get_run_start_time(self, run_id: str) -> datetime | None:
        run = _run_here()
        if run is None:
            return None
        prefix = run_id.removeprefix(f"{run.id}/")
        now = Steps(run).make(
            f"{prefix}/started",
            time.time,  # in a step  # noqa: TID251
            ((), {}),
            sys._getframe(),  # noqa: SLF001  # the quick way
        )
        return datetime.fromtimestamp(await now, UTC)

    @override
    async def wrap_run(
        self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler
    ) -> AgentRunResult[Any]:
        """Run the agent; what is set here its operations see."""
        run = _run_here()
        if run is None:
            return await super().wrap_run(ctx, handler=handler)
        given, own = ctx.run_id or "", f"{run.id}/"
        prefix = given.removeprefix(own)
        if not given.startswith(own):
            prefix = run.names.next(self.name)
        token = _AGENT_RUN.set(_AgentRun(run, prefix))
        agent = cast("AbstractAgent[AgentDepsT, Any]", self.agent)
        try:  # events of tools in the order of the calls, which is the same in each replay
            with agent.parallel_tool_call_execution_mode("parallel_ordered_events"):
                return await super().wrap_run(ctx, handler=handler)
        finally:
            _AGENT_RUN.reset(token)


#: What `pydantic_ai` names in its messages: what its reader has written.
_Durability.__name__ = "DurableAgent"


def _run_here() -> StepOwner | None:
    """The run whose handler executes here: outside of steps, in which an agent is a function like others.

    Raises:
        UsageError: its handler is a plain `def`.
    """
    run = CURRENT_RUN.get()
    if run is None or CURRENT_STEP.get() is not None:
        return None
    if not run.function.is_async:
        text = f"function '{run.function.id}': a durable agent needs an `async def` handler: await agent.run(...)"
        raise UsageError(text)
    return run


class DurableAgent(WrapperAgent[AgentDepsT, OutputDataT]):
    """An agent for durable functions: `support = DurableAgent(agent)`, then `await support.run(prompt)` in a handler.

    Inside an `async def` handler of a durable function, each model request, each tool call and each question to an MCP
    server is a step: remembered, tried again alone, counted with its tokens. They are named after the agent, as in
    `support/model` and `support/tool look_up`. Outside of a run, and inside a step, the agent is what it was. What a tool
    returns is JSON from then on, as everything that is remembered. A tool with `metadata={"durable": False}` is called
    in the handler itself and may use steps of its own (`ctx.step.sleep`); whatever else it does, each replay does again.

    Args:
        wrapped: the agent, which stays what it is.
        name: what its steps are named after; by default the agent's name.
        models: other models that a run may ask by these names, as in `run(prompt, model="small")`.
        event_stream_handler: is given what the model streams while it does, inside the request's step, and each event
            of a tool in a step of its own: again where such a step is tried again, and not in a replay.

    Raises:
        ConfigError: the agent has no name, or one of its toolsets no id.
    """

    def __init__(
        self,
        wrapped: AbstractAgent[AgentDepsT, OutputDataT],
        *,
        name: str | None = None,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
    ) -> None:
        if not isinstance(cast("object", wrapped), AbstractAgent):
            text = f"DurableAgent({wrapped!r}): it is no agent; give one, as in DurableAgent(Agent(model, name='support'))"
            raise ConfigError(text)
        super().__init__(wrapped)
        self._durability: _Durability[AgentDepsT] = _Durability(
            name=name, models=models, event_stream_handler=event_stream_handler
        )
        try:
            self._durability.for_agent(wrapped)
        except UserError as error:
            text = str(error).replace(f"{_Durability.__name__}.for_agent()", "it")
            raise ConfigError(text) from error

    if not TYPE_CHECKING:  # checkers see what the wrapped agent takes

        async def run(self, *args, **settings):
            """As the agent's own `run`.

            Raises:
                StepError: a request or a call has used up its tries.
            """
            run = _run_here()
            answering = self.wrapped.run(*args, **self._with_durability(settings))
            if run is None:
                return await answering
            # A task, which is cancelled where the run is put aside: its code waits for others while it cleans up.
            task = asyncio.create_task(Followed(answering, run.know_task))
            run.know_task(task)
            return await task

        def run_sync(self, *args, **settings):
            """As the agent's own `run_sync`, outside of runs.

            Raises:
                UsageError: it is used in a handler.
            """
            self._refuse_here()
            return super().run_sync(*args, **settings)

        @asynccontextmanager
        async def iter(self, *args, **settings):
            """As the agent's own `iter`, outside of runs.

            Raises:
                UsageError: it is used in a handler.
            """
            self._refuse_here()
            async with self.wrapped.iter(
                *args, **self._with_durability(settings)
            ) as run:
                yield run

        def _refuse_here(self):
            if _run_here() is not None:
                text = (
                    f"agent '{self._durability.name or self.name}': in a durable function use `await agent.run(...)`; "
                    "what is streamed goes to DurableAgent(agent, event_stream_handler=...)"
                )
                raise UsageError(text)

        def _with_durability(self, settings):
            given = settings.pop("capabilities", None) or ()
            return {**settings, "capabilities": [*given, self._durability]}
