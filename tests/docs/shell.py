"""A shell in which a page's commands are run, one after the other, as a reader would type them."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from .pages import ROOT, same


_END = "\x01the end\x01"
MOST_S = 120  # for one command
_PIP = Path(__file__).with_name("pip_install.py")
#: Commands of the repository itself that take minutes: begins with, and what is run in its place.
IN_ITS_PLACE = {
    "make ": "make --dry-run ",  # that there is such a target
    "cargo run --release -p durable-sim": "ls rust/durable-sim/Cargo.toml #",
    "python tests/durability/campaign.py": "python tests/durability/campaign.py --help #",
}
#: Plugins of pytest that happen to be installed beside, take long to import, and have nothing to do with it.
BESIDE = ("hypothesispytest", "benchmark", "faker", "cacheprovider")


def commands(text: str) -> list[tuple[str, str]]:
    """Of a `console` block each command with what is shown of its output."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            assert found, f"a console block begins with a command, not with {line!r}"
            command, shown = found.pop()
            found.append((command, f"{shown}{line}\n"))
    return found


class Shell:
    """Bash in a folder, with this Python; `pip install` checks what is asked for and takes it from here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = tempfile.TemporaryDirectory(prefix="durable-docs-")
        places = [self._bin.name, str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {
            **{key: text for key, text in os.environ.items() if "DURABLE" not in key},
            "PATH": os.pathsep.join(places),
            "PYTHONPATH": str(ROOT / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTEST_ADDOPTS": " ".join(f"-pno:{name}" for name in BESIDE),
            "COLUMNS": "100",
            "TERM": "dumb",
        }
        environment.pop("VIRTUAL_ENV", None)
        installed = importlib.metadata.entry_points(group="pytest11")
        if "durable.pytest_plugin" not in {plugin.value for plugin in installed}:
            environment["PYTEST_PLUGINS"] = "durable.pytest_plugin"
        self._process = subprocess.Popen(
            ["bash", "--norc"],  # noqa: S607  # the reader's shell
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        ours = shlex.join([sys.executable, str(_PIP)])
        self.run(f'pip() {{ {ours} "$@"; }}')
        for name, module in {"durable": "durable", "pytest": "pytest"}.items():
            script = Path(self._bin.name, name)
            script.write_text(f'#!/bin/sh\nexec python -m {module} "$@"\n')
            script.chmod(0o755)
        Path(self._bin.name, "python3").symlink_to(sys.executable)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        self._end()
        self._process.communicate()
        self._bin.cleanup()

    def _end(self) -> None:
        """With all that it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)

    def check(self, command: str, shown: str) -> None:
        """Run it, and compare its output with what the page shows; `Killed` at its end: kill it there."""
        too_long = threading.Timer(MOST_S, self._end)
        too_long.start()
        try:
            self._check(command, shown)
        finally:
            too_long.cancel()

    def _check(self, command: str, shown: str) -> None:
        for beginning, instead in IN_ITS_PLACE.items():
            if command.startswith(beginning):
                assert not shown, f"{command}: is not run, so nothing can be shown"
                command = f"(cd {ROOT}; {command.replace(beginning, instead, 1)}\n)"
        before, is_killed, _ = shown.partition("Killed\n")
        if is_killed:
            self.kill(command, before)
            return
        output, status = self.run(command)
        is_as_shown = same(shown, output) if shown else status == 0
        assert is_as_shown, f"$ {command}\n{output}"

    def run(self, command: str) -> tuple[str, int]:
        self._say(f"{{ {command}\n}} </dev/null; echo '{_END}' $?")
        lines: list[str] = []
        while True:
            line = self._line()
            before, end, status = line.partition(_END)
            if end:
                return "".join([*lines, before]), int(status)
            lines.append(line)

    def kill(self, command: str, before: str) -> None:
        """Start it, and `kill -9` it as soon as it has said what is shown."""
        self._say(f"{command} </dev/null & echo $!")
        process_id, output = int(self._line()), ""
        while not same(before, output):
            output += self._line()
            assert _END not in output
        os.kill(process_id, signal.SIGKILL)
        output, _ = self.run("wait %1 2>/dev/null")

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the shell has ended, or was ended since a command took too long"
        return line
