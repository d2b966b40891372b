"""With keys: who asks is checked on both sides, and one key may take another's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .hearing import heard, listener
from .outside import Outside
from .running import Application, Server, application, server
from .toolchains import COMMANDS, DIALLING, SDKS


#: Go's SDK signs no replies of functions (v0.14.4), so that a server with keys takes none.
SIGNING = [sdk for sdk in SDKS if sdk != "go"]
CALLED = [sdk for sdk in SIGNING if sdk not in DIALLING]
OLD, NEW = "signkey-prod-00ff10", "signkey-prod-7e57ed"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`durable serve` with the new key only."""
    folder = tmp_path_factory.mktemp("serve")
    options = ["--event-key", "an-event-key", "--signing-key", NEW]
    with server(folder, "serve", *options, "--allow", "127.0.0.1", key=NEW) as one:
        yield one


@pytest.fixture
def start(serve: Server, tmp_path: Path) -> Any:
    """Applications in production, with keys."""

    def begin(sdk: str, key: str, fallback: str = "", called: str = "") -> Any:
        environment = {
            "MODE": "production",
            "INNGEST_SIGNING_KEY": key,
            "INNGEST_EVENT_KEY": "an-event-key",
            **({"INNGEST_SIGNING_KEY_FALLBACK": fallback} if fallback else {}),
        }
        name = called or sdk
        return application(name, COMMANDS[sdk](), serve, tmp_path, **environment)

    return begin


def works(app: Application) -> None:
    key = app.new_key()
    assert app.register().status_code == 200
    assert app.output("sequence", key, n=5) == {"sum": 2, "n": 5}
    ids = app.output("send", key)
    for event in ids:
        app.server.ended(event)
    assert app.notes(key).count("sent") == 2


@pytest.mark.parametrize("sdk", CALLED)
def test_functions_run_where_both_have_the_key(sdk: str, start: Any) -> None:
    with start(sdk, NEW) as app:
        works(app)
        unsigned = call(app, {})
        made_up = call(app, {"x-inngest-signature": "t=1&s=00"})
    assert (unsigned, made_up) == (401, 401)


@pytest.mark.parametrize("sdk", SIGNING)
def test_what_is_published_with_the_key_is_heard(sdk: str, start: Any) -> None:
    with start(sdk, NEW) as app:
        assert app.register().status_code == 200
        key = app.new_key()
        with listener(app, key, "progress") as connection:
            app.send("publishes", key)
            assert heard(connection)["data"] == {"n": 1}


@pytest.mark.parametrize("sdk", SIGNING)
def test_a_new_key_takes_over_from_an_old_one(sdk: str, start: Any) -> None:
    """The application has both, and tries the old one first; the server has forgotten that."""
    with start(sdk, OLD, NEW) as app:
        works(app)


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk not in DIALLING])
def test_whoever_has_another_key_registers_nothing(sdk: str, start: Any) -> None:
    with start(sdk, OLD, called=f"{sdk}-of-others") as app:
        app.register()  # Python's SDK answers 200, with the error in the body
        invoked = app.server.http.post(f"/invoke/{app.name}-plain", json={})
    assert invoked.status_code == 404


def test_a_key_of_before_still_opens_what_the_server_keeps_it_for(
    tmp_path: Path,
) -> None:
    keys = ["--signing-key", NEW, "--signing-key", OLD]
    options = ["--event-key", "an-event-key", "--allow", "127.0.0.1", *keys]
    environment = {"MODE": "production", "INNGEST_EVENT_KEY": "an-event-key"}
    signing = {"INNGEST_SIGNING_KEY": OLD, "INNGEST_SIGNING_KEY_FALLBACK": NEW}
    with (
        server(tmp_path, "serve", *options, key=OLD) as both,
        application(
            "fastapi", COMMANDS["fastapi"](), both, tmp_path, **environment, **signing
        ) as app,
    ):
        works(app)


def test_a_reply_that_nobody_signed_counts_for_nothing(serve: Server) -> None:
    with Outside(serve.url).answering() as stranger:
        url = f"{stranger.url}/pretends"
        step = {"runtime": {"type": "http", "url": url}, "retries": {"attempts": 0}}
        function = {
            "id": "stranger-f",
            "name": "f",
            "triggers": [{"event": "stranger/f"}],
            "steps": {"step": {"id": "step", "name": "step", **step}},
        }
        said = {"url": url, "appName": "stranger", "functions": [function]}
        refused = serve.http.post(
            "/fn/register", json=said, headers={"authorization": "Bearer 00ff10"}
        )
        assert refused.status_code == 401
        assert serve.http.post("/fn/register", json=said).status_code == 200
        run = serve.ended(serve.send("stranger/f", {}))
    assert run["status"] == "Failed"
    assert "not signed" in run["output"]["message"]


def test_events_come_in_with_the_event_key_only(serve: Server) -> None:
    answer = serve.http.post("/e/another-key", json={"name": "a/b"}, headers=NOBODY)
    assert answer.status_code == 401


NOBODY = {"authorization": ""}


def call(app: Application, headers: dict[str, str]) -> int:
    """What a function answers somebody who is not the server."""
    url = "/api/inngest"
    where = {"fnId": f"{app.name}-plain", "stepId": "step"}
    body = {"ctx": {}, "event": {"name": "a", "data": {}}, "events": [], "steps": {}}
    content = json.dumps(body)
    kind = {"content-type": "application/json"}
    answer = app.http.post(
        url, params=where, content=content, headers={**kind, **headers}
    )
    return answer.status_code
