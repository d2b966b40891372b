"""The middleware around one run's code: where its hooks are called while the code is live.

A run of a function without middleware has none of this. Written once for both kinds of handler: on a thread
whatever a hook awaits is awaited on the loop, so the same coroutines never wait there.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from ._codec import read_plain, write_plain
from ._errors import SerializationError
from ._events import INVOKED, is_event, make_event
from ._layers import (
    Stack,
    ThreadTell,
    copy_event,
    flatten,
    leave,
    leave_quietly,
    plain_event,
    read_through,
    send_through,
    tell,
    write_row,
)
from ._middleware import Call, Execution, Input, Output, RunAbout, Sending, StepAbout
from ._sending import encode_events, ids_of_step
from ._step import StepCall, Written, error_of_unawaited


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._bridge import EventTuple, RunTuple, StepTuple
    from ._events import Event

T = TypeVar("T")


class Layered:
    """The middleware of one run, and how far the run's code has come as it sees it."""

    __slots__ = (
        "_call",
        "_entered",
        "_exits",
        "_has_gone_through",
        "_is_on_thread",
        "_lock",
        "_stretch",
        "_tell",
        "about",
        "event_tuples",
        "run",
        "stack",
    )

    def __init__(self, run: Any, stack: Stack) -> None:
        self.run = run
        self.stack = stack
        self.event_tuples: tuple[EventTuple, ...] = run.event_tuples  # as stored
        first = self.event_tuples[0]
        tries = run.function.retries.count + 1
        find = run.worker.origins_of
        self.about = RunAbout(
            run.id, run.function.id, run.attempt, tries, first[1], first[0], find
        )
        self._is_on_thread = not run.function.is_async
        self._tell: Any = ThreadTell(run.worker.loop) if self._is_on_thread else tell
        self._call = Call(self.about)
        self._exits: AsyncExitStack | None = None
        self._has_gone_through = False
        self._stretch: Execution | None = None
        self._entered: list[Any] = []
        self._lock = asyncio.Lock()

    # --- one call of the handler

    async def call(self, given: Any) -> Written:
        """Call the handler: what is to be stored of its result."""
        run = self.run
        self._call.context = given
        self.about.attempt = run.attempt
        try:
            arguments = await self._take_events(given)
            await self._tell(self.stack.before_memoization, self._call)
            if not run.unmet:
                await self._begin_stretch()
            output = await self._call_handler(given, arguments)
            await self._tell(self.stack.transform_output, output)
        except BaseException as error:
            self._cut_off(error)
            raise
        finally:
            await self._leave_all()
        if output.error is not None:
            raise output.error
        return Written(self._written(output))

    async def _call_handler(self, given: Any, arguments: dict[str, Any]) -> Output:
        run, output = self.run, Output(self.about, attempt=self.run.attempt)
        try:
            value = run.function.handler(given, **arguments)
            if not self._is_on_thread:
                value = await value
            if run.unawaited:
                raise error_of_unawaited(run.function.id, run.unawaited.values())  # noqa: TRY301  # as the run would
            output.data = read_plain(run.function.codec.write(value, "result"))
        except Exception as error:  # it is told of, and fails the run  # noqa: BLE001
            output.error = error
        if run.ending is None:
            await self._go_through()
            await self._end_stretch(None, output.error)
        return output

    async def _take_events(self, given: Any) -> dict[str, Any]:
        run, stack = self.run, self.stack
        if not stack.transform_input:
            return {}
        before = [plain_event(row) for row in self.event_tuples]
        taken = Input("events", self.about, events=[*before], context=given)
        taken.handler = run.function.handler
        taken.exits = self._enter
        await self._tell(stack.transform_input, taken)
        if any(now is not was for now, was in zip(taken.events, before, strict=False)):
            pairs = zip(self.event_tuples, taken.events, strict=True)
            run.event_tuples = tuple(write_row(row, event) for row, event in pairs)
        return taken.arguments

    async def _enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        if self._exits is None:
            self._exits = AsyncExitStack()
        return await self._exits.enter_async_context(manager)

    async def _leave_all(self) -> None:
        """Leave what this call has entered; a task does where the code was cut off."""
        exits, self._exits = self._exits, None
        if exits is None:
            return
        if self._is_on_thread:
            self._leave_from_thread(exits)
        elif self.run.is_dropped:
            self.run.worker.clean_up(exits.aclose())
        else:
            await exits.aclose()

    def _leave_from_thread(self, exits: AsyncExitStack) -> None:
        leaving, run = exits.aclose(), self.run
        try:
            if run.is_dropped or run.driver.is_done:  # nobody may be there to wait for
                loop = run.worker.loop
                loop.call_soon_threadsafe(run.worker.clean_up, leaving)
            else:
                self._tell.wait(leaving)
        except RuntimeError:  # the loop is closed
            leaving.close()
            raise

    def _cut_off(self, error: BaseException) -> None:
        if self._stretch is not None:
            stretch, self._stretch = self._stretch, None
            leave_quietly(stretch, self._entered, error)

    # --- stretches of its code

    async def _begin_stretch(self) -> None:
        """New code comes: say so, where nobody has."""
        await self._go_through()
        if self._stretch is None and self.stack.around_execution:
            run = self.run
            self._stretch = Execution(
                self.about, attempt=run.attempt, failures=run.failures
            )
            self._entered = []
            await self.stack.enter(self._tell, self._stretch, self._entered)

    async def _end_stretch(
        self, comes_to: StepAbout | None, error: BaseException | None
    ) -> None:
        stretch, self._stretch = self._stretch, None
        if stretch is not None:
            stretch.comes_to, stretch.error = comes_to, error
            await leave(self._tell, stretch, self._entered)

    async def _go_through(self) -> None:
        """All that is remembered was gone through: say so, once."""
        if not self._has_gone_through:
            self._has_gone_through = True
            await self._tell(self.stack.after_memoization, self._call)

    # --- steps

    async def come_to(self, call: StepCall[Any]) -> None:
        """The code awaits a step."""
        try:
            await self._end_stretch(_about(call), None)
            await self._hand_over(call)
        except Exception as error:  # it fails the run  # noqa: BLE001
            raise self._failed(error) from None

    async def _hand_over(self, call: StepCall[Any]) -> None:
        """The data of an invocation, before the engine has it."""
        run, stack = self.run, self.stack
        asked = getattr(call, "invocation", None)
        is_known = call.name in run.memos or call.name in run.pending
        if asked is None or is_known or not stack.sends:
            return
        function_id, json = asked
        event = make_event(INVOKED, read_plain(json))
        sending = Sending([event], self.about, _about(call), function_id)

        async def send(events: list[Event[Any]]) -> list[str]:
            call.invocation = function_id, write_plain(events[0].data, "data")  # type: ignore[attr-defined]  # a call that stands for an event
            return []

        if self._is_on_thread:
            await tell_on_thread(self._tell, stack, sending, send)
        else:
            await send_through(stack, sending, send)

    async def go_on(self, call: StepCall[Any]) -> None:
        """A step is answered: the code goes on with what middleware makes of it."""
        try:
            if self.stack.transform_input and call.recorded is None and call.is_done:
                async with self._in_order():
                    await self._take_answer(call)
            if not self.run.unmet:
                await self._begin_stretch()
        except Exception as error:  # it fails the run  # noqa: BLE001
            raise self._failed(error) from None

    async def _take_answer(self, call: StepCall[Any]) -> None:
        given = Input("step", self.about, _about(call))
        given.data = before = read_plain(call.data or b"null")
        await self._tell(self.stack.transform_input, given)
        if given.data is not before:
            call.data = write_plain(given.data, "result")
            call.is_same = False

    def _in_order(self) -> Any:
        """Steps in parallel are answered in the order in which they were recorded."""
        return _Nothing() if self._is_on_thread else self._lock

    async def execute(
        self, call: StepCall[Any], function: Callable[[], Awaitable[Any]]
    ) -> bytes:
        """Try a step: what is to be stored of it.

        Raises:
            Exception: what its function raised, or a hook.
        """
        execution = Execution(
            self.about, _about(call), call.attempt, failures=call.failures
        )
        entered: list[Any] = []
        output = Output(self.about, execution.step, attempt=call.attempt)
        try:
            await self._go_through()
            await self.stack.enter(self._tell, execution, entered)
            value = await function()
            data = call.codec.write(value, "result")
        except Exception as error:  # it is told of, and fails the step  # noqa: BLE001
            output.error = execution.error = error
            data = b"null"
        except BaseException as error:
            leave_quietly(execution, entered, error)
            raise
        await leave(self._tell, execution, entered)
        if self.stack.transform_output:
            output.data = read_plain(data)
            await self._tell(self.stack.transform_output, output)
            data = self._written(output)
        if output.error is not None:
            raise output.error
        return data

    def _written(self, output: Output) -> bytes:
        try:
            return write_plain(output.data, "result")
        except SerializationError as error:
            if makers := self.stack.makers():
                error.args = (f"{error}: {makers}", *error.args[1:])
            raise

    async def send(self, call: StepCall[Any], given: Any) -> list[str]:
        """Send events from inside a step, those without an id under one of this step's."""
        run, own = self.run, ids_of_step(self.about.id, call.name)
        events = [
            copy_event(one, id=f"{own}/{place}")
            if is_event(one) and not one.id
            else one
            for place, one in enumerate(flatten([given]))
        ]

        async def send(events: list[Event[Any]]) -> list[str]:
            ids: list[str] = await run.worker.send(encode_events(events))
            return ids

        sending = Sending(events, self.about, _about(call))
        ids: list[str] = await send_through(self.stack, sending, send)
        return ids

    # --- small things

    def _failed(self, error: Exception) -> BaseException:
        """What the code is told where a hook between its steps has raised: it is not to go on."""
        told: BaseException = self.run.driver.give_up(error)
        return told


