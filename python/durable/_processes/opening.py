"""Opening a store that several processes share: its lock and its owner's socket in turn, until one lets us in."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .._bridge import Core, CoreError, __version__
from .address import connect
from .asked import HELLO, PROTOCOL, VALUE
from .frames import NOTHING, FrameError, encode, members, receive


if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

#: So long an engine with applications tries to get in, s: the owner may just be reading a large store.
LIMIT_S: Final = 30.0
#: The same of one that was opened only to be read.
SHORT_LIMIT_S: Final = 5.0
_HELLO_S: Final = 5.0
_PAUSE_S: Final = 0.05

_SHARES_NOT: Final = "it lets no others in (a `durable store` command, a virtual clock, an earlier version), or is only opening it"
_STOP_IT: Final = "stop that one first, or use another folder"


class Unreachable(Exception):  # noqa: N818  # it says what is so
    """The owner was not reached, and why."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """A connection to the owner, who has let us in.

    Attributes:
        connection: the socket.
        pid: the owner's process.
        functions: what it executes.
        now_ms: what its clock showed.
        at_s: what ours showed then, by `time.monotonic`.
    """

    connection: socket.socket
    pid: int
    functions: frozenset[str]
    now_ms: int
    at_s: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        """Leave again."""
        self.connection.close()


def open_or_connect(
    store: str,
    open_core: Callable[[], Core],
    limit_s: float,
    *,
    called_off: threading.Event,
) -> Core | Welcome:
    """The store itself, or a connection to the process that has it. Blocks, unless it is called off.

    Raises:
        CoreError: the store cannot be opened; or it is locked, and for so long nobody lets us in.
    """
    end = time.monotonic() + limit_s
    while True:
        try:
            return open_core()
        except CoreError as error:
            if error.kind != "locked" or is_here(error):
                raise
            locked = error
        try:
            return greet(store)
        except Unreachable as error:
            if time.monotonic() >= end or called_off.is_set():
                raise _explain(locked, error, limit_s) from None
        called_off.wait(_PAUSE_S)


def is_here(error: CoreError) -> bool:
    """True where it is this process that has the store."""
    return f"process {os.getpid()} on {os.uname().nodename}" in error.text


def greet(store: str) -> Welcome:
    """Connect to the owner and say who we are. Blocks for a few seconds at most.

    Raises:
        Unreachable: it is not there, does not answer, or is of another version.
    """
    try:
        connection = connect(store, _HELLO_S)
    except OSError as error:
        text = f"its socket does not answer: {error}"
        raise Unreachable(text) from None
    if connection is None:
        raise Unreachable(_SHARES_NOT)
    return greet_on(connection)


def greet_on(connection: socket.socket) -> Welcome:
    """Say who we are on a connection to the owner.

    Raises:
        Unreachable: it does not answer, or is of another version; the connection is closed.
    """
    try:
        return _greet(connection)
    except BaseException:
        connection.close()
        raise


def _greet(connection: socket.socket) -> Welcome:
    connection.settimeout(_HELLO_S)
    try:
        connection.sendall(encode((0, HELLO, (PROTOCOL, __version__), NOTHING)))
        _, kind, value = members(receive(connection), int, str, tuple)
        if kind == VALUE:
            pid, now_ms, functions = members(value, int, int, tuple)
            return Welcome(connection, pid, frozenset(functions), now_ms)
        _, text = members(value, str, str)
    except (OSError, EOFError, FrameError) as error:
        text = f"it does not answer: {str(error) or 'it has closed the connection'}"
    raise Unreachable(text)


def _explain(locked: CoreError, why: Unreachable, limit_s: float) -> CoreError:
    """The store's own words of who holds it, and why that one is not reached."""
    what, _, _ = locked.text.partition(";")
    text = f"{what}, and for {limit_s:g} s that one was not reached: {why}; {_STOP_IT}"
    return CoreError("locked", text)
