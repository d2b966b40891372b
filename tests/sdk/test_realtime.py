"""What functions of the SDKs publish is heard, by the SDK's own client and by any other."""

from __future__ import annotations

import pytest

from .hearing import heard, listener
from .running import Application, until


#: Those whose SDK can publish and ask for tokens.
PUBLISHING = ["fastapi", "flask", "typescript"]


def waiting_run(app: Application, event: str) -> str:
    """The run of an event, once it waits for another."""

    def find() -> str | None:
        runs = app.server.runs(event)
        ids = [run["run_id"] for run in runs]
        found = ids and app.server.http.get(f"/v0/runs/{ids[0]}/actions").json()
        return ids[0] if found else None

    return str(until(find))


@pytest.mark.parametrize("app", PUBLISHING, indirect=True)
def test_what_a_function_publishes_is_heard(app: Application) -> None:
    key = app.new_key()
    with listener(app, key, "progress") as by_key:
        event = app.send("publishes", key)
        first = heard(by_key)
        run = waiting_run(app, event)
        with listener(app, run, "$step", "$run") as by_run:
            app.server.send(f"{app.name}/go", {})
            second = heard(by_key)
            steps = [heard(by_run) for _ in range(3)]
    assert [one["data"] for one in (first, second)] == [{"n": 1}, {"n": 2}]
    assert (first["channel"], first["topic"], first["kind"]) == (
        key,
        "progress",
        "data",
    )
    if app.name == "typescript":  # the others do not say which
        assert first["run_id"] == second["run_id"] == run
    assert [one["kind"] for one in steps] == ["step", "step", "run"]
    assert [one["metadata"].get("step") for one in steps[:2]] == ["go", "second"]
    assert steps[2]["data"] == "told"


@pytest.mark.parametrize("app", ["typescript"], indirect=True)
def test_the_sdks_own_client_listens(app: Application) -> None:
    key = app.new_key()
    app.http.post("/listen", params={"channel": key}, json=["progress"])
    event = app.send("publishes", key)
    run = waiting_run(app, event)
    app.http.post("/listen", params={"channel": run}, json=["$run"])
    app.server.send(f"{app.name}/go", {})
    until(lambda: app.notes(run))
    assert until(lambda: app.notes(key)[1:] and app.notes(key)) == [
        {"kind": "data", "topic": "progress", "data": {"n": n}, "runId": run}
        for n in (1, 2)
    ]
    assert app.notes(run) == [
        {"kind": "run", "topic": "$run", "data": "told", "runId": run}
    ]


@pytest.mark.parametrize("app", ["typescript"], indirect=True)
def test_a_stream_is_heard_as_it_comes(app: Application) -> None:
    """By another client: the SDK's own (v4.24.0) uses a variable too early at the beginning of each stream, and dies."""
    key = app.new_key()
    with listener(app, key, "tokens") as connection:
        app.output("streams", key)
        told = [heard(connection)]
        while told[-1]["kind"] != "datastream-end":
            told.append(heard(connection))
    assert told[0]["kind"] == "datastream-start"
    assert {one["stream_id"] for one in told} == {told[0]["data"]}
    assert len({one["run_id"] for one in told}) == 1
    assert "".join(one["data"] for one in told[1:-1]) == "eins zwei fünf"
