"""Who asks is told, in the order of the questions, whatever happens in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable
from durable._bridge import CoreError


pytestmark = pytest.mark.asyncio


async def one(ctx: durable.Context) -> int:
    return await ctx.step.run("one", lambda: 1)


async def test_sends_that_find_no_room_are_tried_again_in_order(live: Any) -> None:
    live.add(one)
    room = 1
    taken: list[int] = []

    def submit(sends: Any, invokes: Any, reports: Any, *rest: Any) -> int:
        del invokes, rest, reports
        for ticket, _events, _source in sends[:room]:
            taken.append(ticket)
            live.core._say(0, ticket, ["E"])
        return min(room, len(sends))

    live.core.submit = submit
    waiting = [
        live.worker.send([("a", b"{}", None, None, None, None)]) for _ in range(3)
    ]
    await live.settle(5)
    assert taken == [1]
    room = 2
    live.core._say(9)
    await live.settle(5)
    assert taken == [1, 2, 3]
    assert await asyncio.gather(*waiting) == [["E"]] * 3


async def test_sends_and_invokes_keep_the_order_they_were_called_in(live: Any) -> None:
    """A pass with both crosses in several submits; one that has no send after an invoke in one."""
    live.add(one)
    real = live.core.submit
    taken: list[list[int]] = []

    def submit(sends: Any, invokes: Any, *rest: Any) -> int:
        taken.append([ticket for ticket, *_ in [*sends, *invokes]])
        return real(sends, invokes, *rest)

    live.core.submit = submit
    send = lambda: live.worker.send([("a", b"{}", None, None, None, None)])  # noqa: E731
    invoke = lambda: live.worker.ask("one", b"{}", is_signal=False)  # noqa: E731
    waiting = [send(), send(), invoke(), send(), invoke(), invoke(), send()]
    await live.settle(3)
    assert taken[:3] == [[1, 2, 3], [4, 5, 6], [7]]
    await asyncio.gather(*waiting)


async def test_what_finds_no_room_keeps_its_order_too(live: Any) -> None:
    live.add(one)
    taken: list[int] = []

    def submit(sends: Any, invokes: Any, *_: Any) -> int:
        (ticket, *_), *_ = [*sends, *invokes]
        taken.append(ticket)
        live.core._say(0, ticket, ["E"])
        live.core._say(9)
        return 1

    live.core.submit = submit
    waiting = [live.worker.ask("one", b"{}", is_signal=False)]
    waiting += [live.worker.send([]), live.worker.ask("one", b"{}", is_signal=False)]
    await asyncio.gather(*waiting)
    assert taken == [1, 2, 3]


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_waiter_that_goes_leaves_nothing_behind(
    live: Any, *, is_cancelled: bool
) -> None:
    async def handler(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    run = await live.start(handler)
    other = asyncio.ensure_future(live.worker.ending_of(run))
    timeout_s = None if is_cancelled else 0
    leaving = [
        asyncio.ensure_future(live.worker.ending_of(run, timeout_s)),
        asyncio.ensure_future(live.worker.idle(live.core.joins.add, timeout_s)),
    ]
    await live.settle(3)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert len(live.worker._watched[run]) == 1
    assert live.core._watched == {run}
    assert live.worker._tickets == {}
    assert live.core.joins == set()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert live.worker._watched == {}
    assert live.core._watched == set()


async def test_a_stopped_engine_tells_every_caller(live: Any) -> None:
    live.core.submit = lambda *_: 1
    live.core.watch = lambda _: None
    sent = live.worker.send([("a", b"{}", None, None, None, None)])
    watched = asyncio.ensure_future(live.worker.ending_of("R"))
    live.core._say(8, "poisoned", "the disk is gone")
    await live.settle()
    for waiting in (sent, watched):
        with pytest.raises(durable.EngineFailed, match="the disk is gone"):
            await waiting
    with pytest.raises(durable.EngineFailed):
        live.worker.send([])


async def test_a_closed_worker_tells_every_caller(live: Any) -> None:
    live.core.submit = lambda *_: 1
    sent = live.worker.send([("a", b"{}", None, None, None, None)])
    live.worker.close()
    live.worker.close()
    with pytest.raises(durable.EngineClosed):
        await sent


async def test_what_cannot_be_published_or_heard_leaves_nothing_behind(
    live: Any,
) -> None:
    live.add(one)
    heard: list[str] = []

    def refuse(*_: Any) -> None:
        kind, text = "closed", "the engine is closed"
        raise CoreError(kind, text)

    live.core.publish = live.core.subscribe = refuse
    live.core.unsubscribe = heard.append
    with pytest.raises(durable.EngineClosed):
        await live.worker.publish("news", "told", b"1")
    with pytest.raises(durable.EngineClosed), live.worker.listening("news"):
        pass
    assert (live.worker._tickets, live.worker._listeners) == ({}, {})
    live.core.subscribe = heard.append
    with live.worker.listening("news"):
        assert heard[-1] == "news"
