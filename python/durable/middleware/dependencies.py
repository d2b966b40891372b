"""`Dependencies`: gives handlers what they ask for by `Depends`, and shares what is to be shared."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import typing_extensions  # its `override` would be hidden by our method of that name

from .._depends import find_depends
from .._errors import ConfigError
from .._middleware import Input, Middleware


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")

_SHARED: Final = "a shared one is there for all runs, so it has no run's context"


@dataclass(slots=True)
class _Scope:
    """Where values are kept, and who closes them."""

    enter: Any
    context: Any = None
    values: dict[Any, Any] = field(default_factory=dict[Any, Any])
    is_shared: bool = False


class Dependencies(Middleware):
    """Gives handlers what their parameters ask for: `client: Annotated[Client, Depends(get_client)]`.

    Each function is called once for a call of the handler, also where several ask for it, and again when the handler is
    called again (after a restart, a retry, or a wait that outlived its live code). A generator is closed when that call
    ends. Shared ones are called once, when first asked for, and closed with the engine.

    Args:
        shared: functions whose value is shared by all runs, as pools of connections are.
        overrides: for tests: what is called in whose place. May be changed while the engine is open; for what is
            shared, before it is first asked for.
    """

    gives_arguments: ClassVar[bool] = True

    def __init__(
        self,
        shared: Iterable[Callable[..., Any]] = (),
        *,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
    ) -> None:
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {
            **(overrides or {})
        }
        self._shared: set[Any] = {*shared}
        self._open: _Scope | None = None
        self._lock: asyncio.Lock | None = None

    def shared(self, function: FunctionT) -> FunctionT:
        """Have what this function gives shared by all runs: a decorator."""
        self._shared.add(function)
        return function

    @contextmanager
    def override(
        self, function: Callable[..., Any], by: Callable[..., Any]
    ) -> Generator[None]:
        """Have another called in the place of a function, for a test.

        Raises:
            ConfigError: one of them is no function.
        """
        _check_override(function, by)
        before = self.overrides.get(function)
        self.overrides[function] = by
        try:
            yield
        finally:
            if before is None:
                del self.overrides[function]
            else:
                self.overrides[function] = before

    @typing_extensions.override
    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Close what is shared with the engine."""
        async with AsyncExitStack() as stack:
            self._open = _Scope(stack.enter_async_context, is_shared=True)
            self._lock = asyncio.Lock()
            try:
                yield
            finally:
                self._open = None

    @typing_extensions.override
    async def transform_input(self, given: Input) -> None:
        """Resolve what the handler asks for."""
        if given.kind == "events" and given.handler is not None:
            scope = _Scope(given.enter, given.context)
            for name, wanted in find_depends(given.handler).items():
                given.arguments[name] = await self._give(wanted.function, scope, ())

    async def _give(
        self, function: Callable[..., Any], scope: _Scope, path: tuple[Any, ...]
    ) -> Any:
        if function in path:
            names = " -> ".join(_name(one) for one in (*path, function))
            text = f"Dependencies: {names}: it depends on itself"
            raise ConfigError(text)
        if function in self._shared and not scope.is_shared:
            return await self._give_shared(function, path)
        if function not in scope.values:
            scope.values[function] = await self._make(function, scope, path)
        return scope.values[function]

    async def _give_shared(
        self, function: Callable[..., Any], path: tuple[Any, ...]
    ) -> Any:
        if self._open is None or self._lock is None:
            text = f"Dependencies: {_name(function)} is shared, and no engine is open"
            raise ConfigError(text)
        if function in self._open.values:
            return self._open.values[function]
        async with self._lock:
            return await self._give(function, self._open, path)

    async def _make(
        self, function: Callable[..., Any], scope: _Scope, path: tuple[Any, ...]
    ) -> Any:
        called = self.overrides.get(function, function)
        arguments: dict[str, Any] = {}
        for name, wanted in find_depends(called).items():
            inner = (*path, function)
            arguments[name] = await self._give(wanted.function, scope, inner)
        given = _context_for(called, arguments, scope)
        if inspect.isasyncgenfunction(called):
            return await scope.enter(asynccontextmanager(called)(*given, **arguments))
        if inspect.isgeneratorfunction(called):
            return await scope.enter(_plain(contextmanager(called), given, arguments))
        value = called(*given, **arguments)
        return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def _plain(
    manager: Any, given: tuple[Any, ...], arguments: dict[str, Any]
) -> AsyncGenerator[Any]:
    with manager(*given, **arguments) as value:
        yield value


def _context_for(
    function: Callable[..., Any], arguments: dict[str, Any], scope: _Scope
) -> tuple[Any, ...]:
    """The handler's context, where the function's first parameter asks for nothing else."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):  # some that are built in have none
        return ()
    is_wanted = (
        first is not None
        and first.name not in arguments
        and first.default is first.empty
        and first.kind in {first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD}
    )
    if not is_wanted:
        return ()
    if scope.is_shared:
        text = f"Dependencies: {_name(function)} asks for a context: {_SHARED}"
        raise ConfigError(text)
    return (scope.context,)


def _check_override(function: object, by: object) -> None:
    if not callable(function):
        text = (
            f"Dependencies: override({function!r}, ...): it is no function: give the one that Depends has, as in "
            "override(get_client, FakeClient)"
        )
        raise ConfigError(text)
    if not callable(by):
        text = (
            f"Dependencies: override({_name(function)}, {by!r:.200}): what is called in its place is a function: "
            "write lambda: ..."
        )
        raise ConfigError(text)


def _name(function: object) -> str:
    return getattr(function, "__name__", repr(function))
