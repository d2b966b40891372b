"""An engine fed from a source of events until all is done, with a screen that is shown what happens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from durable._errors import EventRefused, PayloadTooLarge

from .counts import Counts, counts_of
from .failure import CommandError
from .signals import stops
from .waiting import what_is_waited_for


if TYPE_CHECKING:
    from collections.abc import Iterator

    from durable import Engine

    from .event_file import Batch

_REFRESH_S: Final = 0.2
_LOOK_S: Final = 5.0
_MOST_QUEUED: Final = 50_000
_SHORT_PAUSE_S: Final = 0.02


class Feed(Protocol):
    """Where events come from: batches with rising positions, each accepted once for its source."""

    @property
    def source(self) -> str:
        """What names it to the engine."""
        ...

    @property
    def pause_s(self) -> float:
        """How long to wait after each batch."""
        ...

    def batches(self, accepted: int) -> Iterator[Batch]:
        """The batches behind a position."""
        ...


class Screen(Protocol):
    """What is told how it goes, a few times a second."""

    def show(self, progress: Progress) -> None:
        """Things stand so."""
        ...


@dataclass(slots=True)
class Progress:
    """How far a session is.

    Attributes:
        accepted_before: the source's position when the session began: 0 for a new one.
        position: the source's position now.
        bytes_read: how far into its file reading has come.
        event_count: events that this session sent.
        is_fed: the source has no more events.
        is_stopped: the session was stopped before all was done.
        counts: what the functions' runs are doing now.
        counts_before: the same when the session began.
        seconds: how long the session has lasted.
        waits: what the runs wait for, where nothing executes and the source has no more; empty otherwise.
    """

    accepted_before: int = 0
    position: int = 0
    bytes_read: int = 0
    event_count: int = 0
    is_fed: bool = False
    is_stopped: bool = False
    counts: Counts = field(default_factory=Counts)
    counts_before: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    waits: str = ""


class Session:
    """One engine, one source, one screen."""

    def __init__(self, engine: Engine, feed: Feed, screen: Screen) -> None:
        self._engine = engine
        self._feed = feed
        self._screen = screen
        self._began_at = time.monotonic()
        self.progress = Progress()
        self._seen: Counts | None = None
        self._looks_at = 0.0

    def live_count(self) -> int:
        """How many runs have not ended."""
        return counts_of(self._engine.stats()).total.live

    async def run(self) -> Progress:
        """Feed the engine and wait until nothing is left to do, or until Ctrl-C or SIGTERM."""
        progress = self.progress
        accepted = await self._engine.source_position(self._feed.source)
        progress.accepted_before = progress.position = accepted or 0
        # What was live has gone on since the engine was opened, and may have ended.
        before = self._engine.stats_before or self._engine.stats()
        progress.counts_before = counts_of(before)
        work = asyncio.ensure_future(self._work())
        with stops(work):
            while not work.done():
                self._show()
                await self._look_at_waits()
                await asyncio.wait({work}, timeout=_REFRESH_S)
        progress.is_stopped = work.cancelled()
        self._show()
        if not work.cancelled():
            work.result()
        return progress

    async def _look_at_waits(self) -> None:
        """What is waited for: asked again once what runs do has changed, and now and then."""
        progress = self.progress
        total = progress.counts.total
        if not progress.is_fed or total.queued or total.running or not total.parked:
            progress.waits, self._seen = "", None
        elif progress.counts != self._seen or progress.seconds >= self._looks_at:
            self._seen, self._looks_at = progress.counts, progress.seconds + _LOOK_S
            progress.waits = await what_is_waited_for(self._engine)

    async def _work(self) -> None:
        for batch in self._feed.batches(self.progress.position):
            await self._take(batch)
            await _pause(self._feed.pause_s)
            while counts_of(self._engine.stats()).total.queued > _MOST_QUEUED:
                await _pause(_SHORT_PAUSE_S)
        self.progress.is_fed = True
        await self._engine.join()

    async def _take(self, batch: Batch) -> None:
        progress = self.progress
        if batch.events:
            await self._send(batch)
        progress.position = batch.position
        progress.bytes_read = batch.bytes_read
        progress.event_count += len(batch.events)

    async def _send(self, batch: Batch) -> None:
        """Have a batch accepted; all of it or nothing.

        Raises:
            CommandError: the engine refuses one of its events.
        """
        source = self._feed.source
        try:
            await self._engine.send_from(source, batch.position, batch.events)
        except (EventRefused, PayloadTooLarge) as error:
            first = self.progress.position + 1
            text = f"lines {first} to {batch.position} are not accepted: {error}"
            hint = (
                "Correct it and start again: what was accepted before stays accepted."
            )
            raise CommandError(text, hint, error_code=error.code) from None

    def _show(self) -> None:
        self.progress.counts = counts_of(self._engine.stats())
        self.progress.seconds = time.monotonic() - self._began_at
        self._screen.show(self.progress)


async def _pause(seconds: float) -> None:
    """Lets the loop turn for so long: an event that nobody sets, waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
