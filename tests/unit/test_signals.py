"""What a signal's name may be, and what a waiter is given."""

from __future__ import annotations

import pytest

import durable
from durable._signals import read_signal, wrong_signal


@pytest.mark.parametrize("name", ["x", "refund/o1", 'a "b"\n', "ä" * 128])
def test_a_text_of_up_to_256_bytes_is_a_name(name: str) -> None:
    assert wrong_signal(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "not empty, not ''"),
        (None, "not empty, not None"),
        (b"x", "not empty, not b'x'"),
        ("ä" * 129, "at most 256 bytes"),
        ("\ud800", "half a character"),
    ],
)
def test_anything_else_is_none_and_the_reason_is_said(
    name: object, reason: str
) -> None:
    problem = wrong_signal(name)
    assert problem is not None
    assert reason in problem


@pytest.mark.parametrize("name", ["", None, 5, {"ok": True}, "ä" * 129])
def test_a_signal_has_such_a_name_too(name: object) -> None:
    """So a mock that has only the data is refused where it is made."""
    with pytest.raises(durable.ConfigError) as found:
        durable.Signal(name)  # type: ignore[arg-type]  # the mistake
    assert str(found.value) == (
        f"Signal: {wrong_signal(name)}; its data comes second, as in Signal('refund/o1', {{'ok': True}})"
    )


def test_a_waiter_is_given_the_name_and_the_data_or_nothing() -> None:
    assert read_signal(b'{"signal":"go","data":{"n":[1,null]}}') == durable.Signal(
        "go", {"n": [1, None]}
    )
    assert read_signal(b'{"signal":"go","data":null}') == durable.Signal("go")
    assert read_signal(b"null") is None
