"""What was meant to be a hook is told where it is declared; a method of the user's own may have any other name."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

import durable
from durable._hooks import HOOKS
from durable._middleware import Execution, Middleware
from durable.middleware import Dependencies, Encryption


def made(bases: tuple[type, ...] = (Middleware,), /, **members: Any) -> Middleware:
    """One of a class that has these."""
    one: Middleware = type("Timing", bases, members)()
    return one


def given(self: object, about: object) -> None: ...


def alone(self: object) -> None: ...


def refused(member: Middleware) -> str:
    with pytest.raises(durable.ConfigError) as of_app:
        durable.App("shop", middleware=[member])
    app = durable.App("shop")
    with pytest.raises(durable.ConfigError) as of_function:
        app.function("fulfil", middleware=[member])(handler)
    text = str(of_app.value)
    assert str(of_function.value) == text.replace("app 'shop'", "function 'fulfil'")
    return text


def taken(member: Middleware) -> bool:
    return durable.App("shop", middleware=[member]).stack.members == (member,)


async def handler(ctx: durable.Context) -> None: ...


def test_the_hooks_are_those_of_the_class() -> None:
    assert set(HOOKS) == {
        "lifespan",
        "transform_input",
        "before_memoization",
        "after_memoization",
        "before_execution",
        "after_execution",
        "transform_output",
        "finished",
        "before_send",
        "after_send",
    }


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("before_exection", "before_execution"),
        ("ebfore_execution", "before_execution"),
        ("beforeExecution", "before_execution"),
        ("before_executions", "before_execution"),
        ("after_step", "after_send"),
        ("before_send_events", "before_send"),
        ("transform_out", "transform_output"),
        ("finish", "finished"),
        ("on_finished", "finished"),
        ("on_error", "transform_output"),
        ("on_execution", "after_execution"),
        ("life_span", "lifespan"),
    ],
)
def test_what_is_like_a_hook_is_refused(name: str, meant: str) -> None:
    text = refused(made(**{name: given}))
    assert f"middleware Timing: {name}() is no hook" in text
    assert f"did you mean {meant}()?" in text


def test_it_is_found_in_a_base_and_as_a_static_method() -> None:
    base = type(made(before_exection=given))
    assert "Timing: before_exection()" in refused(made((base,)))
    assert "before_exection()" in refused(made(before_exection=staticmethod(str)))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("_before_exection", given),
        ("finish", alone),
        ("is_finished", given),
        ("unfinished", given),
        ("send", given),
        ("execution", given),
        ("transform", given),
        ("before", given),
        ("on_message", given),
        ("on_modified", given),
        ("report", given),
        ("span", given),
    ],
)
def test_a_helper_of_ones_own_is_none_of_ours(
    name: str, method: Callable[..., None]
) -> None:
    assert taken(made(**{name: method}))


def test_what_is_no_method_or_is_anothers_is_not_looked_at() -> None:
    other = type("Listener", (), {"on_error": given, "before_request": given})
    assert taken(made((Middleware, other)))
    assert taken(made((Middleware, other), before_request=given))
    assert taken(made(before_words=("a", "b"), finishes=property(alone)))


@pytest.mark.parametrize(
    ("name", "method", "told"),
    [
        (
            "before_execution",
            alone,
            "before_execution() is called with one argument, the execution, and it takes ()",
        ),
        (
            "finished",
            lambda _self, _end, _more: None,
            "and it takes (_end, _more)\n  accepted: def finished(self, end)",
        ),
        ("lifespan", given, "lifespan() is called with none, and it takes (about)"),
        (
            "before_send",
            5,
            "before_send() is called with one argument, the sending, and it is no method but 5",
        ),
    ],
)
def test_a_hook_that_cannot_take_its_argument_is_refused(
    name: str, method: object, told: str
) -> None:
    text = refused(made(**{name: method}))
    assert text.startswith("app 'shop': middleware Timing: the hook ")
    assert told in text


def test_whatever_can_be_called_with_it_is_taken() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(_self: object) -> AsyncGenerator[None]:
        yield

    async def later(_self: object, execution: Execution, more: int = 1) -> None: ...

    many: Any = lambda *_: None  # noqa: E731  # it takes all
    hooks = {
        "lifespan": lifespan,
        "before_execution": later,
        "after_execution": many,
        "finished": staticmethod(lambda _: None),
        "before_send": SimpleNamespace(__call__=given).__call__,
    }
    assert taken(made(**hooks))


def test_the_packages_own_are_taken() -> None:
    assert taken(Encryption("key"))
    assert taken(Dependencies())
