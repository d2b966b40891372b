"""An owner answers whoever speaks its words, and nobody else; one that speaks nonsense harms no other."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import durable
from durable._bridge import __version__
from durable._processes.asked import (
    ASK,
    ERROR,
    HELLO,
    LISTEN,
    PROTOCOL,
    VALUE,
)
from durable._processes.frames import encode, receive
from durable._processes.opening import Unreachable, greet, greet_on

from .sharing import Client, Peer, make_app, reach


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


async def test_only_so_many_are_let_in(
    engine: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.owner._MOST_PEERS", 1)
    first = await asyncio.to_thread(Peer, engine)
    with pytest.raises(Unreachable):
        await asyncio.to_thread(greet, engine.store)
    first.connection.close()


async def test_that_no_more_are_let_in_is_said_once(
    engine: durable.Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("durable._processes.owner._MOST_PEERS", 0)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await asyncio.to_thread(greet, engine.store)
    assert caplog.text.count("no more are let in") == 1


async def test_one_that_goes_while_it_is_let_in_keeps_out_no_other(
    engine: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: socket.socket) -> bool:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr("durable._processes.owner.is_of_our_user", gone)
        with pytest.raises(Unreachable):
            await asyncio.to_thread(greet, engine.store)
    assert await is_alive(engine)


async def test_this_process_reaches_its_own_owner_without_a_path(
    engine: durable.Engine,
) -> None:
    owner = engine.session.owner
    assert owner is not None
    welcome = await asyncio.to_thread(greet_on, owner.connect())
    assert "double" in welcome.functions
    welcome.close()
    await engine.close()
    with pytest.raises(ConnectionRefusedError):
        owner.connect()


def let_the_loop_end(folder: Path) -> None:
    """An engine that others wait at, and is not closed."""
    loop = asyncio.new_event_loop()
    engine = durable.Engine(make_app(), store=str(folder / "store"))
    loop.run_until_complete(engine.__aenter__())
    peer = Peer(engine)
    peer.say(1, LISTEN, "news")
    assert loop.run_until_complete(peer.hear(1)) == ("stirred", None)
    owner = engine.session.owner
    assert owner is not None
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is meant
    loop.close()
    owner.give_up()
    peer.connection.close()
    owner.close()


async def test_what_waits_on_a_loop_that_has_ended_is_called_off_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(let_the_loop_end, tmp_path)
    assert "Event loop is closed" not in caplog.text
    assert "calling callback" not in caplog.text
