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


def execute(source: str, **names: Any) -> Any:
    """As a module that is imported, or a notebook's cell; what it calls `made`."""
    names |= {"__name__": "shop", "durable": durable}
    exec(compile(source, "shop.py", "exec"), names)  # noqa: S102  # it is ours
    return names.get("made")


def test_a_module_imported_again_replaces_its_functions_with_a_warning() -> None:
    app = durable.App("t")
    source = "@app.function(on='{}')\nasync def made(ctx): ..."
    execute(source.format("a"), app=app)
    with pytest.warns(UserWarning, match="defined again"):
        again = execute("\n" + source.format("b"), app=app)  # changed meanwhile
    assert app.functions == {"made": again}
    assert [*again.triggers] == ["b"]


def test_a_function_that_is_registered_twice_alike_counts_once() -> None:
    app = durable.App("t")
    app.function(on="a")(one)
    with pytest.warns(UserWarning, match="defined again"):
        again = app.function(on="a")(one)
    assert app.functions == {"one": again}
    with pytest.raises(durable.ConfigError, match="would be lost"):
        app.function(on="b")(one)
    assert app.functions == {"one": again}


def test_functions_made_in_a_loop_are_refused_whatever_their_settings() -> None:
    def declare(app: durable.App, ons: tuple[str, ...]) -> None:
        for on in ons:

            @app.function(on=on)
            async def f(ctx: durable.Context) -> None:
                del ctx

    text = "function 'f' is made more than once by one `def` .*would be lost"
    for ons in (("a", "b"), ("a", "a")):
        app = durable.App("t")
        with pytest.raises(durable.ConfigError, match=text):
            declare(app, ons)
        assert [*app.functions["f"].triggers] == ["a"]


def test_a_def_that_is_executed_again_elsewhere_replaces_its_function() -> None:
    """As a factory that is called again does, and a notebook's cell."""
    app = durable.App("t")

    def create(on: str) -> None:
        @app.function(on=on)
        async def f(ctx: durable.Context) -> None:
            del ctx

    create("a")
    for on in ("a", "b"):
        with pytest.warns(UserWarning, match="'f' was defined again"):
            create(on)
    assert [*app.functions["f"].triggers] == ["b"]


def test_two_functions_of_one_source_are_refused() -> None:
    app = durable.App("t")
    source = "@app.function(on='a')\nasync def made(ctx): ...\n"
    text = r"'made' exists twice in app 't' \(shop.py:1 and shop.py:3\)"
    with pytest.raises(durable.ConfigError, match=text):
        execute(source + source, app=app)


def test_an_app_is_not_opened() -> None:
    app: Any = durable.App("t")
    with pytest.raises(durable.UsageError, match=r"async with durable\.Engine"), app:
        pass


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
    source = "@app.function(on_failure={})\nasync def made(ctx): ..."
    names = {"app": app, "one": one, "two": two}
    execute(source.format("two"), **names)
    with pytest.warns(UserWarning, match="defined again"):
        again = execute(source.format("one"), **names)
    assert app.functions == {"made": again, "made-failure": again.on_failure}
    with pytest.warns(UserWarning, match="defined again"):
        again = execute(source.format("None"), **names)
    assert app.functions == {"made": again}


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


def test_an_events_name_in_place_of_an_id_is_told() -> None:
    app = durable.App("shop")

    async def charge(ctx: durable.Context) -> None: ...

    with pytest.warns(UserWarning, match="has no `on`") as caught:
        app.function("shop/order.placed")(charge)
    (one,) = caught
    assert str(one.message) == (
        "function 'shop/order.placed' has no `on`, and an id like an event's name: no event starts it. Write "
        "@app.function(on='shop/order.placed') if that one is to; only `invoke` does as it is"
    )
    assert one.filename == __file__
    app.function("shop/charge", on="shop/order.placed")(charge)  # told of nothing
    app.function("charge")(charge)


@pytest.mark.parametrize(
    "given", [durable.On("shop/order.placed"), durable.Cron("@daily"), ["shop/a"]]
)
def test_what_starts_a_function_is_no_id(given: Any) -> None:
    with pytest.raises(durable.ConfigError, match=r"write @app\.function\(on=\.\.\.\)"):
        durable.App("shop").function(given)
