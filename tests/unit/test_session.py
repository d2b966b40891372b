"""What applications say is read as a whole before anything is opened."""

from __future__ import annotations

import threading

import pytest

import durable
from durable import _session


def handler(ctx: durable.SyncContext) -> None:
    del ctx


def test_the_apps_are_checked() -> None:
    with pytest.raises(durable.ConfigError, match="is no App"):
        durable.Engine("shop")  # type: ignore[arg-type]
    with pytest.raises(durable.ConfigError, match="two apps have the name"):
        durable.Engine(durable.App("a"), durable.App("a"))
    one, two = durable.App("a"), durable.App("b")
    one.function("f")(handler)
    two.function("f")(handler)
    with pytest.raises(durable.ConfigError, match="two apps have a function 'f'"):
        durable.Engine(one, two)


def test_a_thread_of_ones_own_keeps_nobody_at_the_end() -> None:
    """Ctrl-C may come while it starts: nobody is left then to tell it that all is over."""
    called = _session.on_own_thread(threading.current_thread)
    assert called.result(10).daemon
    failing = _session.on_own_thread(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        failing.result(10)
