"""T43: secrets in 40 places and more, and none of them in a log, in /metrics, or in an answer to somebody without a key.

All of it at every change. Two processes: `durable serve`, which executes one application itself, and another application behind `durable.serve`,
whose log is at DEBUG for every library. Each has a canary in everything that it is given, and much of it goes wrong.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..sdk.running import free_port, process, until
from .attacked import function, registration


PROGRAMS = Path(__file__).parent / "programs"


class Canaries(dict[str, str]):
    """What must not be found again, by the place where it was put: hexadecimal, so that any may be a key."""

    def __missing__(self, place: str) -> str:
        digits = hashlib.sha256(place.encode()).hexdigest()
        self[place] = f"ca{digits[:38]}"
        return self[place]

    def found_in(self, text: str) -> list[str]:
        """The places whose secrets are there: as they are, or so hashed that they would open what they open."""
        low = text.lower()
        return [
            place
            for place, secret in self.items()
            if secret in low or hashlib.sha256(bytes.fromhex(secret)).hexdigest() in low
        ]


class Stage:
    """Both processes, and all that they ever said to those without a key."""

    def __init__(self, canaries: Canaries, folder: Path) -> None:
        self.canaries = canaries
        self.folder = folder
        self.heard: list[str] = []
        self.http = httpx.Client()
        self.port = free_port()

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer signkey-test-{self.canaries['signing key']}"}

    def ask(self, method: str, path: str, **said: Any) -> httpx.Response:
        """As somebody who has the keys."""
        headers = {**self.bearer, **said.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **said)

    def ask_as_nobody(self, method: str, path: str, **said: Any) -> httpx.Response:
        """As somebody else, who hears the answer."""
        answer = self.http.request(method, path, **said)
        self.heard.append(f"{answer.headers} {answer.text}")
        return answer

    def send(self, name: str, **fields: Any) -> str:
        key = self.canaries["event key"]
        answer = self.http.post(f"/e/{key}", json={"name": name, **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ids"][0])

    def ended(self, event: str) -> dict[str, Any]:
        """The only run of an event, once it has ended."""

        def find() -> Any:
            said = self.ask("GET", f"/v1/events/{event}/runs").json()["data"]
            return said[0] if said and said[0]["ended_at"] else None

        found: dict[str, Any] = until(find)
        return found

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Both processes, running."""
    canaries, folder = Canaries(), tmp_path_factory.mktemp("canaries")
    one = Stage(canaries, folder)
    fill(canaries)
    options = ["--port", "0", "--store", str(folder / "store"), "--allow", "127.0.0.1"]
    for key in ("event key", "event key of before"):
        options += ["--event-key", canaries[key]]
    for key in ("signing key", "signing key of before"):
        options += ["--signing-key", f"signkey-test-{canaries[key]}"]
    line = [sys.executable, "-m", "durable", "serve", "talkative:inside", *options]
    sys.path.append(str(PROGRAMS))  # `process` hands it on
    said = {"CANARIES": json.dumps(canaries)}
    with process(line, folder / "serve.log", said):
        listening = "listens on "
        text = until(lambda: listening in (text := one.logs()) and text)
        url = text.partition(listening)[2].split()[0]
        keys = {
            "DURABLE_SIGNING_KEY": f"signkey-test-{canaries['signing key']}",
            "DURABLE_SIGNING_KEY_FALLBACK": canaries["signing key of later"],
            "DURABLE_EVENT_KEY": canaries["event key"],
            "DURABLE_SERVER": url,
            "PORT": str(one.port),
        }
        program = [sys.executable, str(PROGRAMS / "talkative.py")]
        with (
            process(program, folder / "outside.log", said | keys),
            httpx.Client(base_url=url, timeout=60) as one.http,
        ):
            until(lambda: "Uvicorn running" in one.logs())
            yield one
    sys.path.remove(str(PROGRAMS))


def fill(canaries: Canaries) -> None:
    """What both processes are started with."""
    for name in ("inside", "outside"):
        for what in ("output of a step", "error of a step", "error of a handler"):
            canaries[f"{what} {name}"]
        canaries[f"event sent by a step {name}"]
        canaries[f"result of a run {name}"]
    for place in (
        "event that is not accepted",
        "signing key of no server",
        "user of a server that is not there",
        "event key of no server",
        "path of a server",
        "another event key",
        "event key that is wrong",
    ):
        canaries[place]


def talk(stage: Stage) -> None:
    """Both applications do what they do, and fail."""
    canaries = stage.canaries
    where = f"http://127.0.0.1:{stage.port}/api/durable"
    put = httpx.put(where, json={"secret": canaries["body of a request to register"]})
    assert put.status_code == 200, put.text
    for name in ("inside", "outside"):
        data = {"password": canaries[f"data of an event {name}"]}
        user = {"mail": canaries[f"user of an event {name}"]}
        event = stage.send(f"{name}/talk", data=data, user=user)
        assert stage.ended(event)["status"] == "Failed"
        said = stage.ask("GET", f"/v1/events/{event}/runs").text
        assert canaries[f"error of a handler {name}"] in said, "who has the key is told"
    for answer in (
        httpx.get(where),
        httpx.post(where, params={"fnId": "outside-talk"}, content=b"{}"),
        httpx.put(where, headers={"X-Inngest-Sync-Kind": "in_band"}),
    ):
        stage.heard.append(answer.text)


