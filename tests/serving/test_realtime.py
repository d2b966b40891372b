"""Realtime over HTTP: who may listens to channels, publishes on them, and hears what functions publish."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import durable
from durable._http_server import ServerSettings, served

from .conftest import KEY, listening
from .hearing import (
    LIMIT_S,
    Socket,
    Stream,
    publish,
    socket_url,
    through_socket,
    to_stream,
    token,
)


pytestmark = pytest.mark.asyncio

NEWS = ("news", "all")


@contextlib.asynccontextmanager
async def behind_http(
    *apps: durable.App, **settings: Any
) -> AsyncIterator[tuple[durable.Engine, httpx.AsyncClient]]:
    async with (
        durable.Engine(*apps, store="memory:") as engine,
        served(engine, ServerSettings(port=0, **settings)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        yield engine, http


async def test_a_message_reaches_all_who_listen_wherever_it_was_published() -> None:
    async with behind_http() as (engine, http):
        here = engine.subscribe("news", "all", after="now")
        async with (
            through_socket(http, NEWS) as socket,
            to_stream(http, NEWS) as stream,
        ):
            first = asyncio.create_task(anext(here))
            answer = await publish(http, "news", "all", b'{"n":\n 1.50}')
            assert answer.status_code == 200
            assert (await first).id == answer.json()["id"]
            assert (await first).data == {"n": 1.5}
            await engine.publish("news", "all", {"n": 2})
            heard = [await socket.take(2), await stream.take(2)]
        await here.aclose()
    assert heard[0] == heard[1]
    assert [one["data"] for one in heard[0]] == [{"n": 1.5}, {"n": 2}]
    one = heard[0][1]
    assert (one.pop("kind"), one.pop("channel"), one.pop("topic")) == ("data", *NEWS)
    assert one.pop("created_at").endswith("Z")
    assert one.pop("env_id") == "00000000-0000-4000-b000-000000000000"
    assert one == {"data": {"n": 2}}, "and nothing else"


async def test_only_what_is_listened_to_comes_and_nothing_of_before() -> None:
    async with behind_http() as (engine, http):
        await engine.publish("news", "all", "before")
        async with through_socket(http, NEWS, ("other", "one")) as socket:
            for channel, topic in (("news", "else"), ("other", "all"), ("more", "one")):
                await engine.publish(channel, topic, "not for it")
            await engine.publish("other", "one", 1)
            await engine.publish("news", "all", 2)
            heard = {one["topic"]: one["data"] for one in await socket.take(2)}
            assert heard == {"one": 1, "all": 2}
            async with through_socket(http, NEWS) as later:
                await engine.publish("news", "all", 3)
                assert (await later.next())["data"] == 3
            assert (await socket.next())["data"] == 3


async def test_a_message_tells_who_published_it() -> None:
    run = "01M80PMN50QVNRV8B5HVP6E000"
    async with behind_http() as (_, http), through_socket(http, NEWS) as socket:
        asked = [
            publish(http, *NEWS, n, run_id=run, metadata=f'{{"n": {n}}}')
            for n in range(20)
        ]
        assert {one.status_code for one in await asyncio.gather(*asked)} == {200}
        heard = await socket.take(20)
    assert {one["data"]: one["metadata"]["n"] for one in heard} == {
        n: n for n in range(20)
    }
    assert {one["run_id"] for one in heard} == {run}


async def test_what_is_no_json_is_a_text() -> None:
    async with behind_http() as (_, http), through_socket(http, NEWS) as socket:
        for body in (b"plain words", b"", b'"quoted"', b"[1]"):
            assert (await publish(http, *NEWS, body)).status_code == 200
        heard = [one["data"] for one in await socket.take(4)]
    assert heard == ["plain words", "", "quoted", [1]]


def shop() -> durable.App:
    """One function: a step, a wait for `begin`, steps of each kind, and an end of two."""
    app = durable.App("shop")

    async def fail() -> None:
        raise ValueError("no use")

    @app.function("work", on="work", retries=0)
    async def work(ctx: durable.Context) -> str:
        await ctx.step.run("before", int)
        await ctx.step.wait_for_signal("begin", signal="begin", timeout="1h")
        await ctx.step.run("one", lambda: {"n": 1})
        await ctx.publish(ctx.run_id, "progress", 50)
        with contextlib.suppress(durable.StepError):
            await ctx.step.run("bad", fail)
        if ctx.event.data["fails"]:
            raise durable.NonRetriableError("it failed")
        return "done"

    return app


FAILED = {"name": "NonRetriableError", "message": "it failed"}


@pytest.mark.parametrize(
    ("fails", "status", "data"),
    [(False, "completed", "done"), (True, "failed", FAILED)],
)
async def test_a_run_is_heard_step_by_step_to_its_end(
    *, fails: bool, status: str, data: object
) -> None:
    async with behind_http(shop()) as (engine, http):
        (event,) = await engine.send(durable.Event("work", {"fails": fails}))
        (run,) = await engine.events.runs(event)
        topics = [(run.id, one) for one in ("$step", "$run", "progress", "one")]
        await until_parked(engine, run.id)
        async with (
            through_socket(http, *topics) as socket,
            to_stream(http, *topics) as stream,
        ):
            await engine.signal("begin", None)
            heard = await socket.take(7)
            assert await stream.take(7) == heard
    told = [(one["kind"], one["topic"], one["data"]) for one in heard]
    ok, bad = {"n": 1}, {"name": "ValueError", "message": "no use"}
    assert told[1:3] == [("step", "$step", ok), ("step", "one", ok)]
    assert {("data", "progress")} == {one[:2] for one in told if one[2] == 50}
    assert ("step", "$step", bad) in told
    assert told[-1] == ("run", "$run", data)
    assert heard[-1]["metadata"] == {"status": status}
    of_run = [one for one in heard if one["kind"] != "data"]
    assert {one["run_id"] for one in of_run} == {run.id}
    assert len({one["fn_id"] for one in of_run}) == 1
    steps = [one["metadata"] for one in heard if one["topic"] == "$step"]
    names = ["begin", "one", "publish progress", "bad"]
    assert [one["step"] for one in steps] == names
    assert steps[0]["kind"] == "wait_for_signal"
    assert [one["status"] for one in steps] == [*["completed"] * 3, "failed"]


async def until_parked(engine: durable.Engine, run: str) -> None:
    async for message in engine.subscribe(run, "$step"):
        if message.data["step"] == "before":
            return


async def test_what_is_called_over_http_publishes_to_all() -> None:
    app = durable.App("shop")

    @app.function("tell", on="tell")
    async def tell(ctx: durable.Context) -> str:
        return await ctx.publish("news", "all", {"run": ctx.run_id})

    async with behind_http() as (engine, http):
        endpoint = durable.serve(app, server=str(http.base_url), is_dev=True)
        here = engine.subscribe("news", after="now")
        async with listening(endpoint) as url, through_socket(http, NEWS) as socket:
            await endpoint.register(f"{url}/api/durable")
            first = asyncio.create_task(anext(here))
            (event,) = await engine.send(durable.Event("tell"))
            (run,) = await engine.events.runs(event)
            assert (await socket.next())["data"] == {"run": run.id}
            assert (await engine.runs.wait(run.id)).result == (await first).id
        await here.aclose()


async def test_a_stream_is_passed_on_piece_by_piece() -> None:
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield "ein Fünf".encode()[:6]
        await go_on.wait()
        yield "ein Fünf".encode()[6:]
        yield b"x" * 3_000

    async with (
        behind_http() as (engine, http),
        through_socket(http, NEWS) as socket,
        to_stream(http, NEWS) as stream,
    ):
        here = engine.subscribe("news", after="now")
        asked = asyncio.create_task(
            http.post(
                "/v1/realtime/publish",
                params={"channel": "news", "topic": "all", "metadata": '{"of": "it"}'},
                content=body(),
                headers={"Content-Type": "text/stream"},
            )
        )
        begin, first = await socket.take(2)
        assert (begin["kind"], first["kind"]) == ("datastream-start", "chunk")
        assert not asked.done()
        go_on.set()
        heard = [begin, first]
        while heard[-1]["kind"] != "datastream-end":
            heard.append(await socket.next())
        assert (await asked).status_code == 200
        assert await stream.take(len(heard)) == heard
        await engine.publish("news", "all", "kept")
        assert (await anext(here)).data == "kept", "no piece of a stream is"
        await here.aclose()
    pieces = [one["data"] for one in heard[1:-1]]
    assert "".join(pieces) == "ein Fünf" + "x" * 3_000
    assert max(len(piece.encode()) for piece in pieces) == 1_024
    assert begin["data"] == heard[-1]["data"] == begin["stream_id"]
    assert {one["stream_id"] for one in heard} == {begin["data"]}
    assert {one["channel"] for one in heard} == {"news"}
    assert {one["metadata"]["of"] for one in heard} == {"it"}


async def test_a_stream_is_not_endless() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(1_001):
            yield b"x" * 1_024

    async with behind_http() as (_, http), through_socket(http, NEWS) as socket:
        answer = await http.post(
            "/v1/realtime/publish?channel=news&topic=all",
            content=body(),
            headers={"Content-Type": "text/stream"},
        )
        assert answer.status_code == 413
        kinds = [one["kind"] for one in await socket.take(1_002)]
    assert kinds == ["datastream-start", *["chunk"] * 1_000, "datastream-end"]


async def test_bytes_are_copied_as_they_come() -> None:
    place = ("01M80PMN50QVNRV8B5HVP6E000", "$stream")
    said = b"event: of its own\ndata: 1\n\n"
    async with (
        behind_http() as (_, http),
        to_stream(http, place) as stream,
        through_socket(http, place) as socket,
    ):
        answer = await http.post(
            f"/v1/realtime/publish/tee?channel={place[0]}", content=said
        )
        assert answer.status_code == 200
        assert [await stream.line() for _ in range(5)][2:] == [
            "event: of its own",
            "data: 1",
            "",
        ]
        assert await socket.connection.recv() == said.decode()


@pytest.mark.parametrize(
    ("query", "body", "status", "word"),
    [
        ("topic=a", b"1", 400, "channel"),
        ("channel=c", b"1", 400, "topic"),
        ("channel=c&topic=%24step", b"1", 400, "the engine's own"),
        ("channel=c&topic=a&topic=b", b"1", 400, "one topic"),
        ("channel=c&topic=a&run_id=r", b"1", 400, "run_id"),
        (f"channel={'c' * 257}&topic=a", b"1", 400, "256"),
        ("channel=c&topic=a", b'"%s"' % (b"x" * 512 * 1024), 413, "524288"),
    ],
)
async def test_what_cannot_be_published_is_refused(
    query: str, body: bytes, status: int, word: str
) -> None:
    async with behind_http() as (_, http):
        answer = await http.post(f"/v1/realtime/publish?{query}", content=body)
        packed = await http.post(
            "/v1/realtime/publish?channel=c&topic=a",
            content=b"1",
            headers={"Content-Encoding": "gzip"},
        )
    assert (answer.status_code, packed.status_code) == (status, 415)
    assert word in answer.json()["error"]


async def test_nobody_listens_without_a_token_of_this_server() -> None:
    async with behind_http() as (_, other):
        strange = await token(other, [NEWS])
    async with behind_http() as (_, http):
        good = await token(http, [NEWS])
        head, claims, signature = good.split(".")
        wrong = ["", "x", strange, f"{head}.{claims}.", f"e30.{claims}.{signature}"]
        for jwt in wrong:
            assert await stream_status(http, jwt) == 401, jwt
            with pytest.raises(InvalidStatus, match="401"):
                await connect(socket_url(http, jwt)).__aenter__()
        for asked in ([], {}, [{"channel": "c"}], [{"channel": "c", "name": ""}]):
            answer = await http.post("/v1/realtime/token", json=asked)
            assert answer.status_code == 400
        headers = {"Authorization": f"Bearer {good}"}
        async with http.stream("GET", "/v1/realtime/sse", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"


async def test_tokens_and_messages_are_for_who_has_the_signing_key() -> None:
    keys: dict[str, Any] = {"signing_keys": (KEY,), "event_keys": ("e",)}
    bearer = {"Authorization": f"Bearer {KEY}"}
    async with behind_http(is_dev=False, **keys) as (_, http):
        asked = [{"channel": "news", "name": "all"}]
        answers = [
            await http.post("/v1/realtime/token", json=asked),
            await http.post("/v1/realtime/publish?channel=c&topic=a", content=b"1"),
            await http.post("/v1/realtime/publish/tee?channel=c", content=b"1"),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 401]
        jwt = await token(http, [NEWS], **bearer)
        published = await http.post(
            "/v1/realtime/publish?channel=c&topic=a",
            content=b"1",
            headers={"Authorization": f"Bearer {jwt}"},
        )
        assert published.status_code == 401, "a token lets listen, and nothing else"
        async with connect(socket_url(http, jwt)) as connection:
            http.headers.update(bearer)
            await publish(http, *NEWS, 1)
            assert (await Socket(connection).next())["data"] == 1


async def test_pages_of_others_do_not_listen() -> None:
    """Even with a token. In dev mode all of this machine may; else those that are named."""
    keys: dict[str, Any] = {"signing_keys": (KEY,), "event_keys": ("e",)}
    own = {"is_dev": False, "origins": ("https://shop.example",), **keys}
    bearer = {"Authorization": f"Bearer {KEY}"}
    evil = ("http://evil.example", "https://localhost.evil.example", "null")
    for settings, good, bad in (
        ({}, ("http://localhost:3000", "http://127.0.0.1:3000"), evil),
        (own, ("https://shop.example",), (*evil, "http://localhost:3000")),
    ):
        async with behind_http(**settings) as (_, http):
            jwt = await token(http, [NEWS], **bearer)
            url = socket_url(http, jwt)
            same = str(http.base_url).rstrip("/")
            for origin in (*good, same):
                headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
                async with connect(url, additional_headers=headers):
                    pass
                path = f"/v1/realtime/sse?token={jwt}"
                async with http.stream("GET", path, headers=headers) as answer:
                    allowed = answer.headers["access-control-allow-origin"]
                    assert (answer.status_code, allowed) == (200, origin)
            for origin in bad:
                with pytest.raises(InvalidStatus, match="403"):
                    await connect(url, origin=origin).__aenter__()  # type: ignore[arg-type]
                assert await stream_status(http, jwt, Origin=origin) == 403
            hidden = {"Sec-Fetch-Site": "cross-site"}
            assert await stream_status(http, jwt, **hidden) == 403


async def test_topics_are_added_and_given_up() -> None:
    async with behind_http() as (engine, http), through_socket(http, NEWS) as socket:
        await socket.say({"kind": "ping"})
        assert (await socket.next())["kind"] == "pong"
        await socket.say({"kind": "sub", "data": await token(http, [("c", "t")])})
        answer = await socket.next()
        assert answer["kind"] == "sub"
        assert [one["channel"] for one in answer["data"]] == ["c", "news"]
        await engine.publish("c", "t", 1)
        assert (await socket.next())["data"] == 1
        await socket.say({"kind": "sub", "data": "no token"})
        assert "token" in (await socket.next())["metadata"]["error"]
        gone = [{"channel": "news", "name": "all"}, {"channel": "x", "name": "y"}]
        await socket.say({"kind": "unsub", "data": gone})
        assert [one["channel"] for one in (await socket.next())["data"]] == ["c"]
        await socket.say({"kind": "unsub", "data": 7})
        assert "topics" in (await socket.next())["metadata"]["error"]
        await engine.publish("news", "all", 2)
        await engine.publish("c", "t", 3)
        assert (await socket.next())["data"] == 3
        await socket.connection.send("nothing that anybody could read")
        await socket.connection.send(b"\x00")
        await engine.publish("c", "t", 4)
        assert (await socket.next())["data"] == 4


async def test_who_listens_is_told_when_the_server_closes() -> None:
    async with contextlib.AsyncExitStack() as clients:
        http = await clients.enter_async_context(httpx.AsyncClient())
        async with behind_http() as (_, own):
            http.base_url = own.base_url
            url = socket_url(http, await token(http, [NEWS]))
            connection = await clients.enter_async_context(connect(url))
            stream = await clients.enter_async_context(to_stream(http, NEWS))
            ends = asyncio.create_task(_to_the_end(Socket(connection), stream))
        told, streamed = await asyncio.wait_for(ends, LIMIT_S)
    for message in (told, streamed):
        assert message["kind"] == "closing"
        assert "closing" in message["data"]["reason"]
    assert connection.close_code == 1013


async def stream_status(http: httpx.AsyncClient, jwt: str, **headers: str) -> int:
    """What whoever would listen to a stream of events is answered."""
    path = f"/v1/realtime/sse?token={jwt}"
    async with http.stream("GET", path, headers=headers) as answer:
        is_readable = "access-control-allow-origin" in answer.headers
        assert is_readable <= (answer.status_code == 200)
        return answer.status_code


async def _to_the_end(
    socket: Socket, stream: Stream
) -> tuple[dict[str, Any], dict[str, Any]]:
    last = await stream.next()
    with pytest.raises(EOFError):
        await stream.next()
    told = await socket.next()
    with pytest.raises(ConnectionClosed):
        await socket.next()
    return told, last


async def test_who_is_too_slow_is_let_go_and_holds_up_nobody() -> None:
    """One takes nothing at all; the other is given everything meanwhile."""
    large = "x" * 500_000
    async with (
        behind_http() as (engine, http),
        to_stream(http, NEWS) as slow,
        through_socket(http, NEWS) as quick,
    ):
        for n in range(60):
            await engine.publish("news", "all", [n, large])
            assert (await quick.next())["data"][0] == n
        heard = [await slow.next()]
        while heard[-1]["kind"] == "data":
            heard.append(await slow.next())
        assert await slow.line() == ""
        assert await slow.line() is None
        stats = (await http.get("/metrics")).text
    assert heard[-1]["kind"] == "closing"
    assert "faster" in heard[-1]["data"]["reason"]
    assert [one["data"][0] for one in heard[:-1]] == list(range(len(heard) - 1))
    assert 8 <= len(heard) < 60
    assert "durable_realtime_subscribers 1\n" in stats


async def test_a_hundred_listen_and_nobody_who_is_gone_is_kept() -> None:
    async with behind_http() as (engine, http):
        async with contextlib.AsyncExitStack() as all_of_them:
            jwt = await token(http, [NEWS])
            sockets = [
                await all_of_them.enter_async_context(connect(socket_url(http, jwt)))
                for _ in range(100)
            ]
            await engine.publish("news", "all", 7)
            heard = [await Socket(one).next() for one in sockets]
        assert [one["data"] for one in heard] == [7] * 100

        async def is_empty() -> bool:
            stats = (await http.get("/metrics")).text
            return "durable_realtime_subscribers 0\n" in stats

        async with asyncio.timeout(LIMIT_S):
            while not await is_empty():
                pass
