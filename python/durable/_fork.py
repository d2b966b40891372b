"""A forked child has no part in its parent's stores: it lets go of their files, so of their locks, and of their sockets.

A lock belongs to the open file, which a child shares: one that outlives a killed parent would keep the store.
Files of others that lie in a store's folder stay as they are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakSet


if TYPE_CHECKING:
    import socket


_FOLDERS: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
#: What the store and its image keep locked, and all that the image has beside it.
_OURS: Final = ("lock", "image.")
_DESCRIPTORS: Final = Path("/proc/self/fd")
#: Between processes of one store: who holds the other end notices the end of this process, not of its children.
_SOCKETS: Final[WeakSet[socket.socket]] = WeakSet()


def watch(engine: object, store: str) -> None:
    """An engine of this process opens this store."""
    _FOLDERS[engine] = folder_of(store)


def forget(engine: object) -> None:
    """It has closed it."""
    _FOLDERS.pop(engine, None)


def keep_from_children(own: socket.socket) -> None:
    """This socket is of this process alone."""
    _SOCKETS.add(own)


def _leave_stores() -> None:
    """In the child. Descriptors keep their numbers, as what owns them may still close them."""
    _leave_sockets()
    files = tuple(f + os.sep + name for f in _FOLDERS.values() for name in _OURS)
    if not files or not _DESCRIPTORS.is_dir():
        return
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for link in list(_DESCRIPTORS.iterdir()):
        try:
            is_of_store = str(link.readlink()).startswith(files)
        except OSError:
            continue  # the one that the list was read with
        if is_of_store:
            os.dup2(nowhere, int(link.name), inheritable=False)
    os.close(nowhere)


def _leave_sockets() -> None:
    numbers = [own.fileno() for own in list(_SOCKETS)]
    if not any(number >= 0 for number in numbers):
        return
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in numbers:
        if number >= 0:
            os.dup2(nowhere, number, inheritable=False)
    os.close(nowhere)


def folder_of(store: str) -> str:
    """The folder of a store that is on disk."""
    return os.path.realpath(store.removeprefix("sled:").removeprefix("redb:"))


os.register_at_fork(after_in_child=_leave_stores)
