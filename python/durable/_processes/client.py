"""What an engine has in the place of a store that another process has open: the same calls, asked of that one.

When the owner is gone, it opens the store itself or finds who has, whichever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import threading
import time
import uuid
import weakref
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import override

from .._bridge import (
    ACCEPTED,
    ENDED,
    IDLE,
    PUBLISHED,
    REFUSED,
    SIGNALLED,
    STARTED,
    STIRRED as STIRRED_ITEM,
    Core,
    CoreError,
    public_error,
)
from .._callers import Callers, refuse
from .._errors import EngineClosed
from .._sending import Unheard
from .asked import (
    ASK,
    CLIENT_SOURCE,
    ERROR,
    JOIN,
    LISTEN,
    ONCE,
    PAGED,
    PUBLISH,
    REPEATABLE,
    SEND,
    STIRRED,
    VALUE,
    WATCH,
)
from .link import Link, Question
from .opening import Unreachable, Welcome, greet, greet_on


if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

_LOGGER: Final = logging.getLogger("durable")
#: So long an answer may take, s; also while nobody owns the store.
ANSWER_S: Final = 30.0
#: The same of a call that holds up an event loop, as `engine.stats()`: the loop may be needed to take over.
PROMPT_S: Final = 5.0
#: So long an owner is looked for quickly.
SEARCH_S: Final = 30.0
_LATER_S: Final = 5.0
_PAUSE_S: Final = 0.05
_LONG_PAUSE_S: Final = 0.5
#: Who has no functions leaves the store to others for so long.
_MODESTY_S: Final = 2.0
_SIGN_S: Final = 1.0
#: What a page has where nobody says it, as in `Core`.
_PAGE: Final = 50

#: What is asked failed, for a run that is watched or a channel: run or channel, kind, text.
WATCH_FAILED: Final = -1
LISTEN_FAILED: Final = -2


class Successor:
    """Finds who owns the store next: another process, or this one."""

    def __init__(
        self, store: str, loop: asyncio.AbstractEventLoop, functions: Iterable[str]
    ) -> None:
        self._store = store
        self._loop = loop
        self._functions = frozenset(functions)
        self._open_core: Callable[[], Core] | None = None
        self._take_over: weakref.WeakMethod[Any] | None = None
        self._connect: Callable[[], socket.socket] | None = None
        self._context = contextvars.copy_context()
        self._said = ""

    def may_take_over(
        self, open_core: Callable[[], Core], take_over: Callable[..., None]
    ) -> None:
        """This process may own the store.

        Args:
            open_core: opens it.
            take_over: a method, called on the engine's loop with the open store and the future that is told of it: what
                makes a connection to the store's owner in this process, or `None` where it was not taken over.
        """
        self._open_core = open_core
        self._take_over = weakref.WeakMethod(take_over)

    def find(self, stopped: threading.Event) -> Welcome | None:
        """A connection to the owner; `None` once it is stopped, or the engine that took the store over has ended. Blocks."""
        if self._connect is not None:
            return None if stopped.is_set() else self._reach_own(self._connect)
        began_at = time.monotonic()
        while not stopped.is_set() and not self._loop.is_closed():
            try:
                welcome = greet(self._store)
            except Unreachable as error:
                self._say(str(error))
            else:
                self.look(welcome)
                return welcome
            passed_s = time.monotonic() - began_at
            is_modest = not self._functions and passed_s < _MODESTY_S
            core = None if is_modest else self._try_to_open()
            if core is None:
                stopped.wait(_PAUSE_S if passed_s < SEARCH_S else _LONG_PAUSE_S)
                continue
            self._connect = self._hand_over(core, stopped)
            if self._connect is not None:
                return self._reach_own(self._connect)
            stopped.wait(_SIGN_S)
        return None

    def _reach_own(self, connect: Callable[[], socket.socket]) -> Welcome | None:
        """What was asked of another goes on in this process, whether or not others can reach it."""
        try:
            return greet_on(connect())
        except (OSError, Unreachable) as error:
            self._say(str(error))
            return None

    def look(self, welcome: Welcome) -> None:
        """Say who owns the store, and which functions of ours it has not."""
        if welcome.pid == os.getpid():
            return
        _LOGGER.info(
            "the store %s: process %d owns it and executes functions; this one (%d) reaches it through that one",
            self._store,
            welcome.pid,
            os.getpid(),
        )
        missing = sorted(self._functions - welcome.functions)
        if missing:
            text = (
                "the store %s: process %d, which owns it, does not have all functions of this one (%d): %s. Their runs "
                "wait, and events start them not, until a process that has them owns the store: when the older "
                "processes have ended, where this one is newer"
            )
            named = ", ".join(f"'{name}'" for name in missing)
            _LOGGER.warning(text, self._store, welcome.pid, os.getpid(), named)

    def _try_to_open(self) -> Core | None:
        """The store, where nobody has it. Whoever has a loop that does not turn leaves it to the others."""
        if self._open_core is None or not self._has_sign():
            return None
        try:
            return self._open_core()
        except CoreError as error:
            if error.kind != "locked":
                self._say(error.text, logging.ERROR)
            return None

    def _has_sign(self) -> bool:
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:
            return False
        return turned.wait(_SIGN_S)

    def _hand_over(
        self, core: Core, stopped: threading.Event
    ) -> Callable[[], socket.socket] | None:
        taken: Future[Callable[[], socket.socket] | None] = Future()
        if stopped.is_set() or not self._tell_engine(core, taken):
            core.close()
            return None
        while not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                return taken.result(_PAUSE_S)
        return None  # the engine closes it

    def _tell_engine(self, core: Core, taken: Future[Any]) -> bool:
        """False where the engine is gone, or its loop."""
        take_over = None if self._take_over is None else self._take_over()
        if take_over is None:
            return False
        tell = self._loop.call_soon_threadsafe
        try:
            tell(take_over, core, taken, context=self._context)
        except RuntimeError:
            return False
        return True

    def _say(self, why: str, level: int = logging.DEBUG) -> None:
        if why != self._said:
            self._said = why
            text = "the store %s: its owner is looked for: %s"
            _LOGGER.log(level, text, self._store, why)


class RemoteCore:
    """The part of `Core` that an engine needs of a store which another process has open."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._source = CLIENT_SOURCE + uuid.uuid4().hex
        self._position = 0
        self._sending = threading.Lock()
        self.watched: dict[str, Question] = {}
        self.joined: dict[int, Question] = {}
        self._subscribed: dict[str, Question] = {}
        self.notices: list[str] = []
        #: Called on the link's thread with an item as `drain` gives it.
        self.tell: Callable[[tuple[Any, ...]], None] = lambda _: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in PAGED:
            return partial(self._read_page, name)
        if name in REPEATABLE or name in ONCE or name == PUBLISH:
            return partial(self._request, name)
        raise AttributeError(name)

    # --- calls that block

    def _request(self, name: str, /, *args: Any, **named: Any) -> Any:
        answer: Future[Any] = Future()
        limit_s = PROMPT_S if _is_on_loop() else ANSWER_S
        question = Question(name, args, named, partial(_settle, answer), limit_s)
        self._link.ask(question)
        return _result_of(answer, limit_s)

    def _read_page(self, name: str, /, **named: Any) -> tuple[list[Any], str | None]:
        """A page; what is too large for one answer is asked for in several."""
        rows: list[Any] = []
        wanted = most = int(named.pop("limit", _PAGE))
        while True:
            limit = min(most, wanted - len(rows))
            try:
                more, cursor = self._request(name, limit=limit, **named)
            except CoreError as error:
                if error.kind != "too_large" or limit <= 1:
                    raise
                most = limit // 2
                continue
            rows += more
            if cursor is None or len(more) < limit or len(rows) >= wanted:
                return rows, cursor
            named["cursor"] = cursor

    def send_wait(
        self, events: Sequence[Any], source: tuple[str, int] | None = None
    ) -> list[str]:
        """Have these accepted, all or none."""
        answer: Future[list[str]] = Future()
        self._send(events, source, partial(_settle, answer))
        ids: list[str] = _result_of(answer, ANSWER_S)
        return ids

    def advance(self, ticket: int, length_ms: int) -> None:
        """Only the owner moves its clock."""
        del ticket, length_ms
        kind = "invalid"
        text = "the clock of a store is moved by the process that owns it alone"
        raise CoreError(kind, text)

    def drain_executor(self) -> None:
        """The owner executes, and goes on."""

    def close(self) -> None:
        """Leave the owner."""
        self._link.close()

    # --- calls that are answered with items

    def submit(self, sends: Sequence[Any], calls: Sequence[Any]) -> None:
        """Hand over a pass's sends and then its calls."""
        for ticket, events, source in sends:
            self._try(ticket, self._send, events, source, self._told(ticket, ACCEPTED))
        for ticket, name, data, is_signal in calls:
            kind = SIGNALLED if is_signal else STARTED
            args = (name, data, is_signal)
            self._try(ticket, self._ask, ASK, args, self._told(ticket, kind))

    def publish(self, ticket: int, channel: str, topic: str, data: bytes) -> None:  # noqa: PLR0917  # as the core's
        """Publish a message."""
        told = self._told(ticket, PUBLISHED)
        self._ask(PUBLISH, (channel, topic, data), told)

    def join(self, ticket: int) -> None:
        """Ask for `Idle`."""
        told = self._told(ticket, IDLE)
        self.joined[ticket] = self._ask(JOIN, (), told, limit_s=None)

    def unjoin(self, ticket: int) -> None:
        """Nobody waits under this ticket any more."""
        self._drop(self.joined.pop(ticket, None))

    def watch(self, runs: Sequence[str]) -> None:
        """Ask for the end of each of these."""
        for run in runs:

            def told(kind: str, value: Any, run: str = run) -> None:
                ended = (ENDED, run, *value)
                self.tell(ended if kind == VALUE else (WATCH_FAILED, run, *value))

            self.watched[run] = self._ask(WATCH, (run,), told, limit_s=None)

    def unwatch(self, runs: Sequence[str]) -> None:
        """No longer."""
        for run in runs:
            self._drop(self.watched.pop(run, None))

    def subscribe(self, channel: str) -> None:
        """Ask for `Stirred` now, whenever there is something new, and when another owns the store."""

        def told(kind: str, value: Any) -> None:
            if kind == STIRRED:
                self.tell((STIRRED_ITEM, channel))
            elif kind == ERROR:
                self.tell((LISTEN_FAILED, channel, *value))

        asked = self._ask(LISTEN, (channel,), told, limit_s=None)
        self._subscribed[channel] = asked

    def unsubscribe(self, channel: str) -> None:
        """No longer."""
        self._drop(self._subscribed.pop(channel, None))

    def _ask(
        self,
        name: str,
        args: tuple[Any, ...],
        told: Callable[[str, Any], None],
        *,
        limit_s: float | None = ANSWER_S,
    ) -> Question:
        return self._link.ask(Question(name, args, {}, told, limit_s))

    def _send(
        self,
        events: Sequence[Any],
        source: tuple[str, int] | None,
        told: Callable[[str, Any], None],
    ) -> None:
        """A batch without a source counts once by ours: its positions rise as they are asked."""
        with self._sending:
            if source is None:
                self._position += 1
                source = (self._source, self._position)
            self._ask(SEND, (list(events), source, None), told)

    def _told(self, ticket: int, item: int) -> Callable[[str, Any], None]:
        def told(kind: str, value: Any) -> None:
            if kind != VALUE:
                self.tell((REFUSED, ticket, *value))
            elif item == STARTED:
                self.tell((item, ticket, *value))
            else:
                self.tell((item, ticket, value))

        return told

    def _try(self, ticket: int, ask: Callable[..., Any], *args: Any) -> None:
        """What cannot be asked is told as what is refused: the caller waits for its ticket."""
        try:
            ask(*args)
        except CoreError as error:
            self.tell((REFUSED, ticket, error.kind, error.text))

    def _drop(self, question: Question | None) -> None:
        if question is not None:
            self._link.cancel(question)