def call_in_vain(stage: Stage) -> None:
    """Functions that nobody answers for, with secrets in their addresses and texts."""
    canaries = stage.canaries
    secret = canaries["query of an address"]
    away = f"http://127.0.0.1:1/{{}}?token={secret}"
    urls = {"away": away, "no-sdk": f"http://127.0.0.1:{stage.port}/health"}
    for name, url in urls.items():
        said = registration("vain", function("vain", name, url))
        assert stage.ask("POST", "/fn/register", json=said).status_code == 200
        data = {"n": canaries[f"data of a call of {name}"]}
        begun = stage.ask("POST", f"/invoke/vain-{name}", json={"data": data}).json()
        assert stage.ended(begun["id"])["status"] == "Failed"
    literal = f"event.data.token == '{canaries['text of an expression']}' &&"
    wrong = [
        function(
            "vain", "x", f"http://u:{canaries['user of an address']}@127.0.0.1:1/"
        ),
        function("vain", "x", f"ftp://127.0.0.1/{canaries['path of an address']}"),
        function("vain", "x", f"http://[{canaries['address that is none']}"),
        function("vain", "x", away, triggers=[{"event": "x", "expression": literal}]),
    ]
    for one in wrong:
        answer = stage.ask("POST", "/fn/register", json=registration("vain", one))
        assert answer.status_code == 400, answer.text


def knock(stage: Stage) -> None:
    """Requests without a key, and with what others must not see."""
    canaries, nobody = stage.canaries, stage.ask_as_nobody
    wrong = base64.b64encode(f"u:{canaries['basic']}".encode()).decode()
    hidden = {
        "Cookie": f"session={canaries['cookie']}",
        "User-Agent": canaries["user agent"],
        "Referer": f"http://a/?{canaries['referer']}",
        "X-Api-Key": canaries["header of its own"],
        "X-Inngest-Signature": f"t=1&s={canaries['signature']}",
        "X-Inngest-Event-Id-Seed": f"1,{canaries['seed of ids']}",
        "X-Inngest-Expected-Server-Kind": canaries["kind of a server"],
    }
    for method, path in (
        ("GET", f"/{canaries['path']}"),
        ("GET", f"/health?{canaries['query']}"),
        ("POST", f"/e/{canaries['key that is wrong']}"),
        ("POST", f"/fn/register?deployId={canaries['id of a deployment']}"),
        ("GET", f"/v1/runs/{canaries['id of a run']}"),
        ("GET", f"/v1/events/{canaries['id of an event']}"),
        ("POST", f"/invoke/{canaries['name of a function']}"),
    ):
        body = {"token": canaries["body of a refused request"]}
        nobody(method, path, headers=hidden, json=body)
        for bearer in (f"Bearer {canaries['bearer']}", f"Basic {wrong}"):
            nobody(method, path, headers={**hidden, "Authorization": bearer}, json=body)
    for path in ("/metrics", "/dev", "/openapi.json", "/v0/connect", "/v1/events"):
        nobody("GET", path, headers={"Origin": f"http://{canaries['origin']}"})


def ask_wrongly(stage: Stage) -> None:
    """Requests with the keys that are not as they must be: who sent them may be told, the log may not."""
    canaries = stage.canaries
    place = f"/e/{canaries['event key']}"
    for body in (
        f'{{"name":"a","data":{{"x":"{canaries["broken event"]}"',
        f'{{"name":"inngest/{canaries["reserved name"]}"}}',
        f'{{"name":"a","data":["{canaries["data that is a list"]}"]}}',
        f'{{"name":"a","ts":"{canaries["moment"]}"}}',
    ):
        assert stage.http.post(place, content=body).status_code == 400
    signal = {"signal": canaries["signal"], "data": canaries["data of a signal"]}
    stage.ask("POST", "/v1/signals", json=signal)
    stage.ask("POST", "/v0/connect/flush", content=canaries["answer of a worker"])
    said = {"qi_id": canaries["id of a call"], "steps": [canaries["step"]]}
    stage.ask("POST", "/v1/checkpoint/r/async", json=said)
    started = stage.ask("POST", "/v0/connect/start").content.decode("latin-1")
    stage.heard.append(stage.ask("GET", "/metrics").text)
    assert started


def own_errors(name: str) -> set[str]:
    return {f"error of a step {name}", f"error of a handler {name}"}


def test_no_secret_is_found_again(stage: Stage) -> None:
    for act in (talk, call_in_vain, knock, ask_wrongly):
        act(stage)
    until(lambda: "gave no reply" in stage.logs())
    canaries, logs = stage.canaries, stage.logs()
    assert len(canaries) >= 40, len(canaries)
    # What a function's own code raises is told to whoever runs it, by the logger `durable.failures`, and to nobody else.
    raised = {name: own_errors(name) for name in ("inside", "outside")}
    for log, name in (("serve.log", "inside"), ("outside.log", "outside")):
        found = canaries.found_in((stage.folder / log).read_text())
        assert {*found} <= raised[name], (log, found)
    assert "durable.failures" in logs
    heard = "\n".join(stage.heard)
    assert canaries.found_in(heard) == []
    # It has been listened to: both processes have said what they did.
    for word in ("DEBUG", "in vain", "HTTP Request: GET", "has said what it has"):
        assert word in logs
    assert "durable_runs_failed_total" in heard
    assert Canaries.found_in(canaries, canaries["event key"]) == ["event key"]
