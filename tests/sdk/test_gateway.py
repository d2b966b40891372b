"""Requests that the server makes for a step, and what of a step only its function can read."""

from __future__ import annotations

import json

import pytest

from .outside import Outside
from .running import Application
from .toolchains import SDKS


FETCHING = [sdk for sdk in SDKS if sdk.startswith(("typescript", "go"))]


@pytest.mark.parametrize("app", FETCHING, indirect=True)
def test_the_server_fetches(app: Application, outside: Outside) -> None:
    told = app.output("fetch", app.new_key(), provider=outside.url)
    assert told == {"status": 200, "body": {"said": "said", "own": "mine"}}


def test_the_server_asks_for_an_inference(app: Application, outside: Outside) -> None:
    told = app.output("infer", app.new_key(), provider=outside.url, say="hello")
    assert told["choices"][0]["message"]["content"] == "small: hello"


@pytest.mark.parametrize(
    "app", ["fastapi", "typescript", "python-connect"], indirect=True
)
def test_what_is_encrypted_is_nowhere_in_the_server(app: Application) -> None:
    event = app.send("encrypted", app.new_key())
    run = app.server.ended(event)
    assert run["status"] == "Completed"
    steps = app.server.http.get(f"/v0/runs/{run['run_id']}/actions").json()
    assert len(steps) == 2
    assert "plain words" not in json.dumps([steps, run])


@pytest.mark.parametrize("app", ["typescript"], indirect=True)
def test_an_inference_may_be_the_functions_own(app: Application) -> None:
    assert app.output("wrap", app.new_key(), say="hello") == "HELLO"
