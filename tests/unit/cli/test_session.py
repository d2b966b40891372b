"""A session feeds an engine from where its source stopped, and can be stopped itself."""

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from durable import Event, EventRefused
from durable.cli.event_file import Batch
from durable.cli.failure import CommandError, ExitCode
from durable.cli.session import Progress, Session


class FakeEngine:
    """Remembers what it was sent; joins when told to."""

    def __init__(self, position: int | None = None, *, ends: bool = True) -> None:
        self.position = position
        self.sent: list[tuple[str, int, list[str]]] = []
        self.queued = 0
        self.stats_before: dict[str, Any] | None = None
        self._ends = ends

    async def source_position(self, source: str) -> int | None:
        """Where it stopped."""
        assert source == "numbers"
        return self.position

    async def send_from(
        self, source: str, position: int, events: Iterable[Event[Any]]
    ) -> list[str]:
        """Remembers."""
        self.sent.append((source, position, [event.name for event in events]))
        return []

    async def join(self) -> None:
        """Ends, or never."""
        if not self._ends:
            await asyncio.Event().wait()

    def stats(self) -> dict[str, Any]:
        """Counts."""
        counts = {
            "queued": self.queued,
            "running": 0,
            "parked": {"sleep": 0, "retry": 0},
        }
        ended = {"completed": len(self.sent), "failed": 1, "cancelled": 1}
        return {"functions": {"f": counts | ended}}


class Numbers:
    """Four events, one in a batch."""

    source = "numbers"
    pause_s = 0.0

    def batches(self, accepted: int) -> Iterator[Batch]:
        """One a batch."""
        for number in range(accepted + 1, 5):
            yield Batch([Event(f"n/{number}")], number, number * 10)


class Seen:
    """A screen that keeps what it was shown."""

    def __init__(self) -> None:
        self.shown = 0

    def show(self, progress: Progress) -> None:
        """Counts."""
        assert progress.counts.total.failed == 2
        self.shown += 1


def session(engine: FakeEngine, screen: Seen) -> Session:
    stand_in: Any = engine
    return Session(stand_in, Numbers(), screen)


@pytest.mark.asyncio
@pytest.mark.parametrize("accepted", [None, 0, 3, 4])
async def test_it_sends_what_its_source_has_not_had_accepted(
    accepted: int | None,
) -> None:
    engine, screen = FakeEngine(accepted), Seen()
    progress = await session(engine, screen).run()
    first = (accepted or 0) + 1
    assert engine.sent == [("numbers", n, [f"n/{n}"]) for n in range(first, 5)]
    assert (progress.position, progress.is_fed, progress.is_stopped) == (4, True, False)
    assert progress.accepted_before == (accepted or 0)
    assert screen.shown >= 1


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_and_sigterm_stop_it_and_it_says_so(
    number: signal.Signals,
) -> None:
    engine, screen = FakeEngine(ends=False), Seen()
    handler = signal.getsignal(number)
    running = asyncio.ensure_future(session(engine, screen).run())
    while len(engine.sent) < 4:
        await asyncio.wait({running}, timeout=0.001)
    os.kill(os.getpid(), number)
    progress = await running
    assert progress.is_stopped
    assert signal.getsignal(number) is handler


@pytest.mark.asyncio
async def test_what_the_engine_raises_reaches_the_caller() -> None:
    engine, screen = FakeEngine(), Seen()

    async def refuse() -> None:
        raise RuntimeError

    engine.join = refuse  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await session(engine, screen).run()


@pytest.mark.asyncio
async def test_events_that_are_refused_are_told_with_their_lines() -> None:
    engine, screen = FakeEngine(2), Seen()

    async def refuse(*_: object) -> list[str]:
        text = "event 'durable/own' is the engine's"
        raise EventRefused(text)

    engine.send_from = refuse  # type: ignore[method-assign]
    with pytest.raises(CommandError) as caught:
        await session(engine, screen).run()
    assert "lines 3 to 3" in caught.value.text
    assert "durable/own" in caught.value.text
    assert caught.value.exit_code == ExitCode.BAD_INPUT


@pytest.mark.asyncio
async def test_runs_that_ended_before_anybody_counted_are_counted() -> None:
    """What was live when the engine was opened goes on at once, and may be done when the session begins."""
    engine = FakeEngine(4)
    engine.stats_before = engine.stats()
    engine.sent.append(("numbers", 4, []))
    progress = await session(engine, Seen()).run()
    assert progress.counts.total.ended - progress.counts_before.total.ended == 1
