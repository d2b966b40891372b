"""Questions to the owner of a store, whoever that is at the moment: asked again of the next one where that does no harm.

A thread with an event loop of its own has the connection. What is asked comes from any thread, and who asked is told
on that thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .._bridge import CoreError
from .asked import ASK, BYE, DROP, ERROR, ONCE, PUBLISH, SEND, VALUE
from .frames import NOTHING, FrameError, FrameTooLarge, encode, members, read


if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from .opening import Welcome

_LOGGER: Final = logging.getLogger("durable")
#: So much earlier than it was sent an event may have come, ms: our clock is not the owner's.
_SLACK_MS: Final = 5_000
_JOIN_S: Final = 10.0
#: A connection that ended so soon is followed by the next only after a pause, which grows.
_SHORT_S: Final = 1.0
_PAUSE_S: Final = 0.05
_LONG_PAUSE_S: Final = 0.5
#: So long an owner has to take in what it was sent, once the connection ends.
_FLUSH_S: Final = 1.0

_CLOSED: Final = (
    "the engine was closed before it answered; what it had acknowledged is on disk"
)
_FORKED: Final = (
    "this engine was opened before a fork: its connection to the store's owner stayed with the parent; open the engine "
    "after the fork, in the child"
)


@dataclass(slots=True, eq=False)
class Question:
    """Something asked, until it is answered.

    Attributes:
        told: called with what the answer is and its value.
        limit_s: how long an answer may take; `None`: it may come at any time.
        is_sent: the owner at the other end has been sent it.
        since_ms: where it was sent to an owner that is gone, the moment of the first time by the engine's clock.
    """

    name: str
    args: tuple[Any, ...]
    named: Mapping[str, Any]
    told: Callable[[str, Any], None]
    limit_s: float | None
    ticket: int = 0
    frame: bytes = b""
    is_sent: bool = False
    since_ms: int | None = None
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def write(self) -> None:
        """Have it ready to be sent.

        Raises:
            CoreError: it is too large, or more than data.
        """
        try:
            self.frame = encode((self.ticket, self.name, self.args, dict(self.named)))
        except FrameTooLarge as error:
            kind, text = "too_large", f"what is sent has {error}: send it in several"
            raise CoreError(kind, text) from None
        except FrameError as error:
            kind = "invalid"
            raise CoreError(kind, str(error)) from None

    def is_once(self) -> bool:
        """True where it must not be asked twice."""
        return self.name in ONCE or self.name in {ASK, PUBLISH}


class Link:
    """The connection of one engine."""

    def __init__(
        self,
        welcome: Welcome,
        find_owner: Callable[[threading.Event], Welcome | None],
    ) -> None:
        self._welcome = welcome
        self._find_owner = find_owner
        self._pid = os.getpid()
        self._loop = asyncio.SelectorEventLoop()
        self._questions: dict[int, Question] = {}
        self._numbers = itertools.count(1)
        self._asking = threading.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._stopped = threading.Event()
        self._is_closed = False
        self._closing = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, name="durable-link", daemon=True
        )

    def open(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def ask(self, question: Question) -> Question:
        """Ask; questions are asked in the order of these calls. From any thread.

        Raises:
            CoreError: the link is closed, was opened before a fork, or this cannot be asked.
        """
        self.check()
        with self._asking:
            question.ticket = next(self._numbers)
            question.write()
            self._call(self._take, question)
        return question

    def cancel(self, question: Question) -> None:
        """Nobody waits for it any more."""
        with contextlib.suppress(CoreError):
            self._call(self._cancel, question)

    def check(self) -> None:
        """Whether this process may ask.

        Raises:
            CoreError: it is a child of the one that opened it.
        """
        if os.getpid() != self._pid:
            kind = "forked"
            raise CoreError(kind, _FORKED)

    def close(self) -> None:
        """Ask nothing more, and tell who waits. Blocks for a moment; safe to call twice."""
        self._stopped.set()
        if os.getpid() != self._pid:
            return
        with contextlib.suppress(CoreError):
            self._call(self._shut)
        self._thread.join(_JOIN_S)

    def _call(self, what: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *args)
        except RuntimeError:
            kind = "closed"
            raise CoreError(kind, _CLOSED) from None

    # --- the thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except Exception:
            _LOGGER.exception("the connection to the store's owner has ended")
        finally:
            self._shut()
            with (
                self._asking
            ):  # what was asked meanwhile is told so; what comes later is refused
                self._loop.run_until_complete(asyncio.sleep(0))  # noqa: TID251  # a turn
                self._loop.close()

    async def _main(self) -> None:
        welcome: Welcome | None = self._welcome
        pause_s = 0.0
        while welcome is not None:
            self._welcome = welcome
            began_s = self._loop.time()
            await self._talk()
            self._lose()
            is_short = self._loop.time() - began_s < _SHORT_S
            pause_s = min(max(2 * pause_s, _PAUSE_S), _LONG_PAUSE_S) if is_short else 0
            await self._rest(pause_s)
            welcome = await self._find()

    async def _rest(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()

    async def _find(self) -> Welcome | None:
        """On a thread of its own, which does not hold up the end of the process as a pool's does."""
        found: asyncio.Future[Welcome | None] = self._loop.create_future()

        def find() -> None:
            welcome = self._find_owner(self._stopped)
            try:
                self._loop.call_soon_threadsafe(found.set_result, welcome)
            except RuntimeError:  # the loop has ended
                if welcome is not None:
                    welcome.close()

        threading.Thread(target=find, name="durable-finds", daemon=True).start()
        return await found

    async def _talk(self) -> None:
        """Until the connection ends."""
        connection = self._welcome.connection
        if self._is_closed:
            connection.close()
            return
        connection.settimeout(0)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        self._writer = writer
        if self._closing.is_set():  # meanwhile
            writer.close()
        try:
            for question in list(self._questions.values()):
                self._send(question)
            while self._hear(await read(reader)):
                pass
        except FrameError as error:
            _LOGGER.warning("the store's owner said what nobody understands: %s", error)
        except (EOFError, OSError):
            pass  # it is gone
        finally:
            self._writer = None
            await _end(writer)

    def _hear(self, said: object) -> bool:
        """Take in what was said; False where it was the last."""
        ticket, kind, value = members(said, int, str, object)
        if kind == BYE:
            self._spare(value)
            return False
        question = self._questions.get(ticket)
        if question is not None:
            if kind in (VALUE, ERROR):
                self._forget(question)
            question.told(kind, value)
        return True

    def _spare(self, unsure: Container[int]) -> None:
        """The owner has begun nothing but these of what it has not answered: the rest is as if it was never sent."""
        for question in self._questions.values():
            if question.ticket not in unsure:
                question.is_sent = False

    def _lose(self) -> None:
        """Nobody knows how far the owner came with what it was sent."""
        for question in list(self._questions.values()):
            if question.is_sent and question.is_once():
                self._forget(question)
                question.told(ERROR, ("unanswered", _lost(question.name)))
            elif question.is_sent and question.name == SEND:
                self._mark_as_sent(question)
            question.is_sent = False

    def _mark_as_sent(self, question: Question) -> None:
        events, source, _ = question.args
        question.args = (events, source, question.since_ms)
        try:
            question.write()
        except CoreError as error:  # a few bytes more are too many
            self._forget(question)
            question.told(ERROR, (error.kind, error.text))

    def _take(self, question: Question) -> None:
        if self._is_closed:
            question.told(ERROR, ("closed", _CLOSED))
            return
        self._questions[question.ticket] = question
        if question.limit_s is not None:
            expire = self._expire
            question.timer = self._loop.call_later(question.limit_s, expire, question)
        if self._writer is not None:
            self._send(question)

    def _send(self, question: Question) -> None:
        if self._writer is None or self._writer.is_closing():
            return  # the next owner is sent it
        if question.since_ms is None:
            passed_ms = int((time.monotonic() - self._welcome.at_s) * 1000)
            question.since_ms = max(self._welcome.now_ms + passed_ms - _SLACK_MS, 0)
        self._writer.write(question.frame)
        question.is_sent = True

    def _cancel(self, question: Question) -> None:
        if self._questions.get(question.ticket) is question:
            self._forget(question)
            writer = self._writer
            if question.is_sent and writer is not None and not writer.is_closing():
                writer.write(encode((question.ticket, DROP, (), NOTHING)))

    def _expire(self, question: Question) -> None:
        if self._questions.get(question.ticket) is question:
            self._cancel(question)
            text = _late(question, self._welcome.pid)
            question.told(ERROR, ("unanswered", text))

    def _forget(self, question: Question) -> None:
        self._questions.pop(question.ticket, None)
        if question.timer is not None:
            question.timer.cancel()

    def _shut(self) -> None:
        self._is_closed = True
        self._closing.set()
        for question in list(self._questions.values()):
            self._forget(question)
            question.told(ERROR, ("closed", _CLOSED))
        if self._writer is not None:
            self._writer.close()  # ends once all is sent
            self._loop.call_later(_FLUSH_S, self._writer.transport.abort)


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_FLUSH_S):
            await writer.wait_closed()
    writer.transport.abort()


_LOOK: Final[Mapping[str, str]] = {
    ASK: "look with runs.list() whether the run was started, or whether the signal's waiter went on",
    PUBLISH: "a subscriber sees whether the message is there",
    "rerun": "look with runs.list() whether the new run is there",
    "rerun_many": "the same call does the rest",
    "cancel_many": "the same call does the rest",
    "cancel_event": "the same call does the rest",
    "change_schedule": "look with schedules.get()",
}


def _lost(name: str) -> str:
    return (
        "the process that owned the store ended before it answered, and this may have been done or not: "
        f"{_LOOK[name]}, then ask again"
    )


def _late(question: Question, pid: int) -> str:
    where = "it was sent to" if question.is_sent else "nobody has taken over from"
    owns = "owns" if question.is_sent else "owned"
    text = f"no answer came within {question.limit_s:g} s: {where} process {pid}, which {owns} the store"
    if question.name == SEND and question.is_sent:
        return f"{text}, and the events may be accepted yet: give them ids of yours to send them again safely"
    look = _LOOK.get(question.name)
    return f"{text}; ask again" if look is None else f"{text}; {look}, then ask again"
