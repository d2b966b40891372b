"""What `durable dev` and `durable serve` are told: options, and variables of the environment."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from durable.cli import dev_command, serve_command
from durable.cli.failure import CommandError, ExitCode
from durable.cli.root import app


VARIABLES = {
    "DURABLE_HOST": "127.0.0.2",
    "DURABLE_PORT": "9000",
    "DURABLE_ALLOW": "10.2.0.0/16 10.3.0.1",
    "DURABLE_ALLOW_ORIGIN": "https://a.example https://b.example",
    "DURABLE_STORE": "./elsewhere",
}
KEYS = {"EVENT_KEY": "an-event-key", "SIGNING_KEY": "signkey-prod-00ff"}


@pytest.fixture
def told(monkeypatch: Any) -> list[Any]:
    """What the command would serve with."""
    found: list[Any] = []

    def take(app: Any, store: str, settings: Any, *, sources: Any = None) -> None:
        found.extend((app, store, settings, sources))

    monkeypatch.setattr(dev_command, "serve", take)
    monkeypatch.setattr(serve_command, "serve_until_stopped", take)
    return found


@pytest.mark.parametrize("command", ["dev", "serve"])
@pytest.mark.parametrize("prefix", ["DURABLE_", "INNGEST_"])
def test_variables_say_what_options_do_not(
    command: str, prefix: str, told: list[Any]
) -> None:
    named = {f"{prefix}{name}": value for name, value in KEYS.items()}
    named[f"{prefix}SDK_URL"] = "http://a/api http://b/api"
    done = CliRunner().invoke(app, [command], env={**VARIABLES, **named})
    assert done.exit_code == 0, done.output
    _, store, settings, sources = told
    assert (store, sources) == ("./elsewhere", None)
    assert (settings.host, settings.port) == ("127.0.0.2", 9000)
    assert settings.urls == ("http://a/api", "http://b/api")
    assert settings.allowed == ("10.2.0.0/16", "10.3.0.1")
    assert settings.origins == ("https://a.example", "https://b.example")
    if command == "serve":
        assert settings.event_keys == (KEYS["EVENT_KEY"],)
        assert settings.signing_keys == (KEYS["SIGNING_KEY"],)
        assert not settings.is_dev


@pytest.mark.parametrize(
    ("line", "exit_code", "told"),
    [
        (["serve"], ExitCode.BAD_INPUT, "needs keys"),
        (["serve", "--event-key", "a", "--signing-key", "xyz"], 2, "hexadecimal"),
        (["dev", "--host", "0.0.0.0"], 2, "without keys"),  # noqa: S104
        (["dev", "--host", "localhost"], 2, "localhost"),
        (["dev", "--allow", "10.0/8"], 2, "10.0/8"),
        (["dev", "-u", "localhost:8000/api"], 2, "is no address"),
        (["dev", "-u", "foo:bar"], 2, "is no address"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(
    line: list[str], exit_code: int, told: str, tmp_path: Path
) -> None:
    store = ["--store", str(tmp_path / "store"), "--port", "0"]
    error = CliRunner().invoke(app, [*line, *store]).exception
    assert isinstance(error, CommandError)
    assert told in error.text
    assert error.exit_code == exit_code


def test_a_port_that_is_taken_is_told_in_a_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = ["dev", "--port", port, "--store", str(tmp_path / "store")]
        error = CliRunner().invoke(app, line).exception
    assert isinstance(error, CommandError)
    assert port in error.text


def test_options_go_before_variables(told: list[Any]) -> None:
    line = ["dev", "--port", "1", "-u", "http://c/api", "--store", "./here"]
    CliRunner().invoke(app, line, env={**VARIABLES, "INNGEST_SDK_URL": "http://a/"})
    _, store, settings, _ = told
    assert (store, settings.port, settings.urls) == ("./here", 1, ("http://c/api",))
    assert settings.host == "127.0.0.2"