async def tell_on_thread(  # noqa: PLR0917  # each is one thing the caller has at hand
    speak: ThreadTell, stack: Stack, sending: Sending, send: Any
) -> None:
    """As `send_through`, of which all is awaited on the loop."""
    speak.wait(send_through(stack, sending, send))


class _Nothing:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def layered(run: Any) -> Layered | None:
    """The middleware around a run, where its function has any."""
    stack: Stack = run.function.stack
    return Layered(run, stack) if stack.members else None


async def invoke_through(  # noqa: PLR0917  # each is one thing the caller has at hand
    stack: Stack, function_id: str, json: bytes, ask: Callable[[bytes], Awaitable[Any]]
) -> Any:
    """Invoke by way of middleware; what `ask` gives: the ids of the run and of its event."""
    given: list[Any] = []

    async def send(events: list[Event[Any]]) -> list[str]:
        given.extend(await ask(write_plain(events[0].data, "data")))
        return given[1:]

    event = make_event(INVOKED, read_plain(json))
    await send_through(stack, Sending([event], function_id=function_id), send)
    return tuple(given)


async def outcome_through(  # noqa: PLR0917  # each is one thing the caller has at hand
    stack: Stack, run_id: str, function_id: str, json: bytes, find: Any
) -> bytes:
    """A run's result as its function's middleware lets it out."""
    about = RunAbout(run_id, function_id, find_origins=find)
    return await read_through(stack, Input("result", about), json)


def _about(call: StepCall[Any]) -> StepAbout:
    asked = getattr(call, "invocation", None)
    return StepAbout(call.name, call.kind, None if asked is None else asked[0])


async def run_through(stack: Stack, row: RunTuple, find: Any) -> RunTuple:
    """A run as its function's middleware lets it out: its result, and those of its steps.

    What cannot be let out stays as it is stored: a run is looked at also where a key is lost.
    """
    about = RunAbout(row[0], row[1], find_origins=find)
    result, steps = row[7], row[10]
    with contextlib.suppress(Exception):
        if result is not None:
            result = await read_through(stack, Input("result", about), result)
    shown = [await _step_through(stack, about, step) for step in steps]
    return (*row[:7], result, *row[8:10], shown, row[11])


async def _step_through(stack: Stack, about: RunAbout, step: StepTuple) -> StepTuple:
    name, kind, status, json, *rest = step
    with contextlib.suppress(Exception):
        if json is not None and status == "completed":
            given = Input("step", about, StepAbout(name, kind))
            json = await read_through(stack, given, json)
    return (name, kind, status, json, *rest)  # type: ignore[return-value]  # the rest is as it was