class Asking(Callers):
    """All who wait for an answer of another process's engine, on one loop."""

    def __init__(
        self, core: RemoteCore, loop: asyncio.AbstractEventLoop, unheard: Unheard
    ) -> None:
        super().__init__(cast("Core", core), loop, unheard)
        self._remote = core
        self._is_due = False
        self._takers: dict[int, Callable[[Any], None]] = {
            ACCEPTED: self._take_answer,
            REFUSED: self._take_refusal,
            STARTED: self._take_start,
            SIGNALLED: self._take_answer,
            PUBLISHED: self._take_answer,
            IDLE: self._take_idle,
            ENDED: self._take_end,
            STIRRED_ITEM: self._take_stir,
            WATCH_FAILED: self._take_no_end,
            LISTEN_FAILED: self._take_no_stir,
        }
        core.tell = self._hear

    @override
    async def leave(self, grace_s: float) -> None:
        self._hand_over()

    @override
    def close(self) -> None:
        text = "the engine was closed before it answered; what it had acknowledged is on disk"
        self._fail_callers(EngineClosed(text))

    @override
    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_due = False
        while self._requests:
            sends, calls = self._requests.popleft()
            self._remote.submit(sends, calls)

    def _hear(self, item: tuple[Any, ...]) -> None:
        """On the link's thread, or on the loop's."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._take, item)

    def _take(self, item: tuple[Any, ...]) -> None:
        self._takers[item[0]](item)

    @override
    def _take_idle(self, item: Any) -> None:
        self._remote.joined.pop(item[1], None)
        super()._take_idle(item)

    @override
    def _take_refusal(self, item: Any) -> None:
        self._remote.joined.pop(item[1], None)
        super()._take_refusal(item)

    @override
    def _take_end(self, item: Any) -> None:
        self._remote.watched.pop(item[1], None)
        super()._take_end(item)

    def _take_no_end(self, item: Any) -> None:
        _, run_id, kind, text = item
        self._remote.watched.pop(run_id, None)
        for future in self._watched.pop(run_id, ()):
            refuse(future, public_error(kind, text))

    def _take_no_stir(self, item: Any) -> None:
        _, channel, kind, text = item
        for listener in self._listeners.get(channel, ()):
            listener.tell(public_error(kind, text))


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _settle(answer: Future[Any], kind: str, value: Any) -> None:
    if kind == VALUE:
        answer.set_result(value)
    else:
        answer.set_exception(CoreError(*value))


def _result_of(answer: Future[Any], limit_s: float) -> Any:
    try:
        return answer.result(limit_s + _LATER_S)
    except TimeoutError:
        kind, text = "unanswered", f"no answer came within {limit_s:g} s; ask again"
        raise CoreError(kind, text) from None
