"""What goes over an owner's socket: a length and a value, which can be plain data and nothing else.

A value is JSON in which each list, tuple and bytes is a list that begins with a letter for what it is. So what is
read is what was written, and nothing that comes can be more than data.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from .._bridge import no_utf8


if TYPE_CHECKING:
    import socket
    from collections.abc import Sized

#: A frame has at most so many bytes: more is refused before it is written, and not read.
MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_DEPTH: Final = 32
#: And so many members of lists and dicts, each of which takes much more memory than bytes.
MAX_MEMBERS: Final = 2_000_000
_LENGTH: Final = struct.Struct("!I")
#: Once a frame's length has come, the rest has to come within this time, s.
_REST_S: Final = 30.0

#: No arguments by name.
NOTHING: Final[dict[str, object]] = {}

_LIST, _TUPLE, _TEXT, _BYTES = "l", "t", "b", "x"
_LIST_BEGINS: Final = b'["'
_MANY: Final = (
    f"more than {MAX_MEMBERS} members; between two processes as many go at a time"
)


class FrameError(ValueError):
    """What came is no frame, or what is to go cannot be one."""


class FrameTooLarge(FrameError):  # noqa: N818  # named as the public ones are
    """What is to go has too many bytes."""


def encode(value: object) -> bytes:
    """A value as a frame.

    Raises:
        FrameTooLarge: it has more than `MAX_BYTES`, or than `MAX_MEMBERS`.
        FrameError: it is something else than None, bool, int, float, str, bytes, list, tuple and dict.
    """
    try:
        body = orjson.dumps(_Writing().tagged(value))
    except (TypeError, RecursionError) as error:  # orjson's own is a TypeError
        if not isinstance(error, RecursionError):
            _check_texts(value)
        text = f"{type(value).__name__} cannot be sent to another process: {error}"
        raise FrameError(text) from None
    if len(body) > MAX_BYTES:
        text = f"{len(body)} bytes; between two processes {MAX_BYTES} go at a time"
        raise FrameTooLarge(text)
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Any:
    """The value of a frame's body. A large one takes its time: call it where it may block.

    Raises:
        FrameError: it is none.
    """
    try:
        _check_lists(body)
        return _Reading().plain(orjson.loads(body), _MAX_DEPTH)
    except (ValueError, TypeError, KeyError) as error:
        text = f"no frame: {error}"
        raise FrameError(text) from None


def members(value: Any, *kinds: type) -> tuple[Any, ...]:
    """The members of a tuple that has one of each of these, in this order.

    Raises:
        FrameError: it is something else.
    """
    found: tuple[Any, ...] = value
    is_tuple = type(value) is tuple and len(found) == len(kinds)
    if is_tuple and all(map(isinstance, found, kinds)):
        return found
    text = f"a value is not {', '.join(kind.__name__ for kind in kinds)}"
    raise FrameError(text)


async def read(stream: asyncio.StreamReader) -> Any:
    """The next value.

    Raises:
        FrameError: what came is none, or came only in part.
        EOFError: there is no more.
    """
    return decode(await read_body(stream))


async def read_body(stream: asyncio.StreamReader) -> bytes:
    """The next frame's body.

    Raises:
        FrameError: it is too large, or came only in part.
        EOFError: there is no more.
    """
    length = _length(await stream.readexactly(_LENGTH.size))
    try:
        async with asyncio.timeout(_REST_S):
            return await stream.readexactly(length)
    except TimeoutError:
        text = f"a frame of {length} bytes did not come whole within {_REST_S:g} s"
        raise FrameError(text) from None


def receive(source: socket.socket) -> Any:
    """The next value, which is waited for as long as the socket's time-out says.

    Raises:
        FrameError: what came is none.
        EOFError: there is no more.
    """
    length = _length(_exactly(source, _LENGTH.size))
    return decode(_exactly(source, length))


def _exactly(source: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = source.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _length(prefix: bytes) -> int:
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_BYTES:
        text = f"no frame: it would have {length} bytes"
        raise FrameError(text)
    return int(length)


def _check_lists(body: bytes) -> None:
    """Before any of them is made. So ends a text or a name, too."""
    if body.count(_LIST_BEGINS) > 2 * MAX_MEMBERS:
        raise ValueError(_MANY)


class _Counting:
    """Counts members of lists and dicts."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_MEMBERS

    def count(self, members: Sized) -> bool:
        """False where these are too many."""
        self._left -= len(members)
        return self._left >= 0


class _Writing(_Counting):
    """A value on its way out."""

    __slots__ = ()

    def tagged(self, value: object) -> object:
        match value:
            case None | bool() | int() | float() | str():
                return value
            case bytes():
                return _tagged_bytes(value)
            case list() | tuple():
                tag = _LIST if isinstance(value, list) else _TUPLE
                members = cast("list[object] | tuple[object, ...]", value)
                self._check(members)
                return [tag, *map(self.tagged, members)]
            case dict():
                fields = cast("dict[object, object]", value)
                self._check(fields)
                return {key: self.tagged(one) for key, one in fields.items()}
            case _:
                text = f"{value!r} is no plain value"
                raise TypeError(text)

    def _check(self, members: Sized) -> None:
        if not self.count(members):
            raise FrameTooLarge(_MANY)


def _check_texts(value: object) -> None:
    """Who asks the store itself for half of a surrogate pair is told the same."""
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise FrameError(no_utf8(error)) from None
        case list() | tuple():
            for one in cast("list[object] | tuple[object, ...]", value):
                _check_texts(one)
        case dict():
            for one in cast("dict[object, object]", value).values():
                _check_texts(one)
        case _:
            pass


def _tagged_bytes(value: bytes) -> list[str]:
    """Most bytes are JSON: they go as the text that they are."""
    try:
        return [_TEXT, value.decode()]
    except UnicodeDecodeError:
        return [_BYTES, base64.b64encode(value).decode()]


class _Reading(_Counting):
    """A value on its way in."""

    __slots__ = ()

    def plain(self, value: Any, depth: int) -> Any:
        if depth == 0:
            text = f"deeper than {_MAX_DEPTH}"
            raise ValueError(text)
        match value:
            case [str(tag), *members]:
                return self._untagged(tag, members, depth)
            case list():
                text = "a list does not say what it is"
                raise ValueError(text)
            case dict():
                fields = cast("dict[str, Any]", value)
                self._check(fields)
                return {key: self.plain(one, depth - 1) for key, one in fields.items()}
            case _:
                return value

    def _untagged(self, tag: str, members: list[Any], depth: int) -> Any:
        if tag in (_LIST, _TUPLE):
            self._check(members)
            plain = [self.plain(one, depth - 1) for one in members]
            return plain if tag == _LIST else tuple(plain)
        (text,) = members
        if tag == _TEXT and isinstance(text, str):
            return text.encode()
        if tag == _BYTES and isinstance(text, str):
            return base64.b64decode(text, validate=True)
        what = f"a list of the kind {tag!r}"
        raise ValueError(what)

    def _check(self, members: Sized) -> None:
        if not self.count(members):
            raise ValueError(_MANY)
