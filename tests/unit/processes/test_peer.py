"""What another process asks is answered; and it has only so much done here, whatever it asks and however little it reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import durable
from durable._processes.asked import ASK, BYE, DROP, ERROR, LISTEN, VALUE, WATCH
from durable._processes.frames import decode, encode

from .sharing import Client, Peer, make_app, until


pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[durable.Engine]:
    async with durable.Engine(make_app(), store=str(tmp_path / "store")) as opened:
        yield opened


@pytest_asyncio.fixture
async def peer(engine: durable.Engine) -> AsyncIterator[Peer]:
    made = await asyncio.to_thread(Peer, engine)
    yield made
    made.connection.close()


async def test_errors_come_as_they_are(peer: Peer) -> None:
    is_signal = False
    kind, (what, text) = await peer.ask("rerun", "nothing")
    assert (kind, what) == (ERROR, "not_found")
    assert "nothing" in text
    assert (await peer.ask(ASK, "none", b"{}", is_signal))[1][0] == "not_found"
    assert (await peer.ask(ASK, "s", b"{}", not is_signal))[1][0] == "no_waiter"
    assert (await peer.ask(WATCH, "nothing"))[1][0] == "not_found"
    kind, (what, _) = await peer.ask("runs", wrong=1)
    assert (kind, what) == (ERROR, "invalid")


async def test_an_answer_that_is_too_large_says_what_to_ask_for(
    engine: durable.Engine, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await engine.send(durable.Event("number", {"n": "a" * 1000}))
    await engine.join()
    monkeypatch.setattr("durable._processes.frames.MAX_BYTES", 2000)
    kind, (what, text) = await peer.ask("events")
    assert (kind, what) == (ERROR, "too_large")
    assert "ask for less, with limit=" in text
    assert (await peer.ask("events", limit=1))[0] == VALUE


async def test_who_stops_waiting_is_forgotten(
    engine: durable.Engine, peer: Peer
) -> None:
    (event,) = await engine.send(durable.Event("wait", {"signal": "s"}))
    (run,) = await engine.events.runs(event)
    worker = engine.session.worker
    peer.say(1, WATCH, run.id)
    peer.say(2, LISTEN, "news")
    assert await peer.hear(2) == ("stirred", None)
    await until(lambda: run.id in worker._watched)
    peer.say(1, "drop")
    peer.say(2, "drop")
    await until(lambda: not worker._watched and not worker._listeners)
    peer.say(3, WATCH, run.id)
    await until(lambda: worker._watched)
    peer.connection.close()
    await until(lambda: not worker._watched)


async def test_the_close_answers_what_was_begun_and_says_what_was_not(
    tmp_path: Path,
) -> None:
    app = make_app()
    async with durable.Engine(app, store=str(tmp_path / "store")) as engine:
        peer = await asyncio.to_thread(Peer, engine)
        (event,) = await engine.send(durable.Event("wait", {"signal": "s"}))
        (run,) = await engine.events.runs(event)
        peer.say(1, WATCH, run.id)
        await until(lambda: engine.session.worker._watched)
        peer.say(2, "send", [("a", b"{}", *[None] * 4)], None, None)
        assert (await peer.hear(2))[0] == VALUE
    assert await peer.hear(0) == (BYE, [])
    assert await asyncio.to_thread(peer.connection.recv, 1) == b""
    assert 1 not in peer.said, "it is waited for at the next owner"
    peer.connection.close()
    assert not list((tmp_path / "store").glob("owner*"))


async def test_one_process_asks_only_so_much_at_a_time(
    engine: durable.Engine, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.peer._MOST_WAITS", 2)
    del engine
    for ticket in range(3):
        peer.say(ticket + 1, LISTEN, f"news {ticket}")
    with pytest.raises(EOFError):
        await peer.hear(3)


class Counting:
    """A core that counts what is read of it."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        if name == "events":
            self.reads += 1
        return getattr(self._core, name)


async def fill(engine: durable.Engine) -> Counting:
    """Pages that no socket holds."""
    data = {"n": "a" * 300_000}
    await engine.send(*(durable.Event("data", data) for _ in range(4)))
    owner: Any = engine.session.owner
    owner.core = Counting(owner.core)
    return owner.core


