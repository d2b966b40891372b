"""Events that another process sends: in its order, many in one commit, and each once though it is sent again."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .._bridge import CoreError
from .asked import CLIENT_SOURCE


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .._bridge import Core, NewEvent

#: So many events of several sends are committed together.
_TOGETHER: Final = 512
#: So far back an event is looked for whose answer was lost.
_PAGES: Final = 100
_PAGE: Final = 1000

#: What counts a send once: its source and the position in it.
Source = tuple[str, int]


class Received:
    """What one process sends."""

    def __init__(
        self, core: Core, on_thread: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._core = core
        self._on_thread = on_thread
        self._waiting: list[_Send] = []
        self._taking: asyncio.Task[None] | None = None

    async def take(
        self, events: list[NewEvent], source: Source | None, since_ms: int | None
    ) -> list[str]:
        """Have these accepted, all or none, behind what came before.

        Args:
            events: what is sent.
            source: what it counts by.
            since_ms: sent for the second time, and for the first not before this moment; `None` for the first time.
        """
        send = _Send(events, source, since_ms)
        self._waiting.append(send)
        if self._taking is None or self._taking.done():
            self._taking = asyncio.ensure_future(self._take_all())
        return await send.ids

    async def end(self) -> None:
        """Take nothing more; what is being taken is, but nobody is told."""
        self._waiting.clear()
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait({self._taking})

    async def _take_all(self) -> None:
        while self._waiting:
            together = self._next()
            try:
                done = await self._on_thread(partial(_accept, self._core, together))
            except Exception as error:  # noqa: BLE001  # each is told
                done = [error] * len(together)
            for send, outcome in zip(together, done, strict=True):
                send.settle(outcome)

    def _next(self) -> list[_Send]:
        """The first, and behind it what may go into the same commit."""
        first = self._waiting.pop(0)
        together, count = [first], len(first.events)
        while self._waiting and first.can_share and self._waiting[0].can_share:
            count += len(self._waiting[0].events)
            if count > _TOGETHER:
                break
            together.append(self._waiting.pop(0))
        return together


class _Send:
    """One of them, and who waits for it."""

    __slots__ = ("events", "ids", "since_ms", "source")

    def __init__(
        self, events: list[NewEvent], source: Source | None, since_ms: int | None
    ) -> None:
        self.events = events
        self.source = source
        self.since_ms = since_ms
        self.ids: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    @property
    def can_share(self) -> bool:
        """True where none of it can have been accepted before: then the last position stands for all."""
        own = self.source is not None and self.source[0].startswith(CLIENT_SOURCE)
        return own and self.since_ms is None

    def settle(self, outcome: list[str] | BaseException) -> None:
        """Tell whoever waits."""
        if self.ids.done():
            return
        if isinstance(outcome, BaseException):
            self.ids.set_exception(outcome)
        else:
            self.ids.set_result(outcome)


def _accept(core: Core, sends: Sequence[_Send]) -> list[list[str] | BaseException]:
    """On a thread: all in one commit, or where one is refused each in its own."""
    if len(sends) > 1:
        events = [event for send in sends for event in send.events]
        try:
            ids = iter(core.send_wait(events, sends[-1].source))
        except CoreError:
            pass  # each is told what is wrong with its own
        else:
            return [[next(ids) for _ in send.events] for send in sends]
    return [_accept_one(core, send) for send in sends]


def _accept_one(core: Core, send: _Send) -> list[str] | BaseException:
    try:
        ids = core.send_wait(send.events, send.source)
        if ids or send.since_ms is None or not send.events:
            return ids
        if found := find_ids(core, send.events, send.since_ms):
            return found
        text = "the events are on disk, but which ids they were given is not found any more"
        return CoreError("unanswered", text)
    except Exception as error:  # noqa: BLE001  # who has sent it is told
        return error


def find_ids(core: Core, events: Sequence[NewEvent], since_ms: int) -> list[str]:
    """The ids of a batch that was accepted, though nobody was told: its events lie in the store one behind the other.

    Empty where they are not found.
    """
    wanted = list(reversed(events))
    matched: list[str] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        rows, cursor = core.events(since_ms=since_ms, limit=_PAGE, cursor=cursor)
        for found, _runs, duplicate_of, _skips in rows:
            if not _is_same(found, wanted[len(matched)]):
                matched.clear()
            if _is_same(found, wanted[len(matched)]):
                matched.append(duplicate_of or found[0])
            if len(matched) == len(wanted):
                return matched[::-1]
        if cursor is None:
            break
    return []


def _is_same(found: Sequence[Any], sent: NewEvent) -> bool:
    _, name, data, ts, _, sender, version, user = found
    sent_name, sent_data, sent_id, sent_ts, sent_version, sent_user = sent
    return (
        (name, bytes(data), sender) == (sent_name, sent_data, sent_id)
        and (version, user) == (sent_version, sent_user)
        and sent_ts in (None, ts)
    )
