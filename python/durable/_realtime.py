"""Channels for whoever looks on: messages are published on them and read as they come, or later."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

from ._bridge import Core, public_errors
from ._errors import UsageError
from ._messages import (
    MISSED,
    Batch,
    Message,
    Position,
    check_names,
    encode,
    is_run_id,
    newest_position,
    read_batch,
    read_position,
)


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from ._callers import Callers

_LOGGER: Final = logging.getLogger("durable")
#: So many messages are read at a time.
_PAGE: Final = 256
_EVERYTHING: Final = 2**63 - 1


class Open(Protocol):
    """What an open engine has, as far as channels need it."""

    @property
    def core(self) -> Core:
        """Its store."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it lives."""
        ...

    @property
    def worker(self) -> Callers:
        """Who asks for it."""
        ...


class Realtime(ABC):
    """The part of an engine that publishes and listens."""

    @property
    @abstractmethod
    def session(self) -> Open:
        """What the open engine has."""

    async def publish(self, channel: str, topic: str, data: object = None) -> str:
        """Publish a message on a channel; kept when this returns, for an hour or as long as the ring has room.

        Publishing never waits for subscribers. A channel keeps its last 1,024 messages of 4 MiB together, a
        sixteenth of that more or less.

        Args:
            channel: 1 to 256 bytes, as in `f"order/{order_id}"`; a run's id is the channel of that run.
            topic: 1 to 128 bytes, not beginning with `$`.
            data: anything that JSON can say, or a pydantic model; at most 512 KiB.

        Returns:
            The message's id. As a subscriber of a run's channel is given it, what is behind its `-` says how much of the
            run's records came before it; what is before the `-` is the same.

        Raises:
            ConfigError: a name is not accepted.
            SerializationError: the data is not JSON.
            PayloadTooLarge: the data is.
            EngineClosed: the engine is not open.
        """
        json = encode(channel, topic, data)
        session = self.session
        if session.worker.is_own_loop():
            return await session.worker.publish(channel, topic, json)
        asked = session.worker.publish(channel, topic, json)
        elsewhere = asyncio.run_coroutine_threadsafe(asked, session.loop)
        return await asyncio.wrap_future(elsewhere)

    def publish_sync(self, channel: str, topic: str, data: object = None) -> str:
        """The same from another thread, as in a step with `blocking=True`: blocks until the message is kept.

        Raises:
            UsageError: it is called on the engine's own loop, which it would hold up.
        """
        json = encode(channel, topic, data)
        session = self.session
        if session.worker.is_own_loop():
            text = "publish_sync would hold up the engine's own loop: use `await engine.publish(...)` here"
            raise UsageError(text)
        return session.worker.publish_wait(channel, topic, json)

    def subscribe(
        self,
        channel: str,
        topics: str | Iterable[str] | None = None,
        *,
        after: str | None = None,
    ) -> AsyncGenerator[Message]:
        """Messages of a channel, as they come: `async for message in engine.subscribe(channel)`.

        It begins with what is kept, so that who comes late misses nothing, and goes on behind `after` where
        somebody comes back. Whoever is slower than the ring, or comes back too late, is given one message of the topic
        `"$missed"` in the place of those that are gone, whatever `topics` says; its `data["count"]` is how many at most.

        A run's id is the channel of that run. There each recorded step comes as `"$step"` (`step`, `kind`, `status`,
        and `result` or `error`) and its end as `"$run"` (`status`, and `result` or `error`), from the run's own
        records: also long after. With the end of its run a subscription ends. Where a name has the form of a run's id
        and there is neither such a run nor a message, a warning says so, and the subscription waits as any other.

        Args:
            channel: its name.
            topics: only these; all where absent.
            after: the id of the last message that was seen; `"now"`: nothing of what was before this call.

        Raises:
            ConfigError: a name or `after` is not accepted.
            UsageError: it is called on another loop than the engine's.
            EngineClosed: the engine is not open, or is closed while messages are awaited.
        """
        wanted = _read_topics(topics)
        check_names(channel, wanted or ())
        session = self.session
        position = _begin(session, channel, after)
        return _messages(session, channel, position, wanted=wanted)


def _read_topics(topics: str | Iterable[str] | None) -> frozenset[str] | None:
    if topics is None:
        return None
    return frozenset({topics} if isinstance(topics, str) else topics) | {MISSED}


async def _messages(
    session: Open,
    channel: str,
    begin: Position | asyncio.Future[Position],
    *,
    wanted: frozenset[str] | None,
) -> AsyncGenerator[Message]:
    position = await begin if isinstance(begin, asyncio.Future) else begin
    with session.worker.listening(channel) as listener:
        is_looked_up = is_run_id(channel)
        while True:
            listener.clear()
            batch = await _look(session, channel, position, is_looked_up=is_looked_up)
            is_looked_up = False
            for message in batch.messages:
                if wanted is None or message.topic in wanted:
                    yield message
            position = batch.position
            if batch.is_over:
                return
            if batch.is_whole:
                await listener.wait()


def _begin(
    session: Open, channel: str, after: str | None
) -> Position | asyncio.Future[Position]:
    if not session.worker.is_own_loop():
        text = "subscribe on the engine's own loop, and pass messages on from there"
        raise UsageError(text)
    if after == "now":
        return _newest(session, channel)
    return Position() if after is None else read_position(after)


async def _look(
    session: Open, channel: str, position: Position, *, is_looked_up: bool
) -> Batch:
    """Read away from the loop: the run first, so that what was published before its end is read, too."""

    def look(core: Core) -> Batch:
        run = core.run(channel)
        page = core.messages(channel, position.number, _PAGE)
        is_none = is_looked_up and run is None and not page[2]
        if is_none and session.worker.noticed.is_new_channel(channel):
            _LOGGER.warning(
                "subscribe: channel '%s' has the form of a run's id, and %s. "
                "Messages come once somebody publishes on it",
                channel,
                _why_none(core, channel),
            )
        return read_batch(channel, position, page=page, run=run, most=_PAGE)

    with public_errors():
        return await session.loop.run_in_executor(None, look, session.core)


def _why_none(core: Core, channel: str) -> str:
    """What to tell who means a run that there is none: nothing may ever come."""
    event = core.event(channel)
    if event is None:
        return "there is no such run in this store, or no longer"
    runs = ", ".join(event[1]) or "none"
    return f"that is an event's; runs that it started: {runs}"


def _newest(session: Open, channel: str) -> Position | asyncio.Future[Position]:
    """A run has to be read whole: away from the loop."""
    core = session.core
    with public_errors():
        following = core.messages(channel, _EVERYTHING, 1)[2]
    if not is_run_id(channel):
        return newest_position(None, following)
    return session.loop.run_in_executor(
        None, lambda: newest_position(core.run(channel), following)
    )
