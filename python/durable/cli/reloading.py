"""`durable dev` with an application of this package: begun again when a file of the application changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from durable._errors import OWN


if TYPE_CHECKING:
    from collections.abc import Iterable

#: The files that the process before this one looked at: with it, this one has been begun again.
_BEFORE: Final = "DURABLE_RELOADED"
_LOOK_S: Final = 0.3


def is_reloaded() -> bool:
    """True where this process has been begun again."""
    return _BEFORE in os.environ


class Sources:
    """The files that the user's modules were read from, as they are now."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        before = os.environ.get(_BEFORE, "").split(os.pathsep)
        self._seen = _states({*_loaded(), *before} - {""})

    async def changed(self) -> None:
        """Wait until one of them is another than it was, or gone."""
        while _states(self._seen) == self._seen:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await asyncio.Event().wait()

    def begin_again(self) -> NoReturn:
        """Become the same command from its start, in the same process."""
        os.environ[_BEFORE] = os.pathsep.join(self._seen)
        sys.stdout.flush()
        sys.stderr.flush()
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execv(sys.executable, command)  # noqa: S606  # it is this command


def _states(files: Iterable[str]) -> dict[str, tuple[int, int] | None]:
    return {file: _state(file) for file in files}


def _state(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _loaded() -> set[str]:
    """Files of modules that are neither Python's, nor a library's, nor ours."""
    paths = sysconfig.get_paths()
    others = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    others |= {*site.getsitepackages(), site.getusersitepackages()}
    prefixes = tuple(f"{path}{os.sep}" for path in others)
    files = [getattr(module, "__file__", None) for module in [*sys.modules.values()]]
    return {
        file
        for file in files
        if isinstance(file, str)
        and not file.startswith((*prefixes, OWN, "<"))
        and not file.endswith((".so", ".pyd"))
    }
