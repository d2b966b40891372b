"""An application: the functions that belong together, and the door through which it sends events."""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
import warnings
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Never,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from typing_extensions import override

from ._annotated import line_of
from ._checkpointing import Checkpointing
from ._cron import Cron
from ._errors import LATE_FUNCTION, OWN, ConfigError, EngineClosed, UsageError
from ._events import Event, EventType, On
from ._flow import (
    DEFAULT_RETRIES,
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Retries,
    Singleton,
    Throttle,
    Timeouts,
)
from ._flow_check import Flow
from ._function import Function, flow_json
from ._layers import Stack, read_stack
from ._middleware import Middleware
from ._setting import Place


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from types import CodeType, FrameType

    from ._context import Context, SyncContext

    FailureHandler = (
        Callable[[Context[Any]], Awaitable[object]]
        | Callable[[SyncContext[Any]], object]
    )

DataT = TypeVar("DataT")
P = ParamSpec("P")
ResultT = TypeVar("ResultT")

_LOGGER: Final = logging.getLogger("durable")

Trigger = EventType[Any] | On[Any] | Cron | str


class _Decorator(Protocol):
    """Turns a handler into a `Function`, keeping what it takes and returns."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[Context[DataT], P], Awaitable[ResultT]], /
    ) -> Function[
        Callable[Concatenate[Context[DataT], P], Awaitable[ResultT]], ResultT
    ]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[SyncContext[DataT], P], ResultT], /
    ) -> Function[Callable[Concatenate[SyncContext[DataT], P], ResultT], ResultT]: ...


class Sender(Protocol):
    """The engine, as an application sees it."""

    async def send(self, *events: Event[Any] | Iterable[Event[Any]]) -> list[str]:
        """Have events accepted."""
        ...

    def is_open(self) -> bool:
        """True until it is closed, or its loop is."""
        ...


class App:
    """The functions that belong together. Its name must be unique in a store.

    Args:
        name: its name.
        middleware: what stands between the engine and the code of all its functions, the first outermost.

    Raises:
        ConfigError: the name is empty, or something is no middleware.
    """

    def __init__(
        self, name: str, *, middleware: Sequence[Middleware] | None = None
    ) -> None:
        if not name:
            text = "App: name='' is empty\n  accepted: a text, as in App('shop')"
            raise ConfigError(text)
        self.name = name
        self.stack: Stack = read_stack(f"app '{name}'", middleware)
        self.functions: dict[str, Function[Any, Any]] = {}
        self._engine: Sender | None = None
        #: Where each function was registered, until an engine opens: a loop does it again in the same place.
        self._made_in: dict[str, FrameType | None] = {}

    def function(  # settings, all by name  # noqa: PLR0913
        self,
        id: str | None = None,  # the word users know  # noqa: A002  # the word users know
        *,
        on: Trigger | list[Trigger] | None = None,
        retries: int | Retries = DEFAULT_RETRIES,
        concurrency: int | Concurrency | Sequence[int | Concurrency] | None = None,
        run_concurrency: int | Concurrency | None = None,
        throttle: Throttle | None = None,
        rate_limit: RateLimit | None = None,
        debounce: Debounce | None = None,
        batch: Batch | None = None,
        priority: Priority | None = None,
        singleton: Singleton | None = None,
        idempotency: str | None = None,
        timeouts: Timeouts | None = None,
        cancel_on: CancelOn | Sequence[CancelOn] | None = None,
        on_failure: FailureHandler | None = None,
        checkpointing: Checkpointing | None = None,
        middleware: Sequence[Middleware] | None = None,
        **unknown: Never,
    ) -> _Decorator:
        """Makes a durable function of an `async def` or a plain `def`.

        Args:
            id: unique in the store; the function's name by default.
            on: what starts it: an event's type or name, `On`, `Cron`, or a list of up to ten; absent: only `invoke`.
            retries: more tries for each step and each stretch of code between steps, 0 to 20.
            concurrency: how much of its code and steps executes at one instant; at most two limits.
            run_concurrency: how many of its runs may have begun and not ended at one instant.
            throttle: how many runs start in a period; the later ones wait.
            rate_limit: how many events are taken in a period; the others are dropped.
            debounce: one run for a burst of events, with the last of them.
            batch: one run for many events.
            priority: which of its runs go first.
            singleton: one run at a time, and what becomes of an event that comes meanwhile.
            idempotency: CEL over the event: for each of its values one event in 24 hours is taken.
            timeouts: when a run is cancelled.
            cancel_on: an event that cancels a run, or up to five.
            checkpointing: how many steps the handler may go on before their results are on disk; none by default.
            on_failure: called once for each failed run, as a run of its own, on `durable/function.failed`.
            middleware: what stands between the engine and its code, behind the application's.
            unknown: nothing; another name is refused.

        Raises:
            ConfigError: a setting is wrong, excludes another, or has another name, or the id is taken.
        """
        _check_id(id)
        flow = Flow(
            concurrency=concurrency,
            run_concurrency=run_concurrency,
            throttle=throttle,
            rate_limit=rate_limit,
            debounce=debounce,
            batch=batch,
            priority=priority,
            singleton=singleton,
            idempotency=idempotency,
            timeouts=timeouts,
            cancel_on=cancel_on,
        )
        settings: dict[str, Any] = {
            "on": on,
            "retries": retries,
            "flow": flow,
            "on_failure": on_failure,
            "checkpointing": checkpointing,
            "middleware": middleware,
        }
        return cast("_Decorator", partial(self._decorate, id, unknown, settings))

    def _decorate(  # noqa: PLR0917  # each is one thing its caller has at hand
        self,
        function_id: str | None,
        unknown: Mapping[str, object],
        settings: dict[str, Any],
        handler: Callable[..., Any],
    ) -> Function[Any, Any]:
        if unknown:
            raise _unknown_argument(handler, unknown)
        made: Function[Any, Any] = Function(
            handler, function_id, around=self.stack, **settings
        )
        self._add(made)
        _tell_of_event_as_id(made)
        return made

    def _add(self, function: Function[Any, Any]) -> None:
        known = self.functions.get(function.id)
        owner = self._owner_of(function.id)
        frame = _user_frame()
        is_again = frame is not None and self._made_in.get(function.id) is frame
        if known is not None and not owner and is_again and _is_lost(known, function):
            raise self._lost(known)
        self._made_in[function.id] = frame
        is_other = known and not _is_reloaded(known, function)
        if is_other or owner:
            raise self._exists_twice(function.id, known, function)
        on_failure = function.on_failure
        taken = on_failure and self.functions.get(on_failure.id)
        if taken and taken is not (known and known.on_failure):
            raise self._exists_twice(taken.id)
        if known is not None:
            text = f"function '{function.id}' was defined again: the new one counts"
            warnings.warn(text, stacklevel=4)
            if known.on_failure:
                self.functions.pop(known.on_failure.id, None)
        self.functions[function.id] = function
        if on_failure:
            self.functions[on_failure.id] = on_failure
        if self.has_engine:
            _LOGGER.warning(
                "function '%s' (%s) came after the engine on app '%s' was opened, which goes on with the functions that "
                "there were then: define it before `async with durable.Engine(app)`, or close the engine and open it again (%s)",
                function.id,
                line_of(function.handler),
                self.name,
                LATE_FUNCTION,
            )

    def _lost(self, known: Function[Any, Any]) -> ConfigError:
        name = getattr(known.handler, "__name__", "handler")
        text = (
            f"function '{known.id}' is made more than once by one `def` ({line_of(known.handler)}) in app '{self.name}': "
            f"all but the last would be lost. Give each an id of its own, as in @app.function(f'{name}-{{x}}', on=x), or "
            "one function all of the triggers, as in on=[a, b]"
        )
        return ConfigError(text)

    def _owner_of(self, function_id: str) -> str | None:
        """The function whose `on_failure` is registered under this id."""
        known = self.functions.values()
        return {f.on_failure.id: f.id for f in known if f.on_failure}.get(function_id)

    def _exists_twice(
        self, function_id: str, *both: Function[Any, Any] | None
    ) -> ConfigError:
        owner = self._owner_of(function_id)
        whose = f", as the on_failure of '{owner}'" if owner else ""
        lines = " and ".join(line_of(one.handler) for one in both if one is not None)
        where = f" ({lines})" if lines and not owner else ""
        text = f"function '{function_id}' exists twice in app '{self.name}'{whose}{where}: choose another id"
        return ConfigError(text)

    @property
    def has_engine(self) -> bool:
        """True while an engine is open on this application."""
        return self._engine is not None and self._engine.is_open()

    def use_engine(self, engine: Sender | None) -> None:
        """For the engine: it is open now, or no longer."""
        self._engine = engine
        self._made_in.clear()

    async def send(self, *events: Event[Any] | Iterable[Event[Any]]) -> list[str]:
        """As `Engine.send`, once an engine is open on this application."""
        if self._engine is None:
            text = f"app '{self.name}' has no open engine: use it inside `async with durable.Engine(app)`"
            raise EngineClosed(text)
        return await self._engine.send(*events)

    if not TYPE_CHECKING:  # checkers refuse it

        def __enter__(self) -> None:
            text = f"app '{self.name}' is not opened, an engine is: `async with durable.Engine(app) as engine`"
            raise UsageError(text)

        def __exit__(self, *_error: object) -> None: ...

        async def __aenter__(self) -> None:
            self.__enter__()

        async def __aexit__(self, *_error: object) -> None: ...

    @override
    def __repr__(self) -> str:
        return f"<durable app '{self.name}', {len(self.functions)} functions>"


def _check_id(given: object) -> None:
    """That what stands in the id's place is none of what is written elsewhere.

    Raises:
        ConfigError: it is.
    """
    if isinstance(given, EventType | On | Cron | list):
        text = f"{given!r} is no function's id, it is what starts one: write @app.function(on=...)"
        raise ConfigError(text)
    if callable(given):
        text = f"{given!r} is decorated without parentheses: write @app.function()"
        raise ConfigError(text)


def _tell_of_event_as_id(function: Function[Any, Any]) -> None:
    """Functions that nothing starts, with an id that looks like an event's name."""
    if "/" in function.id and not function.triggers and not function.crons:
        text = (
            f"function '{function.id}' has no `on`, and an id like an event's name: no event starts it. Write "
            f"@app.function(on='{function.id}') if that one is to; only `invoke` does as it is"
        )
        warnings.warn(text, stacklevel=3)


