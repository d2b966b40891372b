"""Signing keys: who may call, and that it is this application which answers."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from .._errors import ConfigError


if TYPE_CHECKING:
    from collections.abc import Sequence

#: How old a signature may be, and how far ahead, s.
TOLERANCE_S: Final = 300
_HEADER: Final = re.compile(r"t=([0-9]{1,15})&s=([0-9a-f]{64})")
_PREFIX: Final = re.compile(r"signkey-\w+-")
#: Beyond, a number of JSON is not exact where numbers are floats, as the canonical form has them.
_EXACT: Final = 2**53 - 1
_MISSING: Final = "signatures need rfc8785: pip install 'durable-engine[serve]'"


class Keys:
    """The first signs; each of them is accepted, so that one can follow another."""

    __slots__ = ("_bare", "_prefix")

    def __init__(self, keys: Sequence[str]) -> None:
        self._bare = [_PREFIX.sub("", key, count=1) for key in keys]
        found = _PREFIX.match(keys[0]) if keys else None
        self._prefix = found.group() if found else ""
        for bare in self._bare:
            _check(bare)

    def __len__(self) -> int:
        return len(self._bare)

    def sign(self, body: bytes, now_s: int) -> str:
        """The header that signs a body as it is sent."""
        return f"t={now_s}&s={_mac(self._bare[0], body, str(now_s))}"

    def is_signed(self, body: bytes, header: str | None, now_s: float) -> bool:
        """True where this body was signed with one of the keys, and a short while ago.

        What is signed is its canonical form (RFC 8785), whatever form it is sent in.
        """
        # What can be written in two ways is read in two: there is one form.
        parts = _HEADER.fullmatch(header or "")
        if parts is None:
            return False
        at, signature = parts.groups()
        if abs(now_s - int(at)) > TOLERANCE_S:
            return False
        forms = {body, canonical(body)}
        # All of them are looked at: how long it takes says nothing.
        hits = [
            hmac.compare_digest(_mac(key, form, at), signature)
            for key in self._bare
            for form in forms
        ]
        return any(hits)

    def bearer(self) -> str:
        """What opens a server's API: the first key, hashed."""
        return self._prefix + self.hashes()[0]

    def hashes(self) -> list[str]:
        """Each key, hashed, as it may be shown to who has it."""
        return [hashlib.sha256(bytes.fromhex(bare)).hexdigest() for bare in self._bare]


def canonical(body: bytes) -> bytes:
    """The canonical form of JSON; what is no JSON is left as it is.

    Raises:
        ConfigError: what makes it is not installed.
    """
    try:
        import rfc8785  # noqa: PLC0415  # without keys nobody needs it
    except ModuleNotFoundError:
        raise ConfigError(_MISSING) from None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return rfc8785.dumps(_with_floats(value))
    except RecursionError:
        return body


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _with_floats(one) for name, one in fields.items()}
    if isinstance(value, list):
        return [_with_floats(one) for one in cast("Any", value)]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and abs(value) > _EXACT else value


def _mac(key: str, body: bytes, at: str) -> str:
    return hmac.new(key.encode(), body + at.encode(), hashlib.sha256).hexdigest()


def _check(bare: str) -> None:
    try:
        is_key = bool(bytes.fromhex(bare)) and bare.isalnum()
    except ValueError:
        is_key = False
    if not is_key:
        text = (
            "durable.serve: a signing key is an even number of hexadecimal digits, behind signkey-ENV- if you "
            "like: make one with `openssl rand -hex 32`, and give it to the server too"
        )
        raise ConfigError(text)
