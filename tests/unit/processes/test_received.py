"""Events of another process: in its order, many in a commit, each once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from durable._bridge import Core, CoreError
from durable._processes.asked import CLIENT_SOURCE
from durable._processes.received import Received, find_ids


pytestmark = pytest.mark.asyncio


def event(name: str = "a", data: bytes = b"{}") -> Any:
    return (name, data, None, None, None, None)


@pytest.fixture
def core() -> Iterator[Core]:
    opened = Core.open("memory:")
    yield opened
    opened.close()


class Counted:
    """The core, and what was committed together."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.commits: list[tuple[int, Any]] = []

    def send_wait(self, events: Any, source: Any) -> list[str]:
        self.commits.append((len(events), source))
        return self.core.send_wait(events, source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)


async def on_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(call)


def client(position: int) -> tuple[str, int]:
    return (CLIENT_SOURCE + "1", position)


async def test_what_comes_meanwhile_goes_together(core: Core) -> None:
    counted = Counted(core)
    received = Received(counted, on_thread)  # type: ignore[arg-type]
    ids = await asyncio.gather(
        *(
            received.take([event(data=b'{"n":%d}' % n)] * 2, client(n), None)
            for n in range(1, 6)
        )
    )
    assert counted.commits == [(2, client(1)), (8, client(5))] or counted.commits == [
        (10, client(5))
    ]
    flat = [one for batch in ids for one in batch]
    assert sorted(flat) == flat, "in the order they were sent in"
    for n, (first, _) in enumerate(ids, 1):
        stored = core.event(first)
        assert stored is not None
        assert stored[0][2] == b'{"n":%d}' % n


async def test_one_that_is_refused_takes_no_other_along(core: Core) -> None:
    received = Received(core, on_thread)
    first, wrong, last = await asyncio.gather(
        received.take([event()], client(1), None),
        received.take([event(""), event()], client(2), None),
        received.take([event()], client(3), None),
        return_exceptions=True,
    )
    assert isinstance(wrong, CoreError)
    assert wrong.kind == "event"
    assert isinstance(first, list)
    assert isinstance(last, list)
    assert len(core.events()[0]) == 2


async def test_what_is_sent_again_is_found_and_not_taken_again(core: Core) -> None:
    received = Received(core, on_thread)
    batch = [event("b", b'{"n":1}'), event("b", b'{"n":2}')]
    ids = await received.take(batch, client(1), None)
    other = await received.take([event("b", b'{"n":2}')], client(2), None)
    assert await received.take(batch, client(1), 0) == ids
    assert await received.take([event("b", b'{"n":2}')], client(2), 0) == other
    assert len(core.events()[0]) == 3


async def test_what_was_never_taken_is_taken_when_sent_again(core: Core) -> None:
    """And is not put together with others, of which a part may have been taken."""
    counted = Counted(core)
    received = Received(counted, on_thread)  # type: ignore[arg-type]
    await received.take([event("a")], client(1), None)
    counted.commits.clear()
    ids = await asyncio.gather(
        received.take([event("a")], client(1), 0),
        received.take([event("b")], client(2), 0),
        received.take([event("c")], client(3), None),
    )
    assert [count for count, _ in counted.commits] == [1, 1, 1]
    assert [core.event(one[0])[0][1] for one in ids] == ["a", "b", "c"]  # type: ignore[index]
    assert len(core.events()[0]) == 3


async def test_a_source_of_the_users_own_is_not_put_together(core: Core) -> None:
    received = Received(core, on_thread)
    first, again, later = await asyncio.gather(
        received.take([event()], ("file", 1), None),
        received.take([event()], ("file", 1), None),
        received.take([event()], ("file", 2), None),
    )
    assert (len(first), again, len(later)) == (1, [], 1)


async def test_a_store_that_fails_tells_each(core: Core) -> None:
    received = Received(core, on_thread)
    core.close()
    ended = await asyncio.gather(
        *(received.take([event()], client(n), None) for n in range(1, 4)),
        return_exceptions=True,
    )
    assert [type(one) for one in ended] == [CoreError] * 3


async def test_events_are_found_by_all_that_was_sent(core: Core) -> None:
    whole = ("a", b"{}", "mine", 5, "v1", b'{"id":1}')
    (id_,) = core.send_wait([whole])
    core.send_wait([event("other")])
    assert find_ids(core, [whole], 0) == [id_]
    for place, other in enumerate(("b", b"[]", "its", 6, "v2", b"null")):
        changed: Any = (*whole[:place], other, *whole[place + 1 :])
        assert find_ids(core, [changed], 0) == []
    assert find_ids(core, [whole, whole], 0) == []
    duplicate = core.send_wait([whole])
    assert duplicate == [id_]
    assert find_ids(core, [whole], 0) == [id_]


async def test_nothing_is_found_before_its_time(core: Core, tmp_path: Path) -> None:
    del tmp_path
    core.send_wait([event()])
    assert find_ids(core, [event()], core.now_ms() + 10_000) == []


async def test_the_end_waits_for_its_task_and_begins_nothing_more(core: Core) -> None:
    begun, gate = threading.Event(), threading.Event()
    counted = Counted(core)

    def take(call: Callable[[], Any]) -> Any:
        begun.set()
        gate.wait(30)
        return call()

    async def held_up(call: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(take, call)

    received = Received(counted, held_up)  # type: ignore[arg-type]
    first = asyncio.ensure_future(received.take([event()], client(1), None))
    await asyncio.to_thread(begun.wait, 30)
    second = asyncio.ensure_future(received.take([event()], client(2), 0))
    await asyncio.to_thread(bool)
    await received.end()
    assert received._taking is not None
    assert received._taking.done()
    gate.set()
    for one in (first, second):
        one.cancel()
    await asyncio.wait({first, second})
    assert len(counted.commits) <= 1
