"""What an application in a server's own process logs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from durable.cli.server_log import JsonLines


APP = """
import durable

app = durable.App("shop")

@app.function("fails", on="a", retries=0)
async def fails(ctx: durable.Context) -> None:
    raise ValueError("it broke")
"""
#: Serves until the run has failed.
PROGRAM = """
import asyncio, sys
import durable, durable.cli
from durable.cli.server_log import log_application
sys.argv = ["durable", "--version"]
try:
    durable.cli.main()  # which keeps failures from screens
except SystemExit:
    pass
log_application(sys.argv_form)
from shop import app

async def main():
    async with durable.Engine(app, store="memory:") as engine:
        await engine.send(durable.Event("a"))
        await engine.join()

asyncio.run(main())
"""


def told(folder: Path, form: str) -> str:
    """What is written of a run that fails."""
    (folder / "shop.py").write_text(APP)
    program = PROGRAM.replace("sys.argv_form", repr(form))
    line = [sys.executable, "-c", program]
    done = subprocess.run(  # noqa: S603  # this program
        line, cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stderr


def test_failures_are_told_as_text(tmp_path: Path) -> None:
    said = told(tmp_path, "text")
    assert "function 'fails'" in said
    assert 'raise ValueError("it broke")' in said


def test_failures_are_told_as_objects_a_line(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in told(tmp_path, "json").splitlines()]
    assert lines
    assert {line["level"] for line in lines} <= {"warning", "error"}
    failed = next(line for line in lines if "it broke" in line.get("traceback", ""))
    assert failed["function_id"] == "fails"
    assert failed["run_id"] in failed["message"]


@pytest.mark.parametrize("text", ["two\nlines", 'a "quote"'])
def test_a_line_is_one_line(text: str) -> None:
    record = logging.LogRecord("a", logging.INFO, "f", 1, "%s", (text,), None)
    line = JsonLines().format(record)
    assert json.loads(line) == {"level": "info", "message": text, "logger": "a"}
    assert "\n" not in line
