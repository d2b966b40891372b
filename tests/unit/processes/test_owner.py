"""An owner answers whoever speaks its words, and nobody else; one that speaks nonsense harms no other."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import durable
from durable._bridge import __version__
from durable._processes.address import connect
from durable._processes.asked import (
    ASK,
    BYE,
    ERROR,
    HELLO,
    LISTEN,
    PROTOCOL,
    VALUE,
    WATCH,
)
from durable._processes.frames import encode, receive
from durable._processes.opening import Unreachable, greet

from .sharing import Client, make_app, until


pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[durable.Engine]:
    async with durable.Engine(make_app(), store=str(tmp_path / "store")) as opened:
        yield opened


def reach(engine: durable.Engine) -> socket.socket:
    connection = connect(engine.store, 10)
    assert connection is not None
    return connection


class Peer:
    """Another process, by its words alone."""

    def __init__(self, engine: durable.Engine) -> None:
        self.connection = greet(engine.store).connection
        self.said: dict[int, list[Any]] = {}

    def say(self, ticket: int, name: str, *args: Any, **named: Any) -> None:
        self.connection.sendall(encode((ticket, name, args, named)))

    async def hear(self, ticket: int) -> Any:
        while not self.said.get(ticket):
            number, *what = await asyncio.to_thread(receive, self.connection)
            self.said.setdefault(number, []).append(tuple(what))
        return self.said[ticket].pop(0)

    async def ask(self, name: str, *args: Any, **named: Any) -> Any:
        self.say(7, name, *args, **named)
        return await self.hear(7)


@pytest_asyncio.fixture
async def peer(engine: durable.Engine) -> AsyncIterator[Peer]:
    made = await asyncio.to_thread(Peer, engine)
    yield made
    made.connection.close()


async def is_alive(engine: durable.Engine) -> bool:
    async with Client(store=engine.store) as client:
        return "double" in client.stats()["functions"]


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        struct.pack("!I", 3) + b"abc",
        encode("hello"),
        encode((0, HELLO, (), {})),
        encode((0, "stats", (PROTOCOL, __version__), {})),
        encode((0, HELLO, (PROTOCOL, __version__), {})) + struct.pack("!I", 3) + b"abc",
        encode((0, HELLO, (PROTOCOL, __version__), {})) + encode((1, "close", (), {})),
        encode((0, HELLO, (PROTOCOL, __version__), {})) + encode((1, ASK, (), {})),
        encode((0, HELLO, (PROTOCOL, __version__), {})) + encode((1, "send", (1,), {})),
        encode((0, HELLO, (PROTOCOL, __version__), {}))
        + encode((1, "send", (5, None, None), {})),
        encode((0, HELLO, (PROTOCOL, __version__), {}))
        + encode((1, ASK, ("double", "{}", False), {})),
        encode((0, HELLO, (PROTOCOL, __version__), {}))
        + encode((1, LISTEN, ("a",), {})) * 2,
    ],
)
async def test_nonsense_ends_its_connection_and_no_other(
    engine: durable.Engine, peer: Peer, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    with caplog.at_level(logging.WARNING, "durable"), reach(engine) as connection:
        connection.sendall(said)

        def read_all() -> None:
            while connection.recv(1000):
                pass

        await asyncio.to_thread(read_all)
    assert "a connection is closed" in caplog.text
    assert (await peer.ask("now_ms"))[0] == VALUE
    assert await engine.invoke("double", {"n": 2}) is not None
    assert await is_alive(engine)


async def test_a_frame_that_stays_half_harms_nobody(
    engine: durable.Engine, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.frames._REST_S", 0.05)
    with reach(engine) as half, reach(engine) as silent:
        half.sendall(encode((0, HELLO, (PROTOCOL, __version__), {})))
        await asyncio.to_thread(receive, half)
        half.sendall(encode((1, "stats", (), {}))[:-1])
        assert await asyncio.to_thread(half.recv, 1) == b"", "it is given up"
        assert (await peer.ask("now_ms"))[0] == VALUE
        silent.sendall(b"\0")
    assert await is_alive(engine)


async def test_another_version_is_told_so(engine: durable.Engine) -> None:
    with reach(engine) as connection:
        connection.sendall(encode((0, HELLO, (PROTOCOL, "0.0.9"), {})))
        _, kind, (what, text) = await asyncio.to_thread(receive, connection)
    assert (kind, what) == (ERROR, "version")
    assert text.endswith(f"has durable {__version__}, this one 0.0.9")


async def test_another_user_is_not_let_in(
    engine: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.owner.is_of_our_user", lambda _: False)
    with pytest.raises(Unreachable):
        await asyncio.to_thread(greet, engine.store)


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


async def test_a_loop_that_does_not_turn_holds_no_reader_up(
    engine: durable.Engine,
) -> None:
    """Reads, orders and events are answered on the owner's own thread."""
    answered: list[str] = []

    def ask() -> None:
        connection = greet(engine.store).connection
        with connection:
            for ticket, (name, args) in enumerate(
                [("stats", ()), ("send", ([("a", b"{}", *[None] * 4)], None, None))]
            ):
                connection.sendall(encode((ticket, name, args, {})))
                answered.append(receive(connection)[1])

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)  # and with it this loop
    assert answered == [VALUE, VALUE]


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


async def test_only_so_many_are_let_in(
    engine: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.owner._MOST_PEERS", 1)
    first = await asyncio.to_thread(Peer, engine)
    with pytest.raises(Unreachable):
        await asyncio.to_thread(greet, engine.store)
    first.connection.close()


async def test_one_process_asks_only_so_much_at_a_time(
    engine: durable.Engine, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.owner._MOST_UNDER_WAY", 2)
    del engine
    for ticket in range(3):
        peer.say(ticket + 1, LISTEN, f"news {ticket}")
    with pytest.raises(EOFError):
        await peer.hear(3)
