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


def test_a_failure_handler_is_one_of_its_functions() -> None:
    app = durable.App("t")
    made = app.function(on_failure=two)(one)
    assert app.functions == {"one": made, "one-failure": made.on_failure}


def test_a_function_defined_again_takes_its_failure_handler_along() -> None:
    app = durable.App("t")
    app.function(on_failure=two)(one)
    with pytest.warns(UserWarning, match="defined again"):
        again = app.function(on_failure=one)(one)
    assert app.functions == {"one": again, "one-failure": again.on_failure}
    with pytest.warns(UserWarning, match="defined again"):
        again = app.function()(one)
    assert app.functions == {"one": again}


def test_an_id_that_a_failure_handler_has_is_taken() -> None:
    app = durable.App("t")
    app.function(on_failure=two)(one)
    text = "'one-failure' exists twice in app 't', as the on_failure of 'one': choose"
    with pytest.raises(durable.ConfigError, match=text):
        app.function("one-failure")(two)
    other = durable.App("u")
    taken = other.function("one-failure")(two)
    with pytest.raises(durable.ConfigError, match="'one-failure' exists twice"):
        other.function(on_failure=two)(one)
    assert other.functions == {"one-failure": taken}