def _unknown_argument(handler: object, unknown: Mapping[str, object]) -> ConfigError:
    """What to tell of an argument that `@app.function` does not have."""
    known = list(inspect.signature(App.function).parameters)[1:-1]
    name, value = next(iter(unknown.items()))
    near = difflib.get_close_matches(name, known, 1)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    owner = f"function '{getattr(handler, '__name__', handler)}'"
    reason = f"is no argument of @app.function{meant}"
    return Place(owner, name).error(value, reason, ", ".join(known))


def _is_lost(known: Function[Any, Any], new: Function[Any, Any]) -> bool:
    """True where one `def` was executed again, as in a loop: its code is the same then, and not a newly compiled one."""
    old, now = known.handler, new.handler
    if old is now:
        return _settings_of(known) != _settings_of(new)
    return _code_of(old) is not None and _code_of(old) is _code_of(now)


def _user_frame() -> FrameType | None:
    """Where a function is being registered: the first frame that is not of this package."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the quick way
    while frame is not None and frame.f_code.co_filename.startswith(OWN):
        frame = frame.f_back
    return frame


def _settings_of(function: Function[Any, Any]) -> tuple[object, ...]:
    on_failure = function.on_failure and function.on_failure.handler
    middleware = function.stack.members
    return (
        function.triggers,
        function.retries,
        flow_json(function),
        function.checkpointing,
        on_failure,
        middleware,
    )


def _is_reloaded(known: Function[Any, Any], new: Function[Any, Any]) -> bool:
    """True where a module was imported again, as notebooks and reloaders do: two of one source text are two functions."""
    old, now = known.handler, new.handler
    names = (old.__module__, old.__qualname__)
    if names != (now.__module__, now.__qualname__):
        return False
    both = {id(_code_of(old)), id(_code_of(now))}
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # the quick way
    while frame is not None and len(both) > 1:
        if both <= {id(one) for one in frame.f_code.co_consts}:
            return False
        frame = frame.f_back
    return True


def _code_of(handler: Callable[..., Any]) -> CodeType | None:
    return getattr(inspect.unwrap(handler), "__code__", None)
