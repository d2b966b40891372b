"""`durable config show`, and the store that commands look at where none is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from durable.cli.failure import CommandError
from durable.cli.root import app


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DURABLE_STORE", raising=False)
    return tmp_path


def test_each_setting_is_shown_with_what_says_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "durable.toml").write_text('grace = "3s"\nbackoff = ["1s"]\n')
    monkeypatch.setenv("DURABLE_HOT_RUNS", "7")
    shown = CliRunner().invoke(app, ["config", "show", "--json"])
    assert shown.exit_code == 0
    found = json.loads(shown.stdout)
    assert found["hot_runs"] == {"value": 7, "from": "DURABLE_HOT_RUNS"}
    assert found["grace"] == {"value": "3s", "from": f"{here / 'durable.toml'}: grace"}
    assert found["backoff"]["value"] == {"delays": ["1000ms"], "jitter": "30000ms"}
    assert found["sync"] == {"value": "always", "from": "default"}

    table = CliRunner().invoke(app, ["config", "show"]).stdout
    assert table.splitlines()[0].split() == ["setting", "value", "from"]
    (line,) = [one for one in table.splitlines() if one.startswith("hot_runs")]
    assert line.split() == ["hot_runs", "7", "DURABLE_HOT_RUNS"]


def test_defaults_are_shown_as_what_they_come_to() -> None:
    """Also those that stand for something else; a seed is another each time."""
    shown = json.loads(CliRunner().invoke(app, ["config", "show", "--json"]).stdout)
    threads = shown["threads"]["value"]
    assert isinstance(threads, int)
    assert shown["retention"] == {"value": "7d", "from": "default"}
    assert shown["backoff"]["value"]["delays"][0] == "15000ms"
    assert shown["seed"]["value"] is None
    lines = CliRunner().invoke(app, ["config", "show"]).stdout.splitlines()
    table = {line.split()[0]: line for line in lines[1:]}
    assert "none" not in " ".join(table.values())
    assert f" {threads} " in table["threads"]
    assert "another each time" in table["seed"]
    assert "15s 30s 1m 2m 5m" in table["backoff"]


def test_what_is_said_to_be_none_is_shown_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_BLOCKED_AFTER", "none")
    shown = CliRunner().invoke(app, ["config", "show"]).stdout
    (line,) = [one for one in shown.splitlines() if one.startswith("blocked_after")]
    assert line.split() == ["blocked_after", "none", "DURABLE_BLOCKED_AFTER"]


def test_a_wrong_setting_is_told_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_GRACE", "soon")
    shown = CliRunner().invoke(app, ["config", "show"])
    assert isinstance(shown.exception, CommandError)
    assert "DURABLE_GRACE='soon'" in shown.exception.text


def looked_at(*arguments: str) -> str:
    """Where a command looks for a store, which is not there."""
    done = CliRunner().invoke(app, ["runs", "list", *arguments])
    assert isinstance(done.exception, CommandError)
    return done.exception.text.removeprefix("there is no store at ")


def test_commands_look_at_the_store_that_an_engine_would_take(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looked_at() == str(here / ".durable")
    (here / "durable.toml").write_text('store = "of the file"\n')
    assert looked_at() == str(here / "of the file")
    monkeypatch.setenv("DURABLE_STORE", "redb:of the variable")
    assert looked_at() == str(here / "of the variable")
    monkeypatch.setenv("DURABLE_GRACE", "soon")  # that is nothing to them
    assert looked_at("--store", "given") == str(here / "given")
    assert looked_at() == str(here / "of the variable")
