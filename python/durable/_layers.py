"""Calls the hooks of middleware: in order, in reverse, on a loop or on a thread."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ._codec import read_plain, write_object, write_plain
from ._errors import ConfigError
from ._events import flat, is_event, make_event
from ._hooks import check_hooks
from ._middleware import Execution, Input, Middleware, Sending


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from contextlib import AsyncExitStack

    from ._bridge import EventTuple
    from ._events import Event

    Hook = Callable[[Any], Awaitable[None] | None]

T = TypeVar("T")

_OURS: Final = "durable."
_LOGGER: Final = logging.getLogger("durable.middleware")


class Stack:
    """Middleware in order, by hook: what nobody overrides is an empty tuple."""

    __slots__ = (
        "after_memoization",
        "after_send",
        "around_execution",
        "before_memoization",
        "before_send",
        "finished",
        "members",
        "transform_input",
        "transform_output",
    )

    def __init__(self, members: Sequence[Middleware]) -> None:
        self.members = tuple(members)
        self.transform_input = self._hooks("transform_input")
        self.before_memoization = self._hooks("before_memoization")
        self.after_send = self._hooks("after_send")
        self.after_memoization = self._hooks("after_memoization")[::-1]
        self.transform_output = self._hooks("transform_output")[::-1]
        self.finished = self._hooks("finished")[::-1]
        self.before_send = self._hooks("before_send")[::-1]
        self.around_execution = tuple(
            (_own(one, "before_execution"), _own(one, "after_execution"))
            for one in self.members
            if _own(one, "before_execution") or _own(one, "after_execution")
        )

    def _hooks(self, name: str) -> tuple[Hook, ...]:
        return tuple(hook for one in self.members if (hook := _own(one, name)))

    async def enter(self, tell: Any, execution: Execution, entered: list[Hook]) -> None:
        """Call what comes before; `entered` grows by what is to be called after."""
        for before, after in self.around_execution:
            if before is not None:
                await tell((before,), execution)
            if after is not None:
                entered.append(after)

    def makers(self) -> str:
        """Said of a user's middleware that may make something else of results; empty where there is none."""
        hooks: list[Any] = [*self.transform_output]
        owners = [getattr(hook, "__self__", None) for hook in hooks]
        kinds: list[type[Any]] = [type(one) for one in owners if one is not None]
        names = [one.__name__ for one in kinds if not one.__module__.startswith(_OURS)]
        return f"`transform_output` of {' and '.join(names)} has made it" * bool(names)

    @property
    def sends(self) -> bool:
        """True where somebody looks at what is sent."""
        return bool(self.before_send or self.after_send)


def read_stack(owner: str, given: object, before: Sequence[Middleware] = ()) -> Stack:
    """The middleware of an application, or that of a function behind its application's.

    Raises:
        ConfigError: something of it is none, or has what looks like a hook and is none.
    """
    listed: list[Any] = [given]
    if isinstance(given, list | tuple):
        listed = [*cast("list[Any]", given)]
    own: list[Middleware] = []
    for one in () if given is None else listed:
        if not isinstance(one, Middleware):
            shown = repr(one)
            hint = ""
            if inspect.isclass(one) and issubclass(one, Middleware):
                hint = f": make one of the class, as in {one.__name__}()"
            text = (
                f"{owner}: middleware={shown} is no middleware{hint}\n"
                "  accepted: a list of durable.Middleware"
            )
            raise ConfigError(text)
        check_hooks(owner, one)
        own.append(one)
    return Stack((*before, *own))


def stack_of(stacks: Iterable[Stack]) -> Stack:
    """One of several, each member once."""
    members = {id(one): one for stack in stacks for one in stack.members}
    return Stack(tuple(members.values()))


async def enter_lifespans(stack: AsyncExitStack, apps: Iterable[Any]) -> None:
    """Open what the middleware of these applications and their functions has open as long as the engine."""
    stacks = [one.stack for app in apps for one in (app, *app.functions.values())]
    for member in stack_of(stacks).members:
        lifespan = member.lifespan()
        if lifespan is not None:
            await stack.enter_async_context(lifespan)


async def tell(hooks: Iterable[Hook], about: Any) -> None:
    """Call these, one after the other."""
    for hook in hooks:
        answer = hook(about)
        if answer is not None:
            await answer


