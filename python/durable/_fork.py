"""A forked child has no part in its parent's stores: it lets go of their files, and so of their locks.

A lock belongs to the open file, which a child shares: one that outlives a killed parent would keep the store.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary


_STORES: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
_DESCRIPTORS: Final = Path("/proc/self/fd")


def watch(engine: object, store: str) -> None:
    """An engine of this process opens this store."""
    _STORES[engine] = store


def _leave_stores() -> None:
    """In the child. Descriptors keep their numbers, as what owns them may still close them."""
    folders = tuple(_folder_of(store) + os.sep for store in _STORES.values())
    if not folders or not _DESCRIPTORS.is_dir():
        return
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for link in list(_DESCRIPTORS.iterdir()):
        try:
            is_of_store = str(link.readlink()).startswith(folders)
        except OSError:
            continue  # the one that the list was read with
        if is_of_store:
            os.dup2(nowhere, int(link.name), inheritable=False)
    os.close(nowhere)


def _folder_of(store: str) -> str:
    return os.path.realpath(store.removeprefix("sled:").removeprefix("redb:"))


os.register_at_fork(after_in_child=_leave_stores)
