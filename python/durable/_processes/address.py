"""Where the owner of a store is reached: a Unix socket in the store's folder, or where the folder says.

A socket's path has room for about a hundred bytes, and not every file system takes one: then it lies in a private
folder under the temp directory. The file `owner` in the store's folder names it either way.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import tempfile
from pathlib import Path
from typing import Final

from .._fork import folder_of, keep_from_children


MEMORY: Final = "memory:"
_ADDRESS: Final = "owner"
_SOCKET: Final = "owner.sock"
#: Folder and socket under the temp directory, whose own path is long on some systems.
_ELSEWHERE: Final = "durable-"
_SOCKET_ELSEWHERE: Final = "s"
_MOST_PATH: Final = 100
_MOST_WAITING: Final = 128
#: The user of the process at the other end: pid, uid, gid.
_CREDENTIALS: Final[int | None] = getattr(socket, "SO_PEERCRED", None)


def can_be_shared(store: str) -> bool:
    """True where the store is on disk and this system has such sockets."""
    return store != MEMORY and hasattr(socket, "AF_UNIX")


def listen(store: str) -> socket.socket:
    """A socket on which this process, which has the store's lock, waits for others.

    Raises:
        OSError: there is no place for one.
    """
    folder = Path(folder_of(store))
    forget(store)  # what a killed owner left
    named = _SOCKET
    try:
        own = _bind(folder / _SOCKET)
    except OSError:
        path, own = _bind_elsewhere(folder)
        named = str(path)
    written = folder / f"{_ADDRESS}.new"
    try:
        written.write_text(named)
        written.replace(folder / _ADDRESS)
    except BaseException:
        own.close()
        with contextlib.suppress(OSError):
            written.unlink()
        _remove(folder, folder / named)
        raise
    return own


def _bind_elsewhere(folder: Path) -> tuple[Path, socket.socket]:
    made = Path(tempfile.mkdtemp(prefix=_prefix(folder)))  # 0700
    path = made / _SOCKET_ELSEWHERE
    try:
        return path, _bind(path)
    except BaseException:
        _remove(folder, path)
        raise


def _remove(folder: Path, path: Path) -> None:
    """A socket, and the private folder around it."""
    with contextlib.suppress(OSError):
        path.unlink()
    if path.parent != folder:
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _bind(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _MOST_PATH:
        text = f"{path} is too long for a socket"
        raise OSError(text)
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        own.bind(str(path))
    except BaseException:
        own.close()
        raise
    try:
        path.chmod(0o600)
        own.listen(_MOST_WAITING)  # nobody is let in before
    except BaseException:
        own.close()
        path.unlink()
        raise
    keep_from_children(own)
    return own


def connect(store: str, timeout_s: float) -> socket.socket | None:
    """A connection to the owner's socket; `None` where the folder names none.

    Raises:
        OSError: nobody answers there.
    """
    path = _named(Path(folder_of(store)))
    if path is None:
        return None
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    own.settimeout(timeout_s)
    try:
        own.connect(str(path))
        is_ours = is_of_our_user(own)
    except BaseException:
        own.close()
        raise
    if not is_ours:
        own.close()
        text = f"{path} is another user's"
        raise PermissionError(text)
    keep_from_children(own)
    return own


def forget(store: str) -> None:
    """Take the socket away. Only whoever has the store's lock may do it."""
    folder = Path(folder_of(store))
    path = _named(folder)
    with contextlib.suppress(OSError):
        (folder / _ADDRESS).unlink()
    for one in {folder / _SOCKET, path or folder / _SOCKET}:
        _remove(folder, one)


def _named(folder: Path) -> Path | None:
    """What a folder names of its own: one that was copied has the name of what belongs to the first."""
    try:
        path = folder / (folder / _ADDRESS).read_text()
    except (OSError, ValueError):
        return None
    is_ours = path == folder / _SOCKET or path.parent.name.startswith(_prefix(folder))
    return path if is_ours else None


def _prefix(folder: Path) -> str:
    """What a private folder for this one's socket is called."""
    own = hashlib.blake2b(os.fsencode(folder), digest_size=4).hexdigest()
    return f"{_ELSEWHERE}{own}-"


def is_of_our_user(peer: socket.socket) -> bool:
    """True where the process at the other end is this user's, or root's; also where the system does not say."""
    if _CREDENTIALS is None:
        return True
    given = peer.getsockopt(socket.SOL_SOCKET, _CREDENTIALS, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", given)
    return uid in (os.geteuid(), 0)
