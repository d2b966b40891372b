"""What is asked of a server in turn, and what its answers mean."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

import durable
from durable._serving.keys import Keys
from durable._serving.server import Server


EVENT = ("a/b", b'{"n":1}', "e1", 7, "v1", b'{"who":1}')


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """What is asked; the server answers as its path's last part says."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        status = request.url.params.get("topic") or request.url.path.rpartition("/")[2]
        code = int(status) if status.isdigit() else 200
        said = {"ids": ["i1"], "id": "m1", "error": "so it is"}
        return httpx.Response(code, json=said, headers={"Retry-After": "3"})

    mocked = httpx.MockTransport(answer)
    monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: mocked)
    return asked


def server(event_key: str = "key/1", *keys: str) -> Server:
    return Server("http://server:8288/", event_key, Keys(keys))


def test_events_are_sent_with_the_event_key(answers: list[httpx.Request]) -> None:
    assert server().send([EVENT]) == ["i1"]
    (asked,) = answers
    assert str(asked.url) == "http://server:8288/e/key%2F1"
    assert "authorization" not in asked.headers
    assert orjson.loads(asked.content) == [
        {
            "name": "a/b",
            "data": {"n": 1},
            "id": "e1",
            "ts": 7,
            "v": "v1",
            "user": {"who": 1},
        }
    ]


def test_the_rest_is_asked_with_the_signing_key(answers: list[httpx.Request]) -> None:
    opened = server("", "signkey-test-00ff10")
    assert opened.register(b"{}", {"X-A": "1"}, "d 1")[0] == 200
    assert opened.events_of("r") == opened.memos_of("r")
    assert opened.publish("c", "t", b"1") == "m1"
    paths = [asked.url.raw_path.decode() for asked in answers]
    assert paths == [
        "/fn/register?deployId=d%201",
        "/v0/runs/r/batch",
        "/v0/runs/r/actions",
        "/v1/realtime/publish?channel=c&topic=t",
    ]
    assert {asked.headers["authorization"][:20] for asked in answers} == {
        "Bearer signkey-test-"
    }


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400", durable.EventRefused),
        ("401", durable.ConfigError),
        ("404", ConnectionError),
        ("413", durable.PayloadTooLarge),
        ("429", durable.RetryAfterError),
        ("500", ConnectionError),
    ],
)
def test_a_refusal_says_what_to_do(status: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="so it is"):
        server(status).send([EVENT])
    with pytest.raises(error, match="so it is"):
        server().publish("c", status, b"1")


def test_a_server_that_is_not_there_is_named() -> None:
    away = Server("http://u:p@127.0.0.1:1", "", Keys([]))
    asks: list[Callable[[], Any]] = [
        lambda: away.send([EVENT]),
        lambda: away.register(b"{}", {}, ""),
    ]
    for ask in asks:
        with pytest.raises(ConnectionError, match=r"http://127.0.0.1:1 does not"):
            ask()


def test_no_secret_of_an_address_is_shown(
    answers: list[httpx.Request], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = Server("http://u:secret@server:8288/path", "secret/404", Keys([]))
    assert asked.place == "http://server:8288"
    with pytest.raises(ConnectionError) as caught:
        asked.send([EVENT])
    assert len(answers) == 1
    assert "secret" not in f"{caught.value}{caplog.text}"
