"""Signatures: made, checked, aged, and rotated."""

from __future__ import annotations

import hashlib
import hmac

import pytest

import durable
from durable._serving.keys import TOLERANCE_S, Keys, canonical


KEY = "signkey-test-00ff10"
NOW = 1_800_000_000


def header(body: bytes, key: str = "00ff10", at: int = NOW) -> str:
    mac = hmac.new(key.encode(), body + str(at).encode(), hashlib.sha256)
    return f"t={at}&s={mac.hexdigest()}"


def test_what_is_signed_is_the_canonical_form_whatever_is_sent() -> None:
    keys = Keys([KEY])
    sent = b'{"b": 1.50, "a": "\\u00e9"}'
    assert canonical(sent) == '{"a":"é","b":1.5}'.encode()
    assert keys.is_signed(sent, header(canonical(sent)), NOW)
    assert keys.is_signed(sent, header(sent), NOW), "as it is sent is as good"
    assert not keys.is_signed(b'{"a":"other"}', header(canonical(sent)), NOW)


def test_numbers_that_floats_cannot_hold_are_signed_as_floats() -> None:
    assert canonical(b'{"n":[123456789012345678,true]}') == (
        b'{"n":[123456789012345680,true]}'
    )


def test_what_is_no_json_is_signed_as_it_is() -> None:
    assert Keys([KEY]).is_signed(b"", header(b""), NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "t=&s=",
        "t=soon&s=00",
        "t=²&s=00",
        f"t={NOW}&s=",
        f"t={NOW}&s=é",
        f"t={'9' * 400}&s=00",
        header(b"{}", at=NOW - TOLERANCE_S - 1),
        header(b"{}", at=NOW + TOLERANCE_S + 1),
        header(b"{}", "00ff11"),
        "&".join(reversed(header(b"{}").split("&"))),
        header(b"{}").upper(),
        header(b"{}") + "&x=1",
        "t=1&" + header(b"{}"),
        header(b"{}").replace("t=1", "t=%31"),
    ],
)
def test_anything_else_is_refused(wrong: str | None) -> None:
    assert not Keys([KEY]).is_signed(b"{}", wrong, NOW)


def test_a_signature_holds_for_five_minutes() -> None:
    assert Keys([KEY]).is_signed(b"{}", header(b"{}", at=NOW - TOLERANCE_S), NOW)


def test_of_two_keys_the_first_signs_and_each_is_accepted() -> None:
    keys = Keys(["signkey-test-aa", KEY])
    assert keys.is_signed(b"{}", header(b"{}", "aa"), NOW)
    assert keys.is_signed(b"{}", header(b"{}"), NOW)
    assert keys.sign(b"{}", NOW) == header(b"{}", "aa")


def test_a_server_is_shown_the_hash_of_the_key() -> None:
    hashed = hashlib.sha256(bytes.fromhex("00ff10")).hexdigest()
    assert Keys([KEY]).bearer() == f"signkey-test-{hashed}"
    assert Keys(["00ff10"]).bearer() == hashed


@pytest.mark.parametrize("wrong", ["", "secret", "signkey-test-", "00f", "00 ff"])
def test_a_signing_key_is_hexadecimal(wrong: str) -> None:
    with pytest.raises(durable.ConfigError, match="openssl rand -hex 32"):
        Keys([wrong])
