"""State that is too large for a request, and replies that are long in coming."""

from __future__ import annotations

import pytest

from .running import Application
from .toolchains import DIALLING, SDKS


#: Go's SDK does not ask for what it is told to ask for (v0.14.4: a TODO of its own).
ASKING = [sdk for sdk in SDKS if sdk != "go"]


@pytest.mark.parametrize("app", ASKING, indirect=True)
def test_memos_of_five_megabytes_are_asked_for(app: Application) -> None:
    key = app.new_key()
    assert app.output("large", key) == 5 * 1024 * 1024
    assert app.notes(key) == ["part"] * 5


@pytest.mark.parametrize("app", ["typescript", "typescript-connect"], indirect=True)
def test_checkpoints_of_five_megabytes_are_taken(app: Application) -> None:
    key = app.new_key()
    assert app.output("large_checkpointed", key) == 5 * 1024 * 1024
    assert app.notes(key) == ["part"] * 5


STREAMING = [sdk for sdk in SDKS if sdk != "flask" and sdk not in DIALLING]


@pytest.mark.parametrize("app", STREAMING, indirect=True)
def test_a_reply_is_streamed(app: Application) -> None:
    assert app.register("/api/streamed").status_code == 200
    name = f"{app.name}-streamed/slow"
    hold = 3_200 if app.name == "fastapi" else 300  # a keep-alive comes every 3 s
    data = {"key": app.new_key(), "hold": hold}
    done = app.server.send(name, {**data, "fails": False})
    fails = app.server.send(name, {**data, "fails": True})
    run = app.server.ended(done)
    assert (run["status"], run["output"]) == ("Completed", 7)
    failed = app.server.ended(fails)
    assert failed["status"] == "Failed"
    assert "streamed failure" in failed["output"]["message"]
