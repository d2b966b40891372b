"""What another process asks is answered; and it has only so much done here, whatever it asks and however little it reads."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import durable
from durable._processes.asked import ASK, BYE, DROP, ERROR, LISTEN, VALUE, WATCH
from durable._processes.frames import encode

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
