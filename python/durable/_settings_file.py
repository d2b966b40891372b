"""The file in which an engine's settings may stand: `durable.toml`, or `[tool.durable]` of `pyproject.toml`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ._errors import ConfigError
from ._setting import Place


if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX: Final = "DURABLE_"
#: In one folder the first of them counts; the table's name stands before its keys in messages.
_FILES: Final = (("durable.toml", ()), ("pyproject.toml", ("tool", "durable")))


class SettingsFile(NamedTuple):
    """What a file says.

    Attributes:
        path: the file.
        table: which of its tables; empty for all of the file.
        values: the table.
    """

    path: Path
    table: tuple[str, ...]
    values: dict[str, object]

    def place(self, key: str) -> Place:
        """Where a key stands, for messages."""
        return Place(str(self.path), ".".join((*self.table, key)))


def is_set_outside(environ: Mapping[str, str]) -> bool:
    """True where a variable or a file may say something: a look that costs less than reading them."""
    is_named = any(name.upper().startswith(ENV_PREFIX) for name in environ)
    return is_named or find_file() is not None


def find_file(start: Path | None = None) -> SettingsFile | None:
    """The nearest file that has settings, from a folder upwards; by default from where the process is.

    A `pyproject.toml` without `[tool.durable]` is passed over.

    Raises:
        ConfigError: a file that has settings cannot be read.
    """
    try:
        start = Path.cwd() if start is None else start
    except FileNotFoundError:  # the folder was deleted under the process
        return None
    for folder in (start, *start.parents):
        for name, table in _FILES:
            found = _read(folder / name, table)
            if found is not None:
                return found
    return None


def _read(path: Path, table: tuple[str, ...]) -> SettingsFile | None:
    content = _content(path)
    if content is None or not all(word.encode() in content for word in table):
        return None  # what does not speak of us may be as broken as it likes
    import tomllib  # noqa: PLC0415  # most programs have no such file

    try:
        values: Any = tomllib.loads(content.decode())
    except ValueError as error:  # no TOML, or no UTF-8
        text = f"{path}: {error}"
        raise ConfigError(text) from None
    for word in table:
        values = cast("dict[str, Any]", values).get(word)
        if values is None:
            return None
        if not isinstance(values, dict):
            break
    if not isinstance(values, dict):
        accepted = f"a table, as in [{'.'.join(table)}]"
        raise Place(str(path), ".".join(table)).error(values, "is no table", accepted)
    return SettingsFile(path, table, cast("dict[str, object]", values))


def _content(path: Path) -> bytes | None:
    """What a file holds; `None` where there is none, or none that this process may know of."""
    try:
        return path.read_bytes()
    except PermissionError as error:
        if os.access(path.parent, os.X_OK):
            text = f"{path}: {error.strerror}: let this process read it, or remove it"
            raise ConfigError(text) from None
        return None
    except OSError:
        return None
