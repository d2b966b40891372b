"""The programs that are put to the test, built on first use."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent.parent
TOP = FOLDER.parent.parent
SUBJECTS = FOLDER / "subjects"
PYTHON = sys.executable
FINDINGS = Path(os.environ.get("DURABLE_FINDINGS", "/tmp/durable-findings"))  # noqa: S108


@functools.cache
def shim() -> Path:
    """The recorder of file operations, for LD_PRELOAD."""
    library = Path(tempfile.mkdtemp(prefix="durable-shim-")) / "power_cut.so"
    source = FOLDER / "shim" / "power_cut.c"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", library, source, "-lpthread"], check=True)
    return library


@functools.cache
def example(name: str) -> Path:
    """A program of rust/durable-sim/examples; `DURABLE_EXAMPLES` may name a folder of built ones."""
    built = os.environ.get("DURABLE_EXAMPLES")
    if built:
        return Path(built) / name
    command = ["cargo", "build", "-q", "--profile", "ci", "-p", "durable-sim"]
    command += ["--example", name, "--message-format=json"]
    done = subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE)
    for line in reversed(done.stdout.splitlines()):
        executable = json.loads(line).get("executable")
        if executable and Path(executable).name == name:
            return Path(executable)
    message = f"cargo built no example {name}"
    raise FileNotFoundError(message)


def patience() -> float:
    """By how much a limit of time is stretched: others may want this machine's cores too."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory: thousands of stores are laid out and thrown away."""
    where = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="durable-crash-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path, name: str) -> Path:
    """Put a store aside that broke a promise."""
    target = FINDINGS / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("owner.sock"))
    return target
