"""What a handler says of its context is what it is given."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

import durable
from durable._annotated import line_of


class Order(BaseModel):
    """What is ordered."""

    order_id: str


class Gift(Order):
    """An order as well."""


@dataclass
class Invoice:
    """What is to be paid."""

    number: int


class Plain(TypedDict):
    """A dict at run time."""

    number: int


ordered = durable.EventType("shop/ordered", Order)
given = durable.EventType("shop/given", Gift)
billed = durable.EventType("shop/billed", Invoice)


async def takes_order(ctx: durable.Context[Order]) -> None: ...
async def takes_gift(ctx: durable.Context[Gift]) -> None: ...
async def takes_either(ctx: durable.Context[Order | Invoice]) -> None: ...
async def takes_plain(ctx: durable.Context[Plain]) -> None: ...
async def takes_any(ctx: durable.Context[Any]) -> None: ...
async def takes_objects(ctx: durable.Context) -> None: ...
async def says_nothing(ctx): ...  # type: ignore[no-untyped-def]  # as some do
def blocks(ctx: durable.SyncContext[Order]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "on"),
    [
        (takes_order, ordered),
        (takes_order, given),
        (takes_order, [ordered, given]),
        (takes_order, durable.On(ordered, if_="event.data.order_id != null")),
        (takes_order, [ordered, "shop/*"]),
        (takes_order, None),
        (takes_order, durable.Cron("@daily")),
        (takes_either, [ordered, given, billed]),
        (takes_plain, "shop/counted"),
        (takes_plain, ordered),
        (takes_any, [ordered, billed]),
        (takes_objects, "shop/ordered"),
        (says_nothing, ordered),
        (blocks, ordered),
    ],
)
def test_what_fits_or_may_is_taken(handler: Any, on: Any) -> None:
    assert durable.App("t").function(on=on)(handler).id == handler.__name__


@pytest.mark.parametrize(
    ("handler", "on", "says"),
    [
        (takes_order, billed, r"data of Invoice: write Context\[Invoice\]"),
        (takes_gift, ordered, r"'shop/ordered' .* has data of Order"),
        (takes_order, [ordered, billed], "'shop/billed' .* has data of Invoice"),
        (takes_order, "shop/a", r"no type, .* on=durable.EventType\('shop/a', Order\)"),
        (takes_order, "shop/*", "no type, .* write each event with its type"),
        (blocks, billed, r"takes a SyncContext\[Order\]"),
    ],
)
def test_what_does_not_fit_is_refused(handler: Any, on: Any, says: str) -> None:
    where = rf"^function '{handler.__name__}' \({__file__}:\d+\) takes a "
    with pytest.raises(durable.ConfigError, match=where) as caught:
        durable.App("t").function(on=on)(handler)
    assert caught.match(says)


def test_a_plain_wrapper_of_a_coroutine_is_named() -> None:
    @functools.wraps(takes_order)
    def wrapper(*args: Any) -> Any:
        return takes_order(*args)

    says = (
        rf"^function 'takes_order' \({line_of(takes_order)}\) is an `async def`, and what wraps it "
        rf"\({__file__}:{wrapper.__code__.co_firstlineno}\) a plain `def`, .* make the wrapper an `async def`"
    )
    with pytest.raises(durable.ConfigError, match=says):
        durable.App("t").function(on=ordered)(wrapper)


def test_a_coroutine_that_wraps_a_plain_function_is_named() -> None:
    @functools.wraps(blocks)
    async def wrapper(*args: Any) -> Any:
        return blocks(*args)

    says = "is a plain `def`, and what wraps it .* an `async def`, .* make the wrapper a plain `def`"
    with pytest.raises(durable.ConfigError, match=says):
        durable.App("t").function(on=ordered)(wrapper)


def test_a_line_is_that_of_the_handler_itself() -> None:
    assert line_of(takes_order).startswith(__file__)
    assert line_of(len) == "<built-in function len>"
