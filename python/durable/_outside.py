"""Sees what a handler asks of the world between its steps: time, chance, new ids. For `replay="always"`.

What such a call gives differs whenever the handler is called again, which is what a restart does. A profile function looks at
each call while the handler's own code executes, so that it does not matter how the name was imported.
"""

# ruff: noqa: TID251  # these are looked for, not called

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import inspect
import os
import random
import secrets
import sys
import sysconfig
import time
import uuid
from collections.abc import Coroutine, Generator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from ._errors import OWN, NonDeterminismError
from ._layers import ThreadTell, tell, tell_quietly
from ._step import CURRENT_STEP


if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from ._function import Function


_NOW: Final = "{step}('now', time.time)"
_CHANCE: Final = "{step}('chance', {name}, ...)"
_BYTES: Final = "{step}('chance', lambda: {name}(...).hex())"
_ID: Final = "{step}('id', lambda: str({name}()))"
_DATE: Final = "datetime.fromtimestamp({step}('now', time.time), UTC)"

#: Built-in functions, each with its name and what to write in its place.
_BUILT_IN: Final[dict[object, tuple[str, str]]] = {
    time.time: ("time.time", _NOW),
    time.time_ns: ("time.time_ns", "{step}('now', time.time_ns)"),
    dt.datetime.now: ("datetime.now", _DATE),
    dt.datetime.utcnow: ("datetime.utcnow", _DATE),  # type: ignore[deprecated]  # looked for, not called
    dt.datetime.today: ("datetime.today", _DATE),
    dt.date.today: ("date.today", f"{_DATE}.date()"),
    random.random: ("random.random", "{step}('chance', random.random)"),
    random.getrandbits: ("random.getrandbits", _CHANCE),
    os.urandom: ("os.urandom", _BYTES),
}
#: Those that are written in Python, by their code.
_WRITTEN: Final[dict[CodeType, tuple[str, str]]] = {
    uuid.uuid1.__code__: ("uuid.uuid1", _ID),
    uuid.uuid4.__code__: ("uuid.uuid4", _ID),
    secrets.token_bytes.__code__: ("secrets.token_bytes", _BYTES),
    secrets.token_hex.__code__: ("secrets.token_hex", _CHANCE),
    secrets.token_urlsafe.__code__: ("secrets.token_urlsafe", _CHANCE),
    secrets.randbelow.__code__: ("secrets.randbelow", _CHANCE),
}
#: The methods of whatever gives chance; of those, one that a user has seeded gives the same each time.
_DRAWS: Final[dict[CodeType, tuple[str, str]]] = {
    drawn.__func__.__code__: (f"random.{name}", _CHANCE)
    for name in random.__all__
    if inspect.ismethod(drawn := getattr(random, name))
}
#: What the module's functions draw from.
_SHARED: Final[object] = getattr(random.random, "__self__", None)

_SENDS: Final = "{steps}.send_event('send', event)"
_SIGNALS: Final = "{step}('signal', engine.signal, name, data)"
_PUBLISHES: Final = "{ctx}.publish(channel, topic, data)"
#: Our own that do what a step has to do, by their qualified names.
_OWN_DONE: Final[dict[str, tuple[str, str]]] = {
    "Engine.send": ("engine.send", _SENDS),
    "TestEngine.send": ("engine.send", _SENDS),
    "App.send": ("app.send", _SENDS),
    "Engine.send_sync": ("engine.send_sync", _SENDS),
    "Invoking.invoke": ("engine.invoke", "{steps}.invoke('invoke', function, data)"),
    "Engine.signal": ("engine.signal", _SIGNALS),
    "TestEngine.signal": ("engine.signal", _SIGNALS),
    "Realtime.publish": ("engine.publish", _PUBLISHES),
    "Realtime.publish_sync": ("engine.publish_sync", _PUBLISHES),
}

_OF_OURS: Final = ("engine.", "app.")

_SLEEP: Final = "asyncio.sleep"
_SLEEPING: Final[CodeType] = asyncio.sleep.__code__
_TAKES_AS_LONG: Final = "then sleeps as long again. Sleep as a step"
_DOES_AGAIN: Final = "does so again. Have a step do it"
_IS_GIVEN_ANOTHER: Final = "is then given something else. Put it into a step"

#: What calls the hooks of middleware.
_TELLING: Final = frozenset(
    {tell.__code__, ThreadTell.__call__.__code__, tell_quietly.__code__}
)

_LIBRARIES: Final = tuple(
    path + os.sep
    for name, path in sysconfig.get_paths().items()
    if name in {"stdlib", "platstdlib", "purelib", "platlib"}
)


@lru_cache(maxsize=4096)
def is_of_user(file: str, module: str, home: str) -> bool:
    """True for code that is neither ours nor a library's; `home`: a package that counts as the user's wherever it is."""
    if file.startswith((OWN, "<")):
        return False
    return module.partition(".")[0] == home or not file.startswith(_LIBRARIES)


