"""Expressions are checked where they are written: mistakes have their place, and fields are the model's."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field

import durable
from durable import _bridge as bridge
from durable._expression import (
    check,
    check_constant,
    check_fields,
    has_field,
    wrong_match,
)
from durable._setting import Place


_PLACE = Place("function 'fulfil'", "throttle.key")


class Customer(BaseModel):
    """Inside of an order."""

    id: str


class Order(BaseModel):
    """With all that makes names: plain fields, an alias, a computed one."""

    customer_id: str
    amount: float
    customer: Customer
    kind: str = Field(alias="type")

    @computed_field
    @property
    def total(self) -> float:
        return self.amount


class Loose(BaseModel):
    """Takes fields that it does not name."""

    model_config = ConfigDict(extra="allow")

    customer_id: str


def refusal(text: object, model: object = None, **how: Any) -> list[str]:
    with pytest.raises(durable.ConfigError) as caught:
        check(_PLACE, text, model, **how)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "event.data.customer_id",
        "event.data.customer.anything + event.id",
        "event.data['amount'] > 3 && event.data.total > 1",
        "event.data.type == 'a' || event.data.kind == 'b'",
        "has(event.data.customer) && event.ts > 0",
    ],
)
def test_what_is_right_comes_back(text: str) -> None:
    assert check(_PLACE, text, Order) == text


def test_a_mistake_is_told_with_its_owner_argument_and_place() -> None:
    lines = refusal("""event.data['größe'] = "it's" """)
    assert (
        lines[0]
        == "function 'fulfil': throttle.key: '=' is no operator here: to compare, write =="
    )
    assert lines[1] == """    event.data['größe'] = "it's" """
    assert lines[2].index("^") == lines[1].index("=")
    assert lines[2].count("^") == 1
    assert lines[3].startswith("  accepted: a CEL expression")


def test_only_the_line_with_the_mistake_is_shown() -> None:
    lines = refusal("event.data.x == 1\n  && evnt.data.y == 2\n  && true")
    assert lines[1:3] == ["      && evnt.data.y == 2", "         ^^^^"]


@pytest.mark.parametrize("text", [7, None, b"event.id"])
def test_what_is_no_text_is_told_in_one_line(text: object) -> None:
    assert f"is of type {type(text).__name__}" in refusal(text)[0]


def test_an_empty_text_has_nothing_to_show() -> None:
    lines = refusal("  ")
    assert "is empty" in lines[0]
    assert len(lines) == 2


def test_a_field_that_the_model_has_not_is_told_with_the_one_that_was_meant() -> None:
    lines = refusal("event.data.costumer_id == event.id", Order)
    assert lines[0].endswith(
        "no event.data.costumer_id: did you mean event.data.customer_id?"
    )
    assert lines[2] == "    " + "^" * len("event.data.costumer_id")
    assert "its data has customer_id, amount" in refusal("event.data.zzz", Order)[0]
    assert "event.data.amount?" in refusal("event.data['amuont'].x", Order)[0]


@pytest.mark.parametrize("model", [None, dict, Loose, "Order"])
def test_without_a_closed_model_any_field_will_do(model: object) -> None:
    assert check(_PLACE, "event.data.zzz", model) == "event.data.zzz"


def test_async_is_known_where_it_is_said_to_be() -> None:
    text = "async.data.zzz == event.data.amount"
    assert check(_PLACE, text, Order, scope="async") == text
    assert "where one event waits for another" in refusal(text)[0]


def test_macros_are_refused_where_that_is_asked() -> None:
    assert "'has' cannot be used here" in refusal("has(event.data.x)", plain=True)[0]


def test_paths_are_told_in_characters() -> None:
    text = "event.data['größe'] == event.data.x.y"
    assert bridge.expression_paths(text) == [
        ('event.data["größe"]', 0, 19),
        ("event.data.x.y", 23, 14),
    ]
    assert bridge.expression_paths("event.data.x ==") == []
    with pytest.raises(ValueError, match="scope"):
        bridge.check_expression("1", "everything")  # type: ignore[arg-type]


@given(st.text())
def test_no_text_breaks_the_border(text: str) -> None:
    """Lone surrogates never arrive here: pyo3 refuses them as Python does."""
    found = bridge.check_expression(text, "async")
    assert found is None or 0 <= found[1] <= found[1] + found[2] <= len(text)
    bridge.expression_paths(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data.a", True),
        ("data.a.b", True),
        ("data.a.c", False),
        ("data.a.b.c", False),
        ("data.n", True),
        ("data.m", False),
        ("user.id", True),
        ("data['m']", True),
    ],
)
def test_a_field_is_there_or_not(path: str, *, expected: bool) -> None:
    """What is more than a path in the data is not looked at."""
    assert has_field({"a": {"b": 1}, "n": None}, path) is expected


class Answer(Enum):
    """True or false, as JSON."""

    YES = True
    NO = False


class Colour(Enum):
    """Texts, as JSON."""

    RED = "red"


class Consent(RootModel[bool]):
    """True or false, as JSON."""


class Label(RootModel[str]):
    """A text, as JSON."""


class Orders(RootModel[dict[str, int]]):
    """Data of which any field may be."""


class Wrapped(RootModel[Order]):
    """Data with an order's fields."""


