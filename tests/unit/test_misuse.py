"""What is told of calls that Python itself refuses, and where the mistake is."""

# ruff: noqa: PLW0108  # the lambda is whose line counts

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel

import durable
from durable._misuse import explained, misuse_of
from durable._step import StepCall


def caught(code: Any) -> BaseException:
    with pytest.raises(Exception) as error:  # noqa: PT011  # whichever it is
        code()
    return error.value


def refuse(text: str) -> Any:
    def code() -> None:
        raise durable.UsageError(text)

    return code


def test_a_line_is_added_once() -> None:
    told = explained(caught(refuse("wrong")), "f")
    assert type(told) is durable.UsageError
    head, place = str(told).split("\n  in function 'f' (")
    assert head == "wrong"
    assert place.startswith(__file__)
    assert explained(told, "f") is told


def test_what_names_its_function_is_left_alone() -> None:
    error = caught(refuse("function 'f': wrong"))
    assert explained(error, "f") is error


@pytest.mark.parametrize(
    "code",
    [
        lambda: int("x"),
        lambda: len(5),  # type: ignore[arg-type]
        lambda: SimpleNamespace().missing,
        lambda: SimpleNamespace(missing=1)(),
    ],
)
def test_errors_of_others_are_left_alone(code: Any) -> None:
    error = caught(code)
    assert explained(error, "f") is error


def test_a_call_of_a_method_of_ours_is_recognised_by_its_owner() -> None:
    app = durable.App("shop")

    def other(step: Any) -> None:
        step.sleep()

    class Steps:
        def sleep(self, duration: str) -> None: ...

    error = caught(lambda: other(Steps()))
    assert explained(error, "f") is error
    assert app.functions == {}


def test_a_name_that_is_near_to_nothing_is_answered_with_all() -> None:
    step = durable.EventType("paid")
    told = str(explained(caught(lambda: step.zzz), "f"))  # type: ignore[attr-defined]
    assert told.startswith("EventType has no 'zzz': it has event, model, name, read")


def test_what_is_asked_of_the_context_and_is_a_step_is_shown_where_it_is() -> None:
    ctx = durable.Context(cast("Any", None))
    told = str(explained(caught(lambda: ctx.run), "f"))  # type: ignore[attr-defined]
    assert told.startswith("Context has no 'run': it is ctx.step.run")


def takes_one(one: int) -> int:
    return one


def call_of(function: Any, *args: Any) -> Any:
    return SimpleNamespace(name="s", function=function, args=args, kwargs={})


def test_arguments_that_do_not_fit_are_told_with_the_signature() -> None:
    error = caught(lambda: takes_one())  # type: ignore[call-arg]
    told = misuse_of(call_of(takes_one), error)  # type: ignore[arg-type]
    assert str(told) == (
        "step 's' was called with other arguments than takes_one(one: 'int'): missing a required argument: 'one'; "
        "give it those that its function takes"
    )


def test_a_type_error_of_the_function_itself_is_its_own() -> None:
    def broken() -> None:
        len(5)  # type: ignore[arg-type]

    assert misuse_of(call_of(broken), caught(broken)) is None  # type: ignore[arg-type]


def test_the_line_is_the_user_s_own_where_libraries_are_between() -> None:
    @contextmanager
    def opened() -> Iterator[None]:
        refuse("wrong")()
        yield

    def code() -> None:
        with opened():
            pass

    own = str(explained(caught(code), "f"))
    assert f"({__file__}:" in own
    library = compile("def call(it): it()", contextlib.__file__, "exec")
    names: dict[str, Any] = {}
    exec(library, names)  # noqa: S102  # it is ours
    error = caught(lambda: names["call"](durable.EventType))
    assert error.__traceback__ is not None
    placed = durable.UsageError("wrong").with_traceback(error.__traceback__)
    assert f"({__file__}:" in str(explained(placed, "f"))


@pytest.mark.parametrize(
    "use",
    [
        lambda step: step + 1,
        lambda step: step["id"],
        lambda step: step.id,
        len,
        lambda step: step < 1,
        list,
    ],
)
def test_a_step_that_is_used_like_its_result_is_told(use: Any) -> None:
    run: Any = SimpleNamespace(function=SimpleNamespace(id="f"))
    call: Any = StepCall(run, "s", sys._getframe())
    told = explained(caught(lambda: use(call)), "f")
    assert type(told) is durable.UsageError
    assert "it is a step that was not awaited" in str(told)


def test_data_is_found_where_it_is() -> None:
    class Order(BaseModel):
        order_id: str

    ordered = durable.EventType("ordered", Order)
    event: Any = ordered(order_id="o1")
    plain: Any = durable.Event("ordered", {"order_id": "o1"})
    for code, says in (
        (lambda: event.order_id, "it is ctx.event.data.order_id"),
        (lambda: plain.order_id, "it is ctx.event.data['order_id']"),
        (lambda: plain.other, "it has name, data, id, ts, v, user; what was sent is"),
        (lambda: plain.data.order_id, "it is ['order_id']. What has no declared type"),
        (lambda: durable.Context(cast("Any", None)).data, "it is ctx.event.data"),
    ):
        assert says in str(explained(caught(code), "f"))
    error = caught(lambda: plain.data.other)
    assert explained(error, "f") is error


def test_a_habit_of_others_gets_its_line() -> None:
    async def f(ctx: Any) -> None: ...

    made: Any = durable.App("shop").function("other")(f)
    told = explained(caught(lambda: made.delay()), "f")
    assert type(told) is durable.UsageError
    assert f"in function 'f' ({__file__}:" in str(told)
