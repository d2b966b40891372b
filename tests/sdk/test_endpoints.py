"""Durable endpoints: what is asked for over HTTP is a run, and each of its steps is done once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .running import (
    Application,
    Server,
    application,
    free_port,
    server,
    until,
)
from .toolchains import APPS, typescript_command


@pytest.fixture(scope="module")
def endpoints(
    dev: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    node, _ = typescript_command()
    command = [node, str(APPS / "typescript" / "endpoints.mjs")]
    folder = tmp_path_factory.mktemp("endpoints")
    with application("endpoints", command, dev, folder) as one:
        yield one


def ask(app: Application, path: str, key: str) -> httpx.Response:
    """As a browser does: it goes where it is sent."""
    return app.http.get(path, params={"key": key}, follow_redirects=True)


def run_of(server: Server, key: str) -> dict[str, Any]:
    """What the server has of the run that a request began."""
    events = server.http.get("/v1/events", params={"limit": 100}).json()["data"]
    (event,) = [
        one
        for one in events
        if one["name"] == "inngest/http.request" and key in one["data"]["query_params"]
    ]
    return server.run(event["id"])


def test_a_request_whose_steps_all_work_is_answered_at_once(
    endpoints: Application,
) -> None:
    key = endpoints.new_key()
    answer = ask(endpoints, "/steps", key)
    assert not answer.history
    assert (answer.status_code, answer.headers["x-made"]) == (201, "here")
    assert answer.json() == ["one", "two"]
    assert endpoints.notes(key) == ["one", "two"]
    until(lambda: run_of(endpoints.server, key)["status"] == "Completed")


@pytest.mark.parametrize(
    ("path", "text"),
    [("/nap", "one two"), ("/parallel", '["a","b"]')],
)
def test_a_request_that_waits_is_answered_elsewhere(
    endpoints: Application, path: str, text: str
) -> None:
    """The SDK hands in the text of its answer: its status and headers it keeps to itself."""
    key = endpoints.new_key()
    answer = ask(endpoints, path, key)
    assert [one.status_code for one in answer.history] == [302]
    assert (answer.status_code, answer.json()) == (200, text)
    done = sorted(endpoints.notes(key))
    assert len(done) == len(set(done)) == 2
    assert run_of(endpoints.server, key)["status"] == "Completed"


def test_a_request_waits_for_an_event(endpoints: Application) -> None:
    key = endpoints.new_key()
    sent = endpoints.http.get("/wait", params={"key": key})
    assert sent.status_code == 302
    assert run_of(endpoints.server, key)["status"] == "Running"
    endpoints.server.send("a/word", {"key": key, "word": "now"})
    answer = httpx.get(sent.headers["location"], timeout=60)
    assert (answer.status_code, answer.json()) == (200, '"now"')


def test_a_step_that_fails_is_tried_again(endpoints: Application) -> None:
    key = endpoints.new_key()
    answer = ask(endpoints, "/flaky", key)
    assert answer.json() == '{"tries":3}'
    assert endpoints.notes(key) == ["try"] * 3


def test_code_that_fails_is_tried_as_often_as_it_may(endpoints: Application) -> None:
    key = endpoints.new_key()
    answer = ask(endpoints, "/fails", key)
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "again and again"
    notes = endpoints.notes(key)
    assert (notes.count("one"), notes.count("call")) == (1, 4)
    assert run_of(endpoints.server, key)["status"] == "Failed"


def test_who_is_answered_with_a_page_is_safe_from_it(endpoints: Application) -> None:
    answer = ask(endpoints, "/page", endpoints.new_key())
    assert "<script>" in answer.text
    assert answer.headers["content-security-policy"] == "sandbox"


def test_an_answer_is_for_who_was_sent_for_it(endpoints: Application) -> None:
    key = endpoints.new_key()
    sent = endpoints.http.get("/nap", params={"key": key})
    url = httpx.URL(sent.headers["location"])
    for token in ("", "1.00", url.params["token"][:-1] + "g"):
        wrong = httpx.get(url.copy_set_param("token", token))
        assert wrong.status_code == 401, token
    other = httpx.get(
        str(url).replace(url.path, "/v1/http/runs/01JGXM5K00000000000000000/output")
    )
    assert other.status_code == 401


def test_who_is_no_endpoint_begins_no_run(dev: Server) -> None:
    run = {"run_id": "01JGXM5K000000000000000000", "steps": []}
    for event, why in [
        ({"data": {"domain": "nowhere"}}, "no domain"),
        ({"data": {"domain": "http://169.254.169.254", "path": "/"}}, "169.254"),
        ({}, "data"),
    ]:
        answer = dev.http.post("/v1/checkpoint", json={**run, "event": event})
        assert answer.status_code == 400, answer.text
        assert why in answer.json()["error"]
    event = {"data": {"domain": dev.url, "path": "/"}}
    wrong = {"run_id": "mine", "event": event}
    assert dev.http.post("/v1/checkpoint", json=wrong).status_code == 400
    path = "/v1/checkpoint/01JGXM5K000000000000000000/steps"
    assert dev.http.post(path, json={"steps": []}).status_code == 404


def test_a_run_goes_on_where_the_server_was_begun_again(tmp_path: Path) -> None:
    node, _ = typescript_command()
    command = [node, str(APPS / "typescript" / "endpoints.mjs")]
    port = free_port()
    same = ["--no-discovery", "--port", str(port)]
    with contextlib.ExitStack() as stack:
        with server(tmp_path, "dev", *same) as first:
            started = application("again", command, first, tmp_path)
            app = stack.enter_context(started)
            key = app.new_key()
            with pytest.raises(httpx.ReadTimeout):
                app.http.get("/stuck", params={"key": key}, timeout=1)
            assert app.notes(key) == ["one", "call"]
        with server(tmp_path, "dev", *same) as second:
            until(lambda: run_of(second, key)["status"] == "Completed")
        assert app.notes(key) == ["one", "call", "call", "two", "call"]


def test_what_is_said_of_a_run_that_has_gone_on_is_refused(
    endpoints: Application,
) -> None:
    key = endpoints.new_key()
    ask(endpoints, "/steps", key)
    run = until(lambda: run_of(endpoints.server, key))
    until(lambda: run_of(endpoints.server, key)["status"] == "Completed")
    steps = [{"id": "0" * 40, "op": "StepRun", "data": 1}]
    path = f"/v1/checkpoint/{run['run_id']}/steps"
    late = endpoints.server.http.post(path, json={"steps": steps})
    assert late.status_code == 409