class ThreadTell:
    """The same on a thread: what must be awaited is awaited on the loop, and blocks here."""

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def __call__(self, hooks: Iterable[Hook], about: Any) -> None:
        for hook in hooks:
            answer = hook(about)
            if answer is not None:
                self.wait(answer)

    def wait(self, answer: Awaitable[T]) -> T:
        """Have this awaited on the loop."""
        return asyncio.run_coroutine_threadsafe(_await(answer), self._loop).result()


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, since all it tells is told by a `ThreadTell`."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    text = "middleware around a plain handler awaited something outside of a hook"
    raise RuntimeError(text)


async def leave(tell: Any, execution: Execution, entered: list[Hook]) -> None:
    """Call what comes after, in reverse, all of them.

    Raises:
        Exception: the first that one of them raised.
    """
    first: Exception | None = None
    while entered:
        try:
            await tell((entered.pop(),), execution)
        except Exception as error:  # the others are still to be called  # noqa: BLE001
            first = first or error
    if first is not None:
        raise first


def leave_quietly(
    execution: Execution, entered: list[Hook], error: BaseException
) -> None:
    """Call what comes after where nothing can be awaited any more: the plain ones, whatever they raise."""
    execution.error = error
    while entered:
        hook = entered.pop()
        if not inspect.iscoroutinefunction(hook):
            tell_quietly(hook, execution)


def tell_quietly(hook: Hook, about: Any) -> None:
    """Call a plain hook that nothing depends on."""
    try:
        answer: Any = hook(about)
        if hasattr(answer, "close"):
            answer.close()
    except Exception:
        _LOGGER.exception("middleware: %r raised; nothing depends on it", hook)


async def tell_late(hooks: Iterable[Hook], about: Any) -> None:
    """Call these where it is too late to fail anything: what they raise is logged."""
    for hook in hooks:
        try:
            await tell((hook,), about)
        except Exception:
            _LOGGER.exception("middleware: %r raised; nothing depends on it", hook)


# --- what is sent


def flatten(events: Iterable[Any]) -> list[Any]:
    """Copies of all events, in order, whatever they are in: what is no event is refused later."""
    return [copy_event(one) if is_event(one) else one for one in flat(events)]


def copy_event(event: Event[Any], **changes: Any) -> Event[Any]:
    """The same event, with other fields where given."""
    fields = {
        "data": event.data,
        "id": event.id,
        "ts": event.ts,
        "v": event.v,
        "user": event.user,
        **changes,
    }
    data = fields.pop("data")
    return make_event(event.name, data, **fields)


async def send_through(
    stack: Stack, sending: Sending, send: Callable[[list[Event[Any]]], Awaitable[Any]]
) -> Any:
    """Send by way of middleware.

    Raises:
        Exception: what a `before_send` raised, or `send`.
    """
    if not all(is_event(event) for event in sending.events):
        return await send(sending.events)  # it is refused
    await tell(stack.before_send, sending)
    try:
        sending.ids = await send(sending.events)
    except BaseException as error:
        sending.error = error
        await tell_late(stack.after_send, sending)
        raise
    await tell_late(stack.after_send, sending)
    return sending.ids


# --- what is read


def plain_event(row: EventTuple) -> Event[Any]:
    """An event as the engine keeps it, its data as plain values; its id is the engine's where the sender gave none."""
    event_id, name, json, ts, _received, sent_id, version, user = row
    who = None if user is None else read_plain(user)
    return make_event(
        name, read_plain(json), id=sent_id or event_id, ts=ts, v=version, user=who
    )


def write_row(row: EventTuple, event: Event[Any]) -> EventTuple:
    """The same row with the event's data and user."""
    event_id, name, _, ts, received, sent_id, version, _ = row
    data = write_object(event.data, "data", f"event '{name}'")
    user = None if event.user is None else write_plain(event.user, "user")
    return (event_id, name, data, ts, received, sent_id, version, user)


async def read_through(stack: Stack, given: Input, json: bytes) -> bytes:
    """A result as middleware lets it out of the store."""
    if not stack.transform_input:
        return json
    given.data = read_plain(json)
    await tell(stack.transform_input, given)
    return write_plain(given.data, "result")


async def _await(value: Awaitable[T]) -> T:
    return await value


def _own(member: Middleware, name: str) -> Hook | None:
    """A hook that this one overrides."""
    if getattr(type(member), name) is getattr(Middleware, name):
        return None
    hook: Hook = getattr(member, name)
    return hook
