"""Where an engine's store is, and when its writes are on disk: the settings `store` and `sync`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from ._errors import ConfigError


if TYPE_CHECKING:
    from ._duration import Duration
    from ._setting import Place

DEFAULT_STORE: Final = "./.durable"
_MAX_SYNC_MS: Final = 60_000
_FOLDERS: Final = "a folder, or a path where there is none yet"
_SYNC_FORMS: Final = '"always", or how much may be lost on power failure, as in "50ms"'


def read_store(place: Place, store: str | os.PathLike[str]) -> str:
    """Where the store is, as text.

    Raises:
        ConfigError: it names none.
    """
    given: object = store
    text = os.fspath(cast("str", given)) if _is_path(given) else ""
    if not text:
        accepted = "a path, 'sled:PATH', 'redb:PATH' or 'memory:'"
        raise place.error(given, "names no store", accepted)
    path = Path(text.removeprefix("sled:").removeprefix("redb:"))
    if path.is_file():
        raise place.error(text, "is a file", _FOLDERS)
    link = _dangling(path)
    if link is not None:
        reason = f"leads nowhere: {link} is a symbolic link to {link.readlink()}, which is not there"
        raise place.error(text, reason, _FOLDERS)
    return text


def _dangling(path: Path) -> Path | None:
    """The link on the way to a store whose end is not there; where one may not look, opening it says so."""
    for one in (path, *path.parents):
        with contextlib.suppress(OSError):
            if one.is_symlink() and not one.exists():
                return one
    return None


def store_within(folder: Path, store: str) -> str:
    """A store whose path is relative to this folder, as one that is the same from everywhere."""
    if store == "memory:":
        return store
    kind = next((one for one in ("sled:", "redb:") if store.startswith(one)), "")
    return f"{kind}{folder / store.removeprefix(kind)}"


def _is_path(given: object) -> bool:
    return isinstance(given, str | os.PathLike)


def read_sync(place: Place, sync: Duration) -> str:
    """When writes are on disk, as the native module takes it.

    Raises:
        ConfigError: it is neither "always" nor a length of 1 ms to a minute.
    """
    if sync == "always":
        return "always"
    try:
        ms = place.duration_ms(sync)
    except ConfigError:
        raise place.error(sync, "is not known", _SYNC_FORMS) from None
    if not 1 <= ms <= _MAX_SYNC_MS:
        raise place.error(sync, "is not between 1 ms and a minute", _SYNC_FORMS)
    return f"{ms}ms"
