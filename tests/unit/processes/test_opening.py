"""A store is opened, or its owner reached; and where neither can be, the message says who has it and why."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import durable
from durable._bridge import Core, CoreError, __version__
from durable._processes.address import listen
from durable._processes.asked import ERROR, PROTOCOL, VALUE
from durable._processes.frames import encode, receive
from durable._processes.opening import (
    Unreachable,
    Welcome,
    greet,
    is_here,
    open_or_connect,
)


HELD = "the store S is open in another process (process 1 on elsewhere, since 9); stop that one first, or use another folder"


def locked() -> Core:
    kind = "locked"
    raise CoreError(kind, HELD)


@pytest.fixture
def answer(tmp_path: Path) -> Iterator[Callable[..., list[Any]]]:
    """Somebody at the store's socket who answers each with this; what each has said."""
    own: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(*answers: bytes) -> list[Any]:
        said: list[Any] = []
        listening = listen(str(tmp_path))
        own.append(listening)

        def serve() -> None:
            for one in answers:
                connection, _ = listening.accept()
                with connection:
                    said.append(receive(connection))
                    connection.sendall(one)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return said

    yield start
    for thread in threads:
        thread.join(10)
    for one in own:
        one.close()


def test_who_is_let_in_is_told_of_the_owner(
    tmp_path: Path, answer: Callable[..., list[Any]]
) -> None:
    said = answer(encode((0, VALUE, (812, 1000, ("f", "g")))))
    welcome = open_or_connect(str(tmp_path), locked, 5, called_off=threading.Event())
    assert isinstance(welcome, Welcome)
    assert (welcome.pid, welcome.now_ms) == (812, 1000)
    assert welcome.functions == {"f", "g"}
    welcome.close()
    assert said == [(0, "hello", (PROTOCOL, __version__), {})]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "it does not answer: it has closed the connection"),
        (b"HTTP/1.1 400 Bad Request", "it does not answer: no frame: it would have"),
        (encode("a"), "it does not answer: a value is not int, str, tuple"),
        (encode((0, VALUE, ())), "it does not answer: a value is not int, int, tuple"),
        (encode((0, ERROR, ("version", "process 7 has durable 9"))), "has durable 9"),
    ],
)
def test_who_is_not_let_in_hears_why(
    tmp_path: Path, answer: Callable[..., list[Any]], said: bytes, why: str
) -> None:
    answer(said)
    with pytest.raises(Unreachable, match=why):
        greet(str(tmp_path))


def test_a_store_that_cannot_be_shared_says_who_has_it_and_why(tmp_path: Path) -> None:
    with pytest.raises(CoreError) as caught:
        open_or_connect(str(tmp_path), locked, 0.1, called_off=threading.Event())
    assert caught.value.kind == "locked"
    assert caught.value.text == (
        "the store S is open in another process (process 1 on elsewhere, since 9), and for 0.1 s that one was not "
        "reached: it lets no others in (a `durable store` command, a virtual clock, an earlier version), or is only "
        "opening it; stop that one first, or use another folder"
    )


def test_an_owner_of_another_version_is_named(
    tmp_path: Path, answer: Callable[..., list[Any]]
) -> None:
    answer(encode((0, ERROR, ("version", "process 812 has durable 9, this one 8"))))
    with pytest.raises(CoreError) as caught:
        open_or_connect(str(tmp_path), locked, 0, called_off=threading.Event())
    assert caught.value.text == (
        "the store S is open in another process (process 1 on elsewhere, since 9), and for 0 s that one was not "
        "reached: process 812 has durable 9, this one 8; stop that one first, or use another folder"
    )


def test_what_is_wrong_with_a_store_is_told_at_once(tmp_path: Path) -> None:
    def broken() -> Core:
        kind = "corrupt"
        raise CoreError(kind, "damaged")

    with pytest.raises(CoreError, match="damaged"):
        open_or_connect(str(tmp_path), broken, 60, called_off=threading.Event())


def test_an_owner_that_leaves_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lock and socket in turn: whichever is free first."""
    monkeypatch.setattr("durable._processes.opening._PAUSE_S", 0.001)
    store = str(tmp_path / "store")
    tries = 0

    def opened() -> Core:
        nonlocal tries
        tries += 1
        return Core.open(store) if tries > 20 else locked()

    core = open_or_connect(store, opened, 20, called_off=threading.Event())
    assert not isinstance(core, Welcome)
    core.close()
    assert tries == 21


@pytest.mark.asyncio
async def test_this_process_keeps_its_own_error(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    text = f"is open in this process already \\(process {os.getpid()} on"
    async with durable.Engine(store=store):
        with pytest.raises(durable.StoreLocked, match=text):
            await asyncio.wait_for(durable.Engine(store=store).__aenter__(), 2)


def test_a_process_elsewhere_with_our_number_is_another() -> None:
    here = f"open in another process (process {os.getpid()} on {os.uname().nodename}, "
    assert is_here(CoreError("locked", here))
    there = f"open in another process (process {os.getpid()} on another-host, "
    assert not is_here(CoreError("locked", there))


def test_an_opening_that_is_called_off_tries_no_longer(tmp_path: Path) -> None:
    called_off = threading.Event()

    def locked() -> Core:
        called_off.set()
        kind = "locked"
        raise CoreError(kind, "the store is locked by process 812 on here; wait")

    with pytest.raises(CoreError, match="812"):
        open_or_connect(str(tmp_path), locked, 600, called_off=called_off)
