"""What a user meets at the command line before anything runs."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

import durable
from durable._views import RunStatus
from durable.cli.failure import EXIT_CODES, CommandError, ExitCode
from durable.cli.options import since_ms
from durable.cli.root import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def failure(*arguments: str) -> CommandError:
    error = run(*arguments).exception
    assert isinstance(error, CommandError)
    return error


def test_help_names_every_command_and_every_exit_code() -> None:
    shown = " ".join(run("--help").output.split())
    for command in ("demo", "run", "runs", "events", "store", "bench", "explain"):
        assert f" {command} " in shown
    for code in EXIT_CODES:
        assert f"{int(code)} " in shown
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize(
    "command",
    [
        ("demo",),
        ("run",),
        ("runs", "list"),
        ("runs", "show"),
        ("events", "list"),
        ("store", "check"),
        ("store", "backup"),
        ("store", "restore"),
        ("bench", "flow"),
        ("explain",),
    ],
)
def test_every_command_offers_json(command: tuple[str, ...]) -> None:
    assert "--json" in run(*command, "--help").output


def test_explain_prints_one_error_or_all() -> None:
    one = json.loads(run("explain", "dur-0701", "--json").output)
    assert one["name"] == "StoreLocked"
    every = json.loads(run("explain", "--json").output)["errors"]
    assert one in every
    assert "What to do" in run("explain", "DUR-0701").output
    assert "DUR-0701" in run("explain").output


@pytest.mark.parametrize(
    "command",
    [("runs", "list"), ("runs", "show"), ("events", "list"), ("store", "check")],
)
def test_reading_makes_no_store(tmp_path: Path, command: tuple[str, ...]) -> None:
    absent = tmp_path / "absent"
    error = failure(*command, "--store", str(absent))
    assert "there is no store" in error.text
    assert "--store" in error.hint
    assert not absent.exists()


def test_a_store_in_memory_cannot_be_read_from_outside() -> None:
    assert "in memory" in failure("runs", "list", "--store", "memory:").text


def test_an_unknown_status_is_refused_with_those_there_are() -> None:
    error = failure("runs", "list", "--status", "failed", "--status", "sleepy")
    assert (
        error.text == f"--status 'sleepy' is none of {', '.join(get_args(RunStatus))}"
    )
    assert error.exit_code == ExitCode.BAD_INPUT


def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    store, taken = tmp_path / "store", tmp_path / "taken"
    store.mkdir()
    taken.touch()
    assert (
        "exists already"
        in failure("store", "backup", str(taken), "--store", str(store)).text
    )
    deep = tmp_path / "no" / "such" / "folder"
    assert (
        "no folder" in failure("store", "backup", str(deep), "--store", str(store)).text
    )


def test_a_restore_replaces_nothing(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").touch()
    taken = tmp_path / "taken"
    assert (
        "no file" in failure("store", "restore", str(taken), "--store", str(full)).text
    )
    taken.touch()
    assert (
        "not empty"
        in failure("store", "restore", str(taken), "--store", str(full)).text
    )


def test_lists_of_a_store_are_tables_that_keep_ids_whole(tmp_path: Path) -> None:
    store = str(tmp_path / "store")

    async def fill() -> str:
        async with durable.Engine(store=store) as engine:
            return (await engine.send(durable.Event("shop/order.placed", {"n": 1})))[0]

    event = asyncio.run(fill())
    assert event in run("events", "list", "--store", store).output
    assert "outcome" in run("runs", "list", "--store", store).output
    assert "has no runs yet" in failure("runs", "show", "--store", store).text


def test_a_bad_moment_is_refused_with_the_forms_there_are() -> None:

    assert since_ms("2h", 10_000_000) == 2_800_000
    assert since_ms("1970-01-01T00:00:01+00:00", 0) == 1000
    assert since_ms(None, 0) is None
    with pytest.raises(CommandError, match="neither"):
        since_ms("yesterday-ish", 0)


def test_an_error_is_told_without_a_traceback() -> None:
    command = [
        sys.executable,
        "-m",
        "durable",
        "runs",
        "list",
        "--store",
        "/absent/[red]",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ourselves
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no store at /absent/[red]")
    assert "Traceback" not in done.stderr


def test_importing_the_package_does_not_import_the_command_line() -> None:
    code = "import sys, durable; print([m for m in ('typer', 'rich', 'durable.cli') if m in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ourselves
    assert done.stdout.strip() == "[]"
