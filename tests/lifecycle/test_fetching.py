"""What is promised of requests made as steps: one answer, remembered; no answer, another try."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

import durable


pytestmark = pytest.mark.asyncio


class Server:
    """A server on loopback that writes down what it is asked."""

    def __init__(self, serve: Callable[[type[BaseHTTPRequestHandler]], str]) -> None:
        self.asked: list[tuple[str, str, bytes, str | None]] = []
        self.body = b'{"ok": true}'
        self.status = 200
        self.hang_ups = 0  # so many requests get no answer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(size)
                outer.asked.append(
                    (self.command, self.path, body, self.headers.get("x-mine"))
                )
                if outer.hang_ups:
                    outer.hang_ups -= 1
                    self.connection.close()
                    return
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("location", "/there")
                    self.end_headers()
                    return
                self.send_response(outer.status)
                self.send_header("x-two", "a")
                self.send_header("X-Two", "b")
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            do_GET = do_POST = _answer  # noqa: N815  # the server's own names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.url = serve(Handler)


@pytest.fixture
def server(serve: Callable[[type[BaseHTTPRequestHandler]], str]) -> Server:
    return Server(serve)


def fetching(world: Any, *arguments: Any, **options: Any) -> list[Any]:
    """A function whose runs make one request; what each was answered."""
    answers: list[Any] = []

    async def fetcher(ctx: durable.Context) -> int | str:
        try:
            answer = await ctx.step.fetch("ask", *arguments, **options)
        except durable.StepError as error:
            return f"{error.name}: {error.message}"
        await ctx.step.sleep("rest", "1m")
        answers.append(answer)
        return answer.status

    flat = durable.Retries(2, durable.Backoff("1s", jitter=0))
    world.function(fetcher, on="test/start", retries=flat)
    return answers


async def outcome_of(world: Any) -> Any:
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("2m")
    return (await world.get(run_id)).result


async def test_an_answer_is_remembered_and_asked_for_once(
    world: Any, server: Server
) -> None:
    options = {"method": "POST", "params": {"q": "1"}, "headers": {"X-Mine": "me"}}
    answers = fetching(world, f"{server.url}/a", json={"n": 1}, **options)
    await world.open()
    run_id = await world.start()
    await world.restart()
    await world.engine.advance("1m")
    assert (await world.get(run_id)).result == 200
    assert server.asked == [("POST", "/a?q=1", b'{"n":1}', "me")]
    (answer,) = answers
    assert isinstance(answer, durable.FetchResponse)
    assert (answer.url, answer.status) == (f"{server.url}/a?q=1", 200)
    assert answer.data() == {"ok": True}
    assert answer.headers["x-two"] == "a, b"


@pytest.mark.parametrize("body", [b"", "häh".encode(), bytes(range(256))])
async def test_any_body_comes_back_as_it_was(
    world: Any, server: Server, body: bytes
) -> None:
    server.body = body
    answers = fetching(world, server.url)
    await outcome_of(world)
    assert answers[-1].body == body


async def test_any_status_is_an_answer(world: Any, server: Server) -> None:
    server.status = 503
    answers = fetching(world, server.url)
    assert await outcome_of(world) == 503
    assert not answers[-1].is_success
    assert len(server.asked) == 1


async def test_where_no_answer_comes_it_is_tried_again(
    world: Any, server: Server
) -> None:
    server.hang_ups = 2
    fetching(world, server.url)
    assert await outcome_of(world) == 200
    assert len(server.asked) == 3


async def test_when_the_tries_are_used_up_the_step_fails(
    world: Any, server: Server
) -> None:
    server.hang_ups = 9
    fetching(world, server.url)
    assert (await outcome_of(world)).startswith(f"RemoteProtocolError: {server.url}: ")
    assert len(server.asked) == 3


async def test_a_whole_request_and_redirects(world: Any, server: Server) -> None:
    request = httpx.Request("GET", f"{server.url}/moved", headers={"x-mine": "r"})
    answers = fetching(world, request, follow_redirects=True)
    assert await outcome_of(world) == 200
    assert answers[-1].url == f"{server.url}/there"
    assert server.asked[0] == ("GET", "/moved", b"", "r")


async def test_a_plain_handler_fetches_too(world: Any, server: Server) -> None:
    def plain(ctx: durable.SyncContext) -> Any:
        return ctx.step.fetch("ask", server.url).data()

    world.function(plain, on="test/start")
    assert await outcome_of(world) == {"ok": True}


@pytest.mark.parametrize(
    ("asked", "options", "message"),
    [
        ("no url", {}, "UsageError: 'no url' cannot be fetched: "),
        ("ftp://x/y", {}, "UsageError: "),
        ("http://x", {"colour": 1}, "UsageError: 'http://x' cannot be"),
    ],
)
async def test_what_cannot_be_asked_is_told_at_once(
    world: Any, asked: str, options: dict[str, Any], message: str
) -> None:
    fetching(world, asked, **options)
    await world.open()
    run_id = await world.start()  # no try is waited for
    assert message in (await world.get(run_id)).result


async def test_too_large_an_answer_is_told_at_once(world: Any, server: Server) -> None:
    server.body = b"x" * 3_200_000
    fetching(world, server.url)
    assert (await outcome_of(world)).startswith("PayloadTooLarge: ")
    assert len(server.asked) == 1
