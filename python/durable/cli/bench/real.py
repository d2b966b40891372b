"""A trial in real time: the whole engine on a store, a handler that takes its time, events sent at their moments."""

from __future__ import annotations

import asyncio
import time
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from durable._codec import read_plain
from durable._events import make_event

from .trial import CANCELLED, COMPLETED, FAILED, FUNCTION, NONE, Outcome, Trial, app_of


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from durable import Context, Engine, Event
    from durable._bridge import NewEvent
    from durable._views import Page, ReceivedEvent

_US: Final = 1_000_000
_PAGE: Final = 1000
_MOST_AT_ONCE: Final = 500
_ENDINGS: Final = {"completed": COMPLETED, "failed": FAILED, "cancelled": CANCELLED}


def play(trial: Trial, store: str | None) -> Outcome:
    """Send the events at their moments and wait until all is through.

    Args:
        trial: what is tried.
        store: a new store; by default one that goes afterwards.
    """
    if store is not None:
        return asyncio.run(_play(trial, store))
    with TemporaryDirectory(prefix="durable-bench-") as folder:
        return asyncio.run(_play(trial, folder))


async def _play(trial: Trial, store: str) -> Outcome:
    from durable import Engine  # noqa: PLC0415  # slow to import

    lengths: dict[str | None, float] = {}
    for event, length_us in zip(trial.traffic.events, trial.lengths_us, strict=True):
        lengths.setdefault(event[2], length_us / _US)

    async def handle(ctx: Context[Any]) -> None:
        await asyncio.sleep(lengths[ctx.event.id])  # noqa: TID251  # it stands for work, which holds its slot

    async with Engine(
        app_of(trial, handle),
        settings={},
        store=store,
        max_in_flight=trial.capacity,
        seed=trial.seed,
        grace=0,
    ) as engine:
        began_at = time.perf_counter()
        await _feed(engine, trial)
        if not trial.stops_at_end:
            await engine.join()
        ended_at_us = engine.now_ms() * 1000
        took_s = time.perf_counter() - began_at
        return await _outcome(engine, (ended_at_us, took_s))


async def _feed(engine: Engine, trial: Trial) -> None:
    """All that is due goes in one batch, so that a late loop catches up."""
    events, times_us = trial.traffic.events, trial.traffic.times_us
    began_at = time.monotonic()
    place = 0
    while place < len(events):
        passed_us = (time.monotonic() - began_at) * _US
        due = place
        while (
            due < len(events)
            and due - place < _MOST_AT_ONCE
            and times_us[due] - times_us[0] <= passed_us
        ):
            due += 1
        if due > place:
            now_ms = engine.now_ms()
            await engine.send(*[_at_once(one, now_ms) for one in events[place:due]])
            place = due
        else:
            wait_us = times_us[place] - times_us[0] - passed_us
            await asyncio.sleep(wait_us / _US)  # noqa: TID251  # the moment at which an event came


def _at_once(event: NewEvent, now_ms: int) -> Event[Any]:
    """The event to send. One of the future would start its run then."""
    name, data, known, ts, version, user = event
    return make_event(
        name,
        read_plain(data),
        id=known,
        ts=None if ts is None or ts > now_ms else ts,
        v=version,
        user=None if user is None else read_plain(user),
    )


async def _outcome(engine: Engine, ending: tuple[int, float]) -> Outcome:
    """What the store says of it, up to its last moment."""
    ended_at_us, took_s = ending
    events = [one async for one in _all(engine.events.list)]
    runs = [one async for one in _all(engine.runs.list)]
    places = {run.id: place for place, run in enumerate(runs)}
    event_places = {event.id: place for place, event in enumerate(events)}

    def moment(at: datetime | None) -> int:
        us = NONE if at is None else round(at.timestamp() * 1000) * 1000
        return NONE if us > ended_at_us else us

    ends = [moment(run.ended_at) for run in runs]
    endings = [
        NONE if end == NONE else _ENDINGS[run.status]
        for run, end in zip(runs, ends, strict=True)
    ]
    return Outcome(
        arrivals_us=[moment(event.received_at) for event in events],
        event_runs=[
            next((places[run] for run in event.run_ids), NONE) for event in events
        ],
        event_skips=[_skip(event) for event in events],
        run_events=[event_places[run.event_ids[0]] for run in runs],
        run_starts_us=[moment(run.started_at) for run in runs],
        run_ends_us=ends,
        run_endings=endings,
        ended_at_us=ended_at_us,
        took_s=took_s,
    )


def _skip(event: ReceivedEvent) -> str | None:
    skip = event.skipped.get(FUNCTION)
    repeats = event.duplicate_of is not None and not event.run_ids
    return skip or ("duplicate" if repeats else None)


async def _all(
    read: Callable[..., Awaitable[Page[Any]]],
) -> AsyncIterator[Any]:
    """All of a list, the oldest first."""
    pages: list[Page[Any]] = [await read(limit=_PAGE)]
    while (cursor := pages[-1].cursor) is not None:
        pages.append(await read(limit=_PAGE, cursor=cursor))
    for page in reversed(pages):
        for one in reversed(page):
            yield one