class Outlook:
    """Looks at what one call of a handler asks of the world."""

    __slots__ = ("_found", "_function", "_home")

    def __init__(self, function: Function[Any, Any]) -> None:
        self._function = function
        self._home = str(getattr(function.handler, "__module__", "")).partition(".")[0]
        self._found: NonDeterminismError | None = None

    def call(self, code: Callable[..., Any], *args: Any) -> Any:
        """Call this code of the handler's.

        Raises:
            NonDeterminismError: it has asked for what differs each time, whatever it made of that.
        """
        if sys.getprofile() is not None:  # somebody measures
            return code(*args)
        sys.setprofile(self._look)
        try:
            return code(*args)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if self._found is None or error is self._found:
                raise
            raise self._found from error
        finally:
            sys.setprofile(None)

    def check(self) -> None:
        """Raise what was found, if anything was and the code has made nothing of it."""
        if self._found is not None:
            raise self._found

    def _look(self, frame: FrameType, event: str, called: Any) -> None:
        caller: FrameType | None = frame
        if event == "c_call":
            known = _BUILT_IN.get(called)
        elif event == "call":
            code = frame.f_code
            known = _WRITTEN.get(code) or _drawn(frame) or _slept(frame) or _done(code)
            caller = frame.f_back
        else:
            return
        if known is None or caller is None or CURRENT_STEP.get() is not None:
            return
        module = caller.f_globals.get("__name__", "")
        is_seen = is_of_user(caller.f_code.co_filename, module, self._home)
        if is_seen and not _is_in_hook(caller):
            self._found = self._error(caller, known)
            raise self._found

    def _error(self, at: FrameType, known: tuple[str, str]) -> NonDeterminismError:
        name, remedy = known
        step = "await ctx.step.run" if self._function.is_async else "ctx.step.run"
        instead = remedy.format(
            name=name,
            step=step,
            steps=step.removesuffix(".run"),
            ctx=step.removesuffix(".step.run"),
        )
        what_follows = _TAKES_AS_LONG if name == _SLEEP else _IS_GIVEN_ANOTHER
        if name.startswith(_OF_OURS):
            what_follows = _DOES_AGAIN
        text = (
            f"function '{self._function.id}' calls {name}() between steps ({at.f_code.co_filename}:{at.f_lineno}): the "
            f"handler is called again after a restart, and {what_follows}, which is remembered: {instead}"
        )
        return NonDeterminismError(text)


def _done(code: CodeType) -> tuple[str, str] | None:
    """What the engine is told to do: told again, it does it again."""
    known = _OWN_DONE.get(code.co_qualname)
    return known if known and code.co_filename.startswith(OWN) else None


def _slept(frame: FrameType) -> tuple[str, str] | None:
    """Time that passes between steps; a turn for others takes none."""
    if frame.f_code is not _SLEEPING:
        return None
    delay: Any = frame.f_locals.get("delay")
    is_turn = isinstance(delay, int | float) and delay <= 0
    return None if is_turn else (_SLEEP, f"await ctx.step.sleep('rest', {delay!r})")


def _drawn(frame: FrameType) -> tuple[str, str] | None:
    known = _DRAWS.get(frame.f_code)
    if known is None:
        return None
    source = frame.f_locals.get("self")
    is_shared = source is _SHARED or isinstance(source, random.SystemRandom)
    return known if is_shared else None


def _is_in_hook(frame: FrameType | None) -> bool:
    """True for the code of middleware, which is around the handler's: it may ask for what differs."""
    while frame is not None:
        if frame.f_code in _TELLING:
            return True
        frame = frame.f_back
    return False


class WatchedCoroutine(Coroutine[Any, Any, Any]):
    """A handler's coroutine that is looked at while it executes."""

    __slots__ = ("_inner", "_outlook")

    def __init__(
        self, function: Function[Any, Any], inner: Coroutine[Any, Any, Any]
    ) -> None:
        self._inner = inner
        self._outlook = Outlook(function)

    @property
    def cr_frame(self) -> FrameType | None:
        """Where it stands."""
        return getattr(self._inner, "cr_frame", None)

    @property
    def cr_await(self) -> object:
        """What it awaits."""
        return getattr(self._inner, "cr_await", None)

    @override
    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    @override
    def send(self, value: Any, /) -> Any:
        """Go on."""
        return self._go(self._inner.send, value)

    @override
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Go on with an exception."""
        del val, tb
        return self._go(self._inner.throw, typ)

    def _go(self, code: Callable[..., Any], given: Any) -> Any:
        yielded = self._outlook.call(code, given)
        try:
            self._outlook.check()
        except NonDeterminismError:
            with contextlib.suppress(RuntimeError):  # it awaits in a `finally`
                self._inner.close()
            raise
        return yielded

    @override
    def close(self) -> None:
        """Give up."""
        self._inner.close()


def watched(
    function: Function[Any, Any], code: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """A plain handler, or what calls it, that is looked at while it executes."""

    def handle(given: Any) -> Any:
        outlook = Outlook(function)
        value = outlook.call(code, given)
        outlook.check()
        return value

    return handle
