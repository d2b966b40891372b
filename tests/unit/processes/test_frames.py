"""What is read from a frame is what was written, and nothing else can be read."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
from hypothesis import given, strategies

from durable._processes.frames import (
    FrameError,
    FrameTooLarge,
    decode,
    encode,
    members,
    read,
    receive,
)


def body(frame: bytes) -> bytes:
    return frame[4:]


PLAIN = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.text()
    | strategies.binary(),
    lambda inner: (
        strategies.lists(inner)
        | strategies.lists(inner).map(tuple)
        | strategies.dictionaries(strategies.text(), inner)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


@given(PLAIN)
def test_what_is_read_is_what_was_written(value: Any) -> None:
    frame = encode(value)
    assert struct.unpack("!I", frame[:4]) == (len(frame) - 4,)
    assert same(decode(body(frame)), value)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, {1: 2}, 2**70, "\ud800", [print], Ellipsis]
)
def test_only_plain_values_go(value: object) -> None:
    with pytest.raises(FrameError):
        encode(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(FrameError):
        encode(endless)


def test_a_frame_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable._processes.frames.MAX_BYTES", 100)
    assert encode("a" * 98)
    with pytest.raises(FrameTooLarge, match="103 bytes; between two processes 100 go"):
        encode("a" * 101)


@pytest.mark.parametrize(
    "json",
    [
        b"",
        b"nonsense",
        b'{"a":',
        b"[1]",
        b"[]",
        b'["q",1]',
        b'["b"]',
        b'["b",1]',
        b'["b","a","b"]',
        b'["x","%%%"]',
        b'["x",{}]',
        b'["l",[1]]',
        b'["l",' * 40 + b"1" + b"]" * 40,
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_nonsense_is_no_frame(json: bytes) -> None:
    with pytest.raises(FrameError):
        decode(json)


def test_a_tuple_is_taken_apart_as_it_should_be() -> None:
    assert members((1, "a"), int, str) == (1, "a")
    for wrong in ([1, "a"], (1,), (1, 2), None, (1, "a", 2)):
        with pytest.raises(FrameError, match="a value is not int, str"):
            members(wrong, int, str)


@pytest.mark.asyncio
async def test_frames_are_read_one_behind_the_other() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(encode((1, b"a")) + encode("b"))
    stream.feed_eof()
    assert await read(stream) == (1, b"a")
    assert await read(stream) == "b"
    with pytest.raises(EOFError):
        await read(stream)


@pytest.mark.asyncio
async def test_a_length_over_the_limit_is_not_waited_for() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"\xff\xff\xff\xff")
    with pytest.raises(FrameError, match="it would have 4294967295 bytes"):
        await read(stream)


@pytest.mark.asyncio
async def test_a_frame_that_stays_half_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("durable._processes.frames._REST_S", 0.01)
    stream = asyncio.StreamReader()
    stream.feed_data(encode("whole")[:-2])
    with pytest.raises(FrameError, match="did not come whole"):
        await read(stream)


def test_a_socket_is_read_as_a_stream_is() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(encode(["a"]) + encode("b")[:-1])
        one.shutdown(socket.SHUT_WR)
        assert receive(other) == ["a"]
        with pytest.raises(EOFError):
            receive(other)


def test_a_frame_has_so_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable._processes.frames.MAX_MEMBERS", 10)
    value = [[1, 2, 3], (4,), {"a": 5}, b"x", "["]
    assert decode(body(encode(value))) == value
    with pytest.raises(FrameTooLarge, match="members"):
        encode([value])
    dense = b'["l",' + b",".join([b'["l"]'] * 30) + b"]"
    flat = b'["l",' + b",".join([b"1"] * 11) + b"]"
    for one in (dense, flat, b'["l",%s]' % flat):
        with pytest.raises(FrameError, match="members"):
            decode(one)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(FrameError, match="has no UTF-8"):
        encode(["\ud800"])
