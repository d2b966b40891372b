"""What an open engine has, and how the functions of applications are told to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ._app import App
from ._errors import ConfigError
from ._function import Function, flow_json


if TYPE_CHECKING:
    import asyncio

    from ._bridge import Core, Function as FunctionTuple
    from ._flow import Backoff
    from ._worker import Worker


class Session:
    """What an open engine has: its store, its loop, its worker."""

    __slots__ = ("core", "loop", "worker")

    def __init__(
        self, core: Core, loop: asyncio.AbstractEventLoop, worker: Worker
    ) -> None:
        self.core = core
        self.loop = loop
        self.worker = worker


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
