"""Requests that are small to send and would be large to understand: some 200 of them, generated."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .attacked import BEARER, EVENT_KEY, function, registration


MIB = 1024 * 1024
EVENTS = f"/e/{EVENT_KEY}"
#: Who reads JSON, and how a request to it holds a value in its middle.
READERS = {
    "event": ("POST", EVENTS, b'{"name":"a","data":{"x":%b}}'),
    "user": ("POST", EVENTS, b'{"name":"a","user":{"x":%b}}'),
    "id": ("POST", EVENTS, b'{"name":"a","id":%b}'),
    "name": ("POST", EVENTS, b'{"name":%b}'),
    "list": ("POST", EVENTS, b'[{"name":"a","data":{"x":%b}}]'),
    "signal": ("POST", "/v1/signals", b'{"signal":"s","data":%b}'),
    "invoke": ("POST", "/invoke/shop-pay", b'{"data":{"x":%b}}'),
    "register": ("POST", "/fn/register", b'{"appName":"a","x":%b}'),
    "checkpoint": ("POST", "/v1/checkpoint/r/async", b'{"steps":%b}'),
}
#: Of these each reader refuses each.
VALUES = {
    "lists": b"[" * 500_000,
    "lists that close": b"[" * 500_000 + b"]" * 500_000,
    "objects": b'{"a":' * 300_000,
    "objects that close": b'{"a":' * 300_000 + b"1" + b"}" * 300_000,
    "both": b'[{"a":' * 200_000 + b"1" + b"}]" * 200_000,
    "a number beyond floats": b"1e999999999",
    "a long number": b"9" * MIB,
    "a long negative number": b"-" + b"9" * MIB,
    "a number that never ends": b"0." + b"0" * MIB + b"e",
    "a long text that never ends": b'"' + b"a" * MIB,
    "escapes that never end": b'"' + b"\\u0041" * 200_000,
    "half a character": b'"\\ud800"',
    "no UTF-8": b'"\xc0\x80\xff"',
    "nul": b'"\x00"',
    "commas": b"[" + b"," * MIB,
    "blanks": b" " * MIB,
    "not a number": b"NaN",
}
#: Expressions that would take for ever, or a deep stack.
EXPRESSIONS = {
    "parentheses": "(" * 8_000 + "1" + ")" * 8_000,
    "open parentheses": "(" * 16_000,
    "not": "!" * 16_000 + "true",
    "minus": "-" * 16_000 + "1 == 1",
    "sum": "+".join(["1"] * 8_000) + " == 1",
    "lists": "[" * 8_000 + "]" * 8_000,
    "fields": "event" + ".a" * 8_000,
    "indices": "event" + "[0]" * 5_000,
    "conditions": "true?" * 3_000 + "1" + ":1" * 3_000,
    "long": "a" * 20_000,
    "very long": "a" * 100_000,
    "long at its end": "1" * 70_000 + " &&",
    "long text": "'" + "a" * 20_000 + "' == 'a'",
    "open text": "'" + "a" * 16_000,
    "all of all": "[1].all(x," * 1_000 + "true" + ")" * 1_000,
    "pattern": "event.data.a.matches('(a+)+$')",
    "patterns": "event.data.a.matches('" + "(a*)*" * 1_000 + "')",
    "calls": "size(" * 3_000 + "1" + ")" * 3_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """One request, and what is wrong with it; an improper one no client sends, and it has no body."""

    name: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | list[bytes] = b""
    is_improper: bool = False


def of_json() -> Iterator[Bomb]:
    for reader, (method, path, around) in READERS.items():
        for kind, value in VALUES.items():
            name, body = f"{reader}: {kind}", around.replace(b"%b", value)
            yield Bomb(name=name, method=method, path=path, body=body)


def of_events() -> Iterator[Bomb]:
    many: dict[str, bytes] = {
        "5,001 events": b"[" + b",".join([b'{"name":"a"}'] * 5_001) + b"]",
        "a million of nothing": b"[" + b"1," * MIB + b"1]",
        "a million lists": b"[" + b"[]," * MIB + b"[]]",
        "a large event": b'{"name":"a","data":{"x":"%b"}}' % (b"a" * 5 * MIB),
        "a long name": b'{"name":"%b"}' % (b"a" * MIB),
        "a long id": b'{"name":"a","id":"%b"}' % (b"a" * MIB),
        "a name twice": b'{"name":"a","name":"b"}',
        "a moment beyond numbers": b'{"name":"a","ts":%b}' % (b"9" * MIB),
        "an empty body": b"",
    }
    for name, body in many.items():
        yield Bomb(name=name, method="POST", path=EVENTS, body=body)


def of_bytes() -> Iterator[Bomb]:
    zeros = b"0" * 10 * MIB
    packed = {"gzip": gzip.compress(zeros), "deflate": zlib.compress(zeros)}
    packed |= {"br": b"\x1b", "zstd": b"(\xb5/\xfd", "gzip, gzip": packed["gzip"]}
    for coding, body in packed.items():
        headers = {"Content-Encoding": coding, **BEARER}
        for path in (EVENTS, "/fn/register"):
            name = f"{path}: {coding}"
            yield Bomb(name=name, method="POST", path=path, headers=headers, body=body)
    parts = [b" " * MIB] * 9
    empty = json.dumps(registration("empty")).encode()
    for path, good in (("/fn/register", empty), ("/invoke/shop-pay", b"{}")):
        padded = [good, *parts]  # it would be taken if it were shorter
        yield Bomb(name=f"{path}: parts", method="POST", path=path, body=padded)
        said = {"Content-Length": str(10**12)}
        name = f"{path}: a length that is not kept"
        yield Bomb(name=name, method="POST", path=path, headers=said, is_improper=True)
    for path in ("/e/another", "/fn/register"):
        nobody = {"Authorization": "Bearer 00"}
        name = f"{path}: no key"
        yield Bomb(name=name, method="POST", path=path, headers=nobody, body=parts * 4)


def of_headers() -> Iterator[Bomb]:
    heads = {
        "a long one": {"X-Long": "a" * 200_000},
        "many": {f"X-{number}": "a" for number in range(200)},
        "many long ones": {f"X-{number}": "a" * 8_000 for number in range(20)},
        "a long name": {"X" * 200_000: "a"},
    }
    for name, headers in heads.items():
        at: Any = {"method": "GET", "path": "/health", "headers": headers}
        yield Bomb(name=f"headers: {name}", **at, is_improper=True)
    long = "/health?" + "a" * 100_000
    yield Bomb(name="a long address", method="GET", path=long, is_improper=True)


def of_functions() -> Iterator[Bomb]:
    def made(name: str, **settings: Any) -> Bomb:
        url = "http://127.0.0.1:1/"
        said = registration("bomb", function("bomb", "f", url, **settings))
        body = json.dumps(said).encode()
        return Bomb(name=name, method="POST", path="/fn/register", body=body)

    for kind, text in EXPRESSIONS.items():
        yield made(f"if: {kind}", triggers=[{"event": "x", "expression": text}])
        yield made(f"key: {kind}", concurrency={"limit": 1, "key": text})
        yield made(f"cancel: {kind}", cancel=[{"event": "y", "if": text}])
    for kind, value in {"numbers": b"1", "objects": b"{}", "texts": b'""'}.items():
        start = json.dumps(registration("bomb"))[:-1].encode()
        body = b'%b,"x":[%b0]}' % (start, (value + b",") * MIB)
        at: Any = {"method": "POST", "path": "/fn/register"}
        yield Bomb(name=f"a million {kind}", body=body, **at)
    yield made("a cron", triggers=[{"cron": "*/1," * 100_000 + "1 * * * *"}])
    yield made("a length", throttle={"limit": 1, "period": "1h" * 100_000 + "x"})
    yield made("a limit", concurrency={"limit": 10**30})


def all_bombs() -> list[Bomb]:
    kinds = (of_json(), of_events(), of_bytes(), of_headers(), of_functions())
    return [bomb for kind in kinds for bomb in kind]
