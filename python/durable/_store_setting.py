"""Where an engine's store is, and when its writes are on disk: the settings `store` and `sync`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast


if TYPE_CHECKING:
    from ._duration import Duration
    from ._setting import Place

_DEFAULT_STORE: Final = "./.durable"
_MAX_SYNC_MS: Final = 60_000
_SYNC_FORMS: Final = '"always", or how much may be lost on power failure, as in "50ms"'


def read_store(place: Place, store: str | os.PathLike[str] | None) -> str:
    """Where the store is: as given, else by the variable `DURABLE_STORE`, else `./.durable`.

    Raises:
        ConfigError: it names none.
    """
    given: object = (
        os.environ.get("DURABLE_STORE", _DEFAULT_STORE) if store is None else store
    )
    text = os.fspath(cast("str", given)) if _is_path(given) else ""
    if not text:
        accepted = "a path, 'sled:PATH', 'redb:PATH' or 'memory:'"
        raise place.error(given, "names no store", accepted)
    if Path(text.removeprefix("sled:").removeprefix("redb:")).is_file():
        raise place.error(
            text, "is a file", "a folder, or a path where there is none yet"
        )
    return text


def _is_path(given: object) -> bool:
    return isinstance(given, str | os.PathLike)


def read_sync(place: Place, sync: Duration) -> str:
    """When writes are on disk, as the native module takes it.

    Raises:
        ConfigError: it is neither "always" nor a length of 1 ms to a minute.
    """
    if sync == "always":
        return "always"
    ms = place.duration_ms(sync)
    if not 1 <= ms <= _MAX_SYNC_MS:
        raise place.error(sync, "is not between 1 ms and a minute", _SYNC_FORMS)
    return f"{ms}ms"
