"""What an open engine has, alone or through another process, and how the functions of applications are told to it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from ._app import App
from ._bridge import CoreError
from ._errors import ConfigError
from ._function import Function, flow_json
from ._processes.client import Asking, RemoteCore, Successor
from ._processes.link import Link
from ._processes.owner import Owner
from ._sending import Unheard


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._bridge import Core, Function as FunctionTuple
    from ._callers import Callers
    from ._flow import Backoff
    from ._processes.opening import Welcome

P = ParamSpec("P")
T = TypeVar("T")

_LOGGER: Final = logging.getLogger("durable")


class Session:
    """What an open engine has: its store, its loop, its worker; and who lets other processes in."""

    __slots__ = ("core", "is_owner", "loop", "owner", "reached", "worker")

    def __init__(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        worker: Callers,
        *,
        is_owner: bool = True,
    ) -> None:
        #: True where this process has the store.
        self.is_owner = is_owner
        self.core = core
        self.loop = loop
        self.worker = worker
        self.owner: Owner | None = None
        #: The process that has the store, where this one has not.
        self.reached: Welcome | None = None

    def has_given_up(self) -> bool:
        """True where the store was left to others, since the engine executes nothing any more."""
        return self.owner is not None and self.owner.has_given_up

    def share(
        self, store: str, functions: Mapping[str, object], *, is_needed: bool
    ) -> None:
        """Let other processes in.

        Args:
            store: where it is.
            functions: what is executed.
            is_needed: this process asks, too, of what it asked another: also where there is no place for a socket.
        """
        owner = Owner(self.core, self.worker, store=store, functions=functions)
        try:
            owner.open(is_needed=is_needed)
        except OSError as error:
            text = "the store %s: there is no place for a socket, so other processes cannot reach it: %s"
            _LOGGER.warning(text, store, error)
            self.owner = owner if is_needed else None
            return
        self.owner = owner
        _LOGGER.info("the store %s: this process (%d) owns it", store, os.getpid())

    async def leave(self, grace_s: float) -> None:
        """Take no more work, let what executes finish for so long, send other processes away, and close the store."""
        try:
            self._take_no_more()
            await self.worker.leave(grace_s)
            if self.owner is not None:
                await awaited_on_own_thread(self.loop, self.owner.close)
        finally:
            self.worker.close()
            await asyncio.shield(awaited_on_own_thread(self.loop, self.close_store))

    def _take_no_more(self) -> None:
        try:
            self.core.drain_executor()
        except CoreError as error:
            if error.kind != "closed":  # it was left to another process
                raise

    def close(self) -> None:
        """At once."""
        self.worker.close()
        self.close_store()

    def close_store(self) -> None:
        """Let nobody in any more, and close it. Blocks."""
        if self.owner is not None:
            self.owner.close()
        self.core.close()


def on_own_thread(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
    """Those of the loop may all be waiting for this, or for what it ends.

    The end of the process waits for no such thread: Ctrl-C in the moment of its start would leave one that
    `ThreadPoolExecutor` joins and never wakes.
    """
    called: Future[T] = Future()
    called.set_running_or_notify_cancel()

    def work() -> None:
        try:
            result = call(*args, **named)
        except BaseException as error:  # noqa: BLE001  # who waits is told
            called.set_exception(error)
        else:
            called.set_result(result)

    threading.Thread(target=work, name="durable-own", daemon=True).start()
    return called


def awaited_on_own_thread(
    loop: asyncio.AbstractEventLoop,
    call: Callable[P, T],
    *args: P.args,
    **named: P.kwargs,
) -> asyncio.Future[T]:
    """The same, for who awaits it on a loop."""
    return asyncio.wrap_future(on_own_thread(call, *args, **named), loop=loop)


def join_owner(  # noqa: PLR0917  # each is one thing that the engine has at hand
    welcome: Welcome,
    successor: Successor,
    loop: asyncio.AbstractEventLoop,
    functions: Mapping[str, Function[Any, Any]],
) -> Session:
    """What an engine has whose store another process has."""
    successor.look(welcome)
    link = Link(welcome, successor.find)
    remote = RemoteCore(link)
    worker = Asking(remote, loop, Unheard(functions.values()))
    link.open()
    session = Session(cast("Core", remote), loop, worker, is_owner=False)
    session.reached = welcome
    return session


def register(
    core: Core, apps: tuple[App, ...], backoff: Backoff
) -> dict[int, Function[Any, Any]]:
    """Say what the applications' functions are now; for each number of the engine's its function.

    `backoff` is that of functions that have none of their own.
    """
    numbers: dict[int, Function[Any, Any]] = {}
    for app in apps:
        functions = list(app.functions.values())
        described = [_describe(function, backoff) for function in functions]
        given = core.register(app.name, described)
        numbers.update(zip(given, functions, strict=True))
    return numbers


def _describe(function: Function[Any, Any], backoff: Backoff) -> FunctionTuple:
    retries = function.retries
    own = retries.backoff or backoff
    return (
        function.id,
        list(function.triggers),
        retries.count,
        list(own.delays_ms),
        own.jitter_ms,
        flow_json(function),
    )


def read_apps(apps: tuple[App, ...]) -> dict[str, Function[Any, Any]]:
    """All functions by their ids.

    Raises:
        ConfigError: two apps have one name, or two functions one id.
    """
    functions: dict[str, Function[Any, Any]] = {}
    names: set[str] = set()
    for app in apps:
        if not isinstance(cast("object", app), App):
            text = f"Engine: {app!r} is no App: Engine(app, store=...)"
            raise ConfigError(text)
        if app.name in names:
            text = f"Engine: two apps have the name '{app.name}'"
            raise ConfigError(text)
        names.add(app.name)
        for function in app.functions.values():
            if function.id in functions:
                text = f"Engine: two apps have a function '{function.id}': choose another id"
                raise ConfigError(text)
            functions[function.id] = function
    return functions
