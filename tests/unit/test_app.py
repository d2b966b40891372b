"""An application holds its functions, each under one id."""

from __future__ import annotations

from typing import Any

import pytest

import durable


async def one(ctx: durable.Context) -> None:
    del ctx


async def two(ctx: durable.Context) -> None:
    del ctx


def test_an_app_has_a_name() -> None:
    with pytest.raises(durable.ConfigError):
        durable.App("")
    assert "shop" in repr(durable.App("shop"))


def test_an_id_used_twice_is_refused() -> None:
    app = durable.App("t")
    app.function("same")(one)
    with pytest.raises(durable.ConfigError, match="'same' exists twice"):
        app.function("same")(two)


def test_a_module_imported_again_replaces_its_functions_with_a_warning() -> None:
    app = durable.App("t")
    app.function()(one)
    with pytest.warns(UserWarning, match="defined again"):
        again = app.function()(one)
    assert app.functions == {"one": again}


@pytest.mark.asyncio
async def test_sending_without_an_engine_says_what_to_do() -> None:
    with pytest.raises(durable.EngineClosed, match="async with"):
        await durable.App("t").send(durable.Event("a"))


@pytest.mark.asyncio
async def test_sending_goes_through_the_open_engine() -> None:
    class Sender:
        def is_open(self) -> bool:
            return True

        async def send(self, *events: Any) -> list[str]:
            return [event.name for event in events]

    app = durable.App("t")
    app.use_engine(Sender())
    assert app.has_engine
    assert await app.send(durable.Event("a")) == ["a"]
