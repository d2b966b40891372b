"""An engine that reaches its store through another process is as one that has it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import durable
from durable._bridge import CoreError
from durable._processes.client import Successor

from .sharing import Client, make_app, until


pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[durable.Engine]:
    async with durable.Engine(make_app(), store=str(tmp_path / "store")) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(engine: durable.Engine) -> AsyncIterator[durable.Engine]:
    async with Client(make_app(), store=engine.store) as opened:
        yield opened


async def start(engine: durable.Engine, name: str, **data: Any) -> durable.Run:
    (event,) = await engine.send(durable.Event(name, data))
    (run,) = await engine.events.runs(event)
    return run


async def test_one_of_them_owns_the_store(
    engine: durable.Engine, client: durable.Engine
) -> None:
    assert engine.is_owner()
    assert not client.is_owner()
    assert "open" in repr(client)
    assert client.notices == []


async def test_events_are_taken_and_their_runs_waited_for(
    engine: durable.Engine, client: durable.Engine
) -> None:
    run = await start(client, "number", n=2)
    ended = await client.runs.wait(run.id, timeout="20s")
    assert ended.result == 4
    assert ended == await engine.runs.get(run.id)
    assert await client.send() == []
    ids = await asyncio.gather(
        *(client.send(durable.Event("number", {"n": n})) for n in range(50))
    )
    assert [one for (one,) in ids] == sorted(one for (one,) in ids)
    await client.join(timeout="20s")
    results = [(await client.events.runs(one))[0].result for (one,) in ids]
    assert results == [2 * n for n in range(50)]


async def test_a_source_counts_its_batches(client: durable.Engine) -> None:
    event = durable.Event("number", {"n": 1})
    assert await client.source_position("file") is None
    assert len(await client.send_from("file", 1, [event])) == 1
    assert await client.send_from("file", 1, [event]) == []
    assert await client.source_position("file") == 1


async def test_other_threads_send(client: durable.Engine) -> None:
    event = durable.Event("number", {"n": 1})
    (sent,) = await asyncio.to_thread(client.send_sync, event)
    assert (await client.events.get(sent)).event.name == "number"
    with pytest.raises(durable.UsageError):
        client.send_sync(event)


async def test_functions_are_invoked(client: durable.Engine) -> None:
    assert await client.invoke("double", {"n": 3}, timeout="20s") == 6
    with pytest.raises(durable.InvokeError, match="KeyError"):
        await client.invoke("double", {}, timeout="20s")
    with pytest.raises(durable.NotFoundError, match="'doubel'"):
        await client.invoke("doubel")
    with pytest.raises(durable.InvokeTimeoutError):
        await client.invoke("wait", {"signal": "s"}, timeout="10ms")


async def test_signals_reach_their_waiter(client: durable.Engine) -> None:
    run = await start(client, "wait", signal="s")
    await client.join(timeout="20s")
    assert await client.signal("s", {"a": 1}) == run.id
    assert (await client.runs.wait(run.id)).result["data"] == {"a": 1}
    with pytest.raises(durable.SignalNotFound):
        await client.signal("s")


async def test_messages_are_published_and_heard(
    engine: durable.Engine, client: durable.Engine
) -> None:
    first = await client.publish("news", "a", 1)
    heard: list[Any] = []

    async def listen() -> None:
        async for message in client.subscribe("news"):
            heard.append((message.topic, message.data))  # noqa: PERF401  # as it comes

    listening = asyncio.ensure_future(listen())
    await until(lambda: len(heard) == 1)
    await engine.publish("news", "b", 2)
    await until(lambda: len(heard) == 2)
    await asyncio.to_thread(client.publish_sync, "news", "c", 3)
    await until(lambda: len(heard) == 3)
    assert heard == [("a", 1), ("b", 2), ("c", 3)]
    listening.cancel()
    await asyncio.wait({listening})
    await until(lambda: not engine.session.worker._listeners)
    assert (await anext(client.subscribe("news", after=first))).data == 2
    late = client.subscribe("news", after="now")
    await engine.publish("news", "d", 4)
    assert (await anext(late)).data == 4
    run = await start(client, "number", n=1)
    topics = [message.topic async for message in client.subscribe(run.id)]
    assert topics == ["$step", "$run"]


async def test_runs_are_looked_at_called_off_and_repeated(
    engine: durable.Engine, client: durable.Engine
) -> None:
    run = await start(client, "wait", signal="s")
    await client.join(timeout="20s")
    parked = await client.runs.get(run.id)
    assert [one.on for one in parked.waiting_on] == ["signal"]
    assert parked == await engine.runs.get(run.id)
    assert await client.runs.list(status="parked") == await engine.runs.list()
    assert await client.runs.cancel(run.id)
    assert not await client.runs.cancel(run.id)
    again = await client.runs.rerun(run.id)
    assert (await client.runs.get(again)).rerun_of == run.id
    assert (await client.runs.cancel_many(function="wait")).run_ids == (again,)
    assert (await client.runs.rerun_many(status="cancelled")).count == 1
    with pytest.raises(durable.NotFoundError):
        await client.runs.get("nothing")
    with pytest.raises(durable.NotFoundError):
        await client.runs.wait("nothing")


async def test_events_functions_and_schedules_are_those_of_the_store(
    engine: durable.Engine, client: durable.Engine
) -> None:
    await client.send(durable.Event("number", {"n": 1}, id="mine"))
    await client.join(timeout="20s")
    assert await client.events.list() == await engine.events.list()
    assert await client.functions.list() == await engine.functions.list()
    assert await client.functions.limits("double") == []
    await client.functions.pause("double")
    assert (await engine.functions.list())[0].is_paused
    await client.functions.resume("double")
    made = await client.schedules.create("s", "double", every="1h", data={"n": 1})
    assert await engine.schedules.get("s") == made
    assert await client.schedules.list() == await engine.schedules.list()
    await client.schedules.pause("s")
    await client.schedules.resume("s")
    run_id = await client.schedules.trigger("s")
    assert (await client.runs.wait(run_id)).result == 2
    await client.schedules.delete("s")
    with pytest.raises(durable.NotFoundError):
        await client.schedules.get("s")
    (event,) = await client.send(durable.Event("number", {"n": 1}))
    await client.join(timeout="20s")
    assert await client.events.cancel(event) == 0


async def test_the_time_and_the_counts_are_the_owners(
    engine: durable.Engine, client: durable.Engine
) -> None:
    await client.invoke("double", {"n": 1})
    assert client.stats()["functions"] == engine.stats()["functions"]
    assert abs(client.now_ms() - engine.now_ms()) < 10_000
    with pytest.raises(durable.ConfigError, match="the process that owns it alone"):
        await client.advance("1h")


async def test_join_gives_up_after_its_timeout(
    engine: durable.Engine, client: durable.Engine
) -> None:
    app = durable.App("sleeps")

    @app.function(on="sleep")
    async def sleeps(ctx: durable.Context) -> None:
        await ctx.step.sleep("long", "1h")

    del engine, sleeps
    made = await client.schedules.create("s", "double", every="1h", data={})
    await client.schedules.trigger(made.id)  # it fails, and is tried no more
    await client.join(timeout="20s")
    await client.send(durable.Event("number", {"n": 1}, ts=client.now_ms() + 3_600_000))
    with pytest.raises(TimeoutError):
        await client.join(timeout="50ms")
    core: Any = client.session.core
    assert core.joined == {}


async def test_what_sends_is_seen_by_the_senders_middleware(
    engine: durable.Engine,
) -> None:
    seen: list[str] = []

    class Seeing(durable.Middleware):
        async def before_send(self, sending: Any) -> None:
            seen.extend(event.name for event in sending.events)

    app = durable.App("mine", middleware=[Seeing()])
    async with Client(app, store=engine.store) as client:
        await client.send(durable.Event("a"))
    await engine.send(durable.Event("b"))
    assert seen == ["a"]


async def test_functions_that_the_owner_has_not_are_named(
    engine: durable.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app("newer")

    @app.function("refund", on="refund")
    async def refund(ctx: durable.Context) -> None:
        del ctx

    with caplog.at_level(logging.INFO, "durable"):
        successor = Successor(engine.store, asyncio.get_running_loop(), app.functions)
        link: Any = type("W", (), {"pid": 812, "functions": {"double", "wait"}})
        successor.look(link)
    assert "process 812 owns it and executes functions" in caplog.text
    assert "does not have all functions of this one" in caplog.text
    assert "'refund'" in caplog.text
    assert "'double'" not in caplog.text


async def test_who_has_a_loop_that_does_not_turn_leaves_the_store_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.client._SIGN_S", 0.01)
    loop = asyncio.new_event_loop()
    tries: list[str] = []
    stopped = threading.Event()

    class Engine:
        def take_over(self) -> None:
            tries.append("taken over")

    def open_core() -> Any:
        tries.append("opened")
        stopped.set()
        kind = "locked"
        raise CoreError(kind, "by another")

    engine = Engine()
    successor = Successor(str(tmp_path), loop, ["f"])
    successor.may_take_over(open_core, engine.take_over)
    finding = asyncio.ensure_future(asyncio.to_thread(successor.find, stopped))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(finding), 0.2)
    assert tries == []
    turning = threading.Thread(target=loop.run_forever)
    turning.start()
    await finding
    assert tries == ["opened"]
    loop.call_soon_threadsafe(loop.stop)
    turning.join()
    loop.close()


async def test_a_closed_client_ends_nothing_and_says_so(
    engine: durable.Engine, client: durable.Engine
) -> None:
    run = await start(client, "wait", signal="s")
    waiting = asyncio.ensure_future(client.runs.wait(run.id))
    worker = engine.session.worker
    await until(lambda: worker._watched)
    await client.close()
    with pytest.raises(durable.EngineClosed):
        await waiting
    with pytest.raises(durable.EngineClosed):
        await client.send(durable.Event("a"))
    await until(lambda: not worker._watched)
    assert (await engine.runs.get(run.id)).status == "parked"


async def test_what_the_owner_does_not_answer_is_told(
    client: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    core: Any = client.session.core
    with pytest.raises(AttributeError):
        _ = core.register
    with pytest.raises(CoreError, match="cannot be sent"):
        core.run(object())
    monkeypatch.setattr("durable._processes.client.PROMPT_S", 0.0)

    def ask() -> None:
        for _ in range(1000):  # an answer may be quicker than no time at all
            client.stats()

    with pytest.raises(durable.OwnerLost, match="no answer came within 0 s"):
        ask()


async def test_what_cannot_be_asked_is_told_its_caller(client: durable.Engine) -> None:
    worker = client.session.worker
    event: Any = ("a", object(), None, None, None, None)
    with pytest.raises(durable.ConfigError, match="cannot be sent"):
        await worker.send([event])
    with contextlib.suppress(durable.ConfigError):
        await worker.ask("double", object(), is_signal=False)  # type: ignore[arg-type]


async def test_pages_that_are_too_large_for_one_answer_come_in_several(
    engine: durable.Engine, client: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [durable.Event("data", {"n": n, "text": "a" * 900}) for n in range(11)]
    await engine.send(events)
    monkeypatch.setattr("durable._processes.frames.MAX_BYTES", 4000)
    assert await client.events.list(limit=100) == await engine.events.list(limit=100)
    page = await client.events.list(limit=7)
    assert len(page) == 7
    rest = await client.events.list(limit=7, cursor=page.cursor)
    assert [*page, *rest] == [*await engine.events.list(limit=100)]
    assert rest.cursor is None
    monkeypatch.setattr("durable._processes.frames.MAX_BYTES", 800)
    with pytest.raises(durable.PayloadTooLarge, match="the answer has"):
        await client.events.list(limit=7)
    with pytest.raises(durable.PayloadTooLarge, match="which owns the store, can read"):
        await client.events.get(page[0].event.id or page[0].id)


async def test_a_close_does_not_wait_for_reads_that_nobody_answers(
    engine: durable.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an owner that is stopped."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    client = Client(make_app(), store=engine.store)
    await client.__aenter__()
    begun: list[Any] = []
    monkeypatch.setattr(
        "durable._processes.peer.Peer._begin", lambda *a: begun.append(a)
    )
    reads = [asyncio.ensure_future(client.runs.list()) for _ in range(3)]
    await until(lambda: begun)
    async with asyncio.timeout(10):
        await client.close()
        for read in reads:
            with pytest.raises(durable.EngineClosed):
                await read


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda engine: engine.runs.get("\ud800"), "has no UTF-8"),
        (lambda engine: engine.runs.wait("\ud800"), "has no UTF-8"),
        (lambda engine: engine.runs.list(since=-5), "accepted is a moment from 1970"),
        (lambda engine: engine.events.list(since=2**70), "a moment from 1970"),
    ],
)
async def test_what_is_no_value_is_told_in_the_same_words(
    engine: durable.Engine, client: durable.Engine, ask: Any, said: str
) -> None:
    with pytest.raises(durable.ConfigError, match=said) as one:
        await ask(engine)
    with pytest.raises(durable.ConfigError, match=said) as other:
        await ask(client)
    assert str(one.value) == str(other.value)
