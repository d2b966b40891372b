"""One process owns a store; when it goes another takes it over, and who waits goes on waiting."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

import durable
from durable import _session, _sharing
from durable._bridge import Core, CoreError
from durable._processes.opening import greet

from .processes.sharing import Client, make_app, until


pytestmark = pytest.mark.asyncio


async def test_a_client_takes_over_and_goes_on(tmp_path: Path) -> None:
    """What it waited for with the one comes from the other, which is itself."""
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    async with Client(make_app(), store=store) as client:
        (event,) = await client.send(durable.Event("wait", {"signal": "s"}))
        (run,) = await client.events.runs(event)
        heard: list[Any] = []
        waiting = asyncio.ensure_future(client.runs.wait(run.id))
        listening = asyncio.ensure_future(listen(client, heard))
        await client.publish("news", "a", 1)
        await until(lambda: heard == [1])
        await owner.close()
        sending = asyncio.ensure_future(client.send(durable.Event("number", {"n": 4})))
        await until(client.is_owner)
        (sent,) = await sending
        assert await client.signal("s", 5) == run.id
        assert (await waiting).result["data"] == 5
        await client.publish("news", "a", 2)
        await until(lambda: heard == [1, 2])
        (doubled,) = await client.events.runs(sent)
        assert (await client.runs.wait(doubled.id)).result == 8
        assert await client.invoke("double", {"n": 1}) == 2
        async with Client(store=store) as another:
            assert await another.runs.get(run.id)
    with pytest.raises(durable.EngineClosed):
        await listening
    assert not list((tmp_path / "store").glob("owner*"))
    async with durable.Engine(store=store) as last:
        assert len(await last.runs.list()) == 3


async def listen(engine: durable.Engine, heard: list[Any]) -> None:
    async for message in engine.subscribe("news"):
        heard.append(message.data)  # noqa: PERF401  # as it comes


async def test_only_one_of_several_takes_over(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    clients = [Client(make_app(), store=store) for _ in range(4)]
    for client in clients:
        await client.__aenter__()
    await owner.close()
    await until(lambda: any(client.is_owner() for client in clients))
    for client in clients:
        (event,) = await client.send(durable.Event("number", {"n": 1}))
        assert await client.events.get(event)
    assert sum(client.is_owner() for client in clients) == 1
    for client in clients:
        await client.close()


async def test_who_has_no_functions_leaves_the_store_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.client._MODESTY_S", 1000.0)
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    async with Client(store=store) as reader, Client(make_app(), store=store) as client:
        await owner.close()
        await until(client.is_owner)
        assert not reader.is_owner()
        assert "double" in (await asyncio.to_thread(reader.stats))["functions"]
        monkeypatch.setattr("durable._processes.client._MODESTY_S", 0.0)
        await client.close()
        await until(reader.is_owner)


async def test_a_store_that_cannot_be_taken_over_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    async with Client(make_app(), store=store) as client:

        def refuse(*_: Any) -> None:
            kind = "invalid"
            raise CoreError(kind, "another app has this function")

        real = _sharing.register
        monkeypatch.setattr(_sharing, "register", refuse)
        await owner.close()
        await until(lambda: "could not be taken over" in caplog.text)
        assert not client.is_owner()
        monkeypatch.setattr(_sharing, "register", real)
        await until(client.is_owner)


async def test_a_client_that_closes_meanwhile_leaves_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    client = Client(make_app(), store=store)
    await client.__aenter__()
    real, opened = client._own, asyncio.Event()

    async def own(*args: Any, **named: Any) -> Any:
        opened.set()
        await until(lambda: client._session is None)
        return await real(*args, **named)

    monkeypatch.setattr(client, "_own", own)
    await owner.close()
    await opened.wait()
    await client.close()
    Core.open(store).close()


async def test_the_role_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "durable"):
        async with durable.Engine(make_app(), store=str(tmp_path / "store")):
            pass
    assert [record.message for record in caplog.records] == [
        f"the store {tmp_path / 'store'}: this process ({_session.os.getpid()}) owns it"
    ]


async def test_an_owner_that_has_failed_leaves_the_store_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("durable._processes.peer._LOOK_S", 0.01)
    store = str(tmp_path / "store")
    async with (
        durable.Engine(make_app(), store=store) as owner,
        Client(make_app(), store=store) as client,
    ):
        (event,) = await client.send(durable.Event("wait", {"signal": "s"}))
        (run,) = await client.events.runs(event)
        waiting = asyncio.ensure_future(client.runs.wait(run.id))
        worker: Any = owner.session.worker
        worker._take_poison((13, "poisoned", "the disk is full"))
        await until(client.is_owner)
        assert not owner.is_owner()
        assert await client.signal("s", 5) == run.id
        assert (await waiting).result["data"] == 5
        with pytest.raises(durable.EngineFailed, match="the disk is full"):
            await owner.send(durable.Event("a"))
    assert "it is closed, so that another process takes over" in caplog.text


async def test_a_failed_owner_that_nobody_needs_can_be_read(tmp_path: Path) -> None:
    async with durable.Engine(make_app(), store=str(tmp_path / "store")) as owner:
        (event,) = await owner.send(durable.Event("number", {"n": 1}))
        worker: Any = owner.session.worker
        worker._take_poison((13, "poisoned", "the disk is full"))
        assert (await owner.events.get(event)).event.name == "number"


async def test_an_owner_whose_loop_has_ended_leaves_the_store_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.peer._LOOK_S", 0.01)
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    loops: list[asyncio.AbstractEventLoop] = []

    def open_and_end() -> None:
        async def enter() -> None:
            await owner.__aenter__()
            loops.append(asyncio.get_running_loop())

        asyncio.run(enter())

    await asyncio.to_thread(open_and_end)
    assert loops[0].is_closed()
    async with Client(make_app(), store=store) as client:
        (event,) = await client.send(durable.Event("number", {"n": 2}))
        await until(client.is_owner)
        (run,) = await client.events.runs(event)
        assert (await client.runs.wait(run.id)).result == 4
    assert not owner.is_open()


async def test_what_was_asked_of_another_goes_on_where_there_is_no_place_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    async with Client(make_app(), store=store) as client:
        (event,) = await client.send(durable.Event("wait", {"signal": "s"}))
        (run,) = await client.events.runs(event)
        heard: list[Any] = []
        waiting = asyncio.ensure_future(client.runs.wait(run.id))
        listening = asyncio.ensure_future(listen(client, heard))
        await client.publish("news", "a", 1)
        await until(lambda: heard == [1])
        refuse_sockets(monkeypatch)
        await owner.close()
        sending = asyncio.ensure_future(client.send(durable.Event("number", {"n": 4})))
        await until(client.is_owner)
        assert "other processes cannot reach it" in caplog.text
        assert await sending
        assert await client.signal("s", 5) == run.id
        async with asyncio.timeout(20):
            assert (await waiting).result["data"] == 5
        await client.publish("news", "a", 2)
        await until(lambda: heard == [1, 2])
    with pytest.raises(durable.EngineClosed):
        await listening


async def test_what_was_asked_of_another_ends_with_the_engine_that_took_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.peer._LOOK_S", 0.01)
    store = str(tmp_path / "store")
    owner = durable.Engine(make_app(), store=store)
    await owner.__aenter__()
    async with Client(make_app(), store=store) as client:
        (event,) = await client.send(durable.Event("wait", {"signal": "s"}))
        (run,) = await client.events.runs(event)
        waiting = asyncio.ensure_future(client.runs.wait(run.id))
        await owner.close()
        await until(client.is_owner)
        worker: Any = client.session.worker
        await until(lambda: worker._watched)
        worker._take_poison((13, "poisoned", "the disk is full"))
        with pytest.raises(durable.DurableError):
            async with asyncio.timeout(20):
                await waiting


def refuse_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def listen(_: str) -> None:
        text = "read-only"
        raise OSError(text)

    monkeypatch.setattr("durable._processes.owner.listen", listen)


async def test_an_engine_whose_clock_is_virtual_is_alone(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    async with durable.Engine(make_app(), store=store, clock="virtual"):
        assert not list((tmp_path / "store").glob("owner*"))
    async with durable.Engine(make_app(), store=store):
        with pytest.raises(durable.StoreLocked):
            await durable.Engine(
                make_app("other"), store=store, clock="virtual"
            ).__aenter__()


async def test_a_store_without_a_place_for_a_socket_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_sockets(monkeypatch)
    async with durable.Engine(make_app(), store=str(tmp_path / "store")) as engine:
        await engine.send(durable.Event("number", {"n": 1}))
    assert "other processes cannot reach it: read-only" in caplog.text


async def test_two_engines_of_one_process_find_the_owner_elsewhere(
    tmp_path: Path,
) -> None:
    """A client may live beside another: it is the lock that one process has once."""
    store = str(tmp_path / "store")
    async with (
        durable.Engine(make_app(), store=store) as owner,
        Client(make_app(), store=store) as one,
        Client(store=store) as other,
    ):
        assert owner.stats()["functions"] == one.stats()["functions"]
        assert owner.stats()["functions"] == other.stats()["functions"]
        assert greet(store).close() is None


async def test_who_calls_an_opening_off_keeps_the_store_from_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores: list[Core] = []

    def slowly(
        store: str, _open: Any, _limit_s: float, *, called_off: threading.Event
    ) -> Core:
        assert called_off.wait(60)
        cores.append(Core.open(store))
        return cores[0]

    monkeypatch.setattr(_sharing, "open_or_connect", slowly)
    store = str(tmp_path / "store")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(durable.Engine(make_app(), store=store).__aenter__(), 0)
    opening = asyncio.ensure_future(
        durable.Engine(make_app(), store=store).__aenter__()
    )
    await asyncio.sleep(0)  # it has begun  # noqa: TID251
    await asyncio.sleep(0)  # noqa: TID251
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: bool(cores) and is_free(store))


def is_free(store: str) -> bool:
    """True once the thread that found it has closed it."""
    try:
        Core.open(store).close()
    except CoreError:
        return False
    return True
