"""Signals: what a waiter is given, what a name may be, and how one is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._codec import read_plain
from ._errors import ConfigError
from ._setting import wrong_id


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal as its waiter is given it: its name, and what was sent with it, as JSON has it.

    Raises:
        ConfigError: the name is none.
    """

    signal: str
    data: Any = None

    def __post_init__(self) -> None:
        if problem := wrong_signal(self.signal):
            text = f"Signal: {problem}; its data comes second, as in Signal('refund/o1', {{'ok': True}})"
            raise ConfigError(text)


def read_signal(json: bytes) -> Signal | None:
    """What a wait came to; `None` where nobody sent the signal."""
    given = read_plain(json)
    return None if given is None else Signal(given["signal"], given["data"])


def wrong_signal(signal: object) -> str | None:
    """What is wrong with a signal's name, if anything is."""
    if not isinstance(signal, str) or not signal:
        return f"a signal's name is a text that is not empty, not {signal!r}"
    return wrong_id("signal", "a name", signal)
