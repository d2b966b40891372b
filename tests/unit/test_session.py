"""What applications say is read as a whole before anything is opened."""

from __future__ import annotations

import pytest

import durable


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