class Flags(BaseModel):
    """What may be true and what may not."""

    paid: bool
    gift: bool | None = None
    loose: Any = None
    thing: object = None
    consent: Consent | None = None
    answer: Answer = Answer.NO
    colour: Colour = Colour.RED
    label: Label | None = None
    cents: int = 0
    note: str | None = None
    tags: list[str] = Field(default=[], alias="labels")


@pytest.mark.parametrize(
    "name", ["paid", "gift", "loose", "thing", "consent", "answer"]
)
def test_a_condition_may_be_a_field_that_may_be_true(name: str) -> None:
    check_fields(_PLACE, f"event.data.{name}", Flags, is_condition=True)


@pytest.mark.parametrize("name", ["cents", "note", "colour", "label"])
def test_a_field_that_is_never_true_is_no_condition(name: str) -> None:
    text = f" event.data.{name}"
    says = f"event.data.{name} is never true or false: compare it, as in event.data.{name} != null"
    with pytest.raises(durable.ConfigError, match=says):
        check_fields(_PLACE, text, Flags, is_condition=True)
    check_fields(_PLACE, text, Flags)
    check_fields(_PLACE, f"{text} != null", Flags, is_condition=True)
    check_fields(_PLACE, f"{text} == null ? true : false", Flags, is_condition=True)


def test_the_fields_of_a_root_model_are_those_of_its_root() -> None:
    check_fields(_PLACE, "event.data.anything", Orders)
    check_fields(_PLACE, "event.data.amount", Wrapped)
    with pytest.raises(durable.ConfigError, match="did you mean"):
        check_fields(_PLACE, "event.data.amont", Wrapped)


@pytest.mark.parametrize("text", ["1", " -2.5", "'yes'", '"no"', "null"])
def test_a_constant_is_no_condition(text: str) -> None:
    with pytest.raises(durable.ConfigError, match="always the same, and never true"):
        check_constant(_PLACE, text)


@pytest.mark.parametrize("text", ["true", "false", "event.data.a", "'a' == 'b'"])
def test_what_is_true_or_false_is_a_condition(text: str) -> None:
    assert check_constant(_PLACE, text) == text


@pytest.mark.parametrize("match", ["data.order_id", "name", "data['a']", "user.id"])
def test_a_match_is_a_path_in_both_events(match: str) -> None:
    assert wrong_match(match) is None


@pytest.mark.parametrize(
    ("match", "says"),
    [
        ("order_id", 'write "data.order_id"'),
        ("event.data.a", "leave 'event.' out"),
        ("async.data.a", "leave 'async.' out"),
        ("5 == 5", "is no path in both events"),
    ],
)
def test_another_match_is_answered_with_what_was_meant(match: str, says: str) -> None:
    assert says in (wrong_match(match) or "")