async def test_who_reads_no_answers_has_few_made(
    engine: durable.Engine, peer: Peer
) -> None:
    core = await fill(engine)
    another = await asyncio.to_thread(Peer, engine)
    count = 40
    for ticket in range(1, count + 1):
        peer.say(ticket, "events")
    await until(lambda: core.reads == 4)
    for _ in range(20):
        assert (await another.ask("now_ms"))[0] == VALUE
    assert core.reads == 4
    for ticket in range(1, count + 1):
        kind, (rows, _) = await peer.hear(ticket)
        assert (kind, len(rows)) == (VALUE, 4)
    another.connection.close()


@pytest.mark.parametrize(
    ("name", "most"), [("_MOST_QUESTIONS", 2), ("_MOST_BYTES", 100)]
)
async def test_what_is_asked_waits_where_much_is_under_way(
    engine: durable.Engine,
    peer: Peer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    most: int,
) -> None:
    monkeypatch.setattr(f"durable._processes.peer.{name}", most)
    owner: Any = engine.session.owner
    (theirs,) = owner._peers
    under_way: list[int] = []
    real = theirs._begin

    def begin(asked: Any) -> None:
        real(asked)
        under_way.append(len(theirs._under_way))

    monkeypatch.setattr(theirs, "_begin", begin)
    event = ("number", b'{"n": 1}', *[None] * 4)
    for ticket in range(1, 21):
        peer.say(ticket, "send", [event], ("s", ticket), None)
    for ticket in range(1, 21):
        kind, ids = await peer.hear(ticket)
        assert (kind, len(ids)) == (VALUE, 1)
    assert max(under_way) <= 3
    await until(lambda: theirs._bytes == 0)


async def test_a_large_question_is_read_on_a_thread(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def note(body: bytes) -> Any:
        threads.append(threading.current_thread().name)
        return decode(body)

    monkeypatch.setattr("durable._processes.peer.decode", note)
    for data in (b"{}", b'{"a": "%s"}' % (b"a" * 70_000)):
        event = ("a", data, *[None] * 4)
        assert (await peer.ask("send", [event], None, None))[0] == VALUE
    assert threads[0] == "durable-owner"
    assert threads[1].startswith("durable-owner_")


async def test_who_reads_nothing_does_not_hold_the_close_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.peer._GRACE_S", 0.05)
    async with durable.Engine(make_app(), store=str(tmp_path / "store")) as engine:
        core = await fill(engine)
        peer = await asyncio.to_thread(Peer, engine)
        peer.say(1, "events")
        await until(lambda: core.reads)
        owner: Any = engine.session.owner
        (theirs,) = owner._peers
        transport = theirs._writer.transport
    assert transport.is_closing()
    assert transport.get_write_buffer_size() == 0, "nothing is left behind"
    peer.connection.close()


async def test_what_is_dropped_at_once_is_never_begun(
    engine: durable.Engine, peer: Peer
) -> None:
    asked = [encode((1, LISTEN, ("news",), {})), encode((1, DROP, (), {}))]
    peer.connection.sendall(b"".join(asked))
    assert (await peer.ask("now_ms"))[0] == VALUE
    assert not engine.session.worker._listeners


async def test_the_messages_of_one_process_keep_their_order(
    engine: durable.Engine,
) -> None:
    async with Client(make_app(), store=engine.store) as client:
        await asyncio.gather(*(client.publish("n", "t", n) for n in range(300)))
        heard: list[int] = []
        async for message in client.subscribe("n"):
            heard.append(message.data)
            if len(heard) == 300:
                break
    assert heard == list(range(300))


async def test_where_the_engine_has_failed_the_next_owner_is_asked(
    engine: durable.Engine, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the store says of it: at once, not when it is looked after next."""
    monkeypatch.setattr("durable._processes.peer._LOOK_S", 1000)
    session = engine.session
    assert session.owner is not None
    assert (await peer.ask("now_ms"))[0] == VALUE
    refused = await peer.ask("rerun", "nothing")
    assert refused[0] == ERROR
    monkeypatch.setattr(session.worker, "has_ended", lambda: True)
    with pytest.raises(EOFError):
        await peer.ask("rerun", "nothing")
    await until(session.has_given_up)
