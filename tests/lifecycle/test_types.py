"""What comes back from a memo, an event, a call and a result is what it was, as its type: live, replayed, and after a restart."""

from __future__ import annotations

import sys
import typing
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

import durable


pytestmark = pytest.mark.asyncio

T = TypeVar("T")


class Color(Enum):
    """An enum of texts."""

    RED = "red"


class Size(IntEnum):
    """An enum of numbers."""

    LARGE = 3


class Kind(StrEnum):
    """An enum that is a text."""

    NEW = "new"


class Line(BaseModel):
    """A model in a model."""

    price: Decimal
    color: Color


class Order(BaseModel):
    """A model."""

    order_id: uuid.UUID
    placed_at: datetime
    lines: list[Line] = []


class Strict(BaseModel):
    """A model that converts nothing."""

    model_config = ConfigDict(
        strict=True, ser_json_bytes="base64", val_json_bytes="base64"
    )
    at: datetime
    raw: bytes


class Page(BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


class Card(BaseModel):
    """One of two."""

    kind: Literal["card"] = "card"
    number: str


class Bank(BaseModel):
    """The other."""

    kind: Literal["bank"] = "bank"
    number: str


@dataclass
class Address:
    """A dataclass with a dataclass's field of each difficult kind."""

    street: str
    key: bytes
    since: date
    rent: Decimal


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: float


class Row(TypedDict):
    """A dict with a shape."""

    at: datetime
    raw: bytes
    order: Order


class Old(typing.TypedDict):
    """One that pydantic takes from Python 3.12 on."""


class Opaque:
    """No model."""


ORDER = Order(
    order_id=uuid.UUID(int=7),
    placed_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    lines=[Line(price=Decimal("1.10"), color=Color.RED)],
)
RAW = b"\xff\x00raw"
ADDRESS = Address("High St", RAW, date(2026, 1, 2), Decimal("10.00"))
VALUES: list[tuple[str, Any, Any]] = [
    ("model", Order, ORDER),
    ("strict model", Strict, Strict(at=ORDER.placed_at, raw=RAW)),
    ("generic model", Page[Line], Page[Line](items=ORDER.lines)),
    ("dataclass", Address, ADDRESS),
    ("typed dict", Row, {"at": ORDER.placed_at, "raw": RAW, "order": ORDER}),
    ("named tuple", Point, Point(1, 2.5)),
    ("enum", Color, Color.RED),
    ("enum of numbers", Size, Size.LARGE),
    ("enum of texts", Kind, Kind.NEW),
    ("datetime", datetime, ORDER.placed_at),
    (
        "datetime elsewhere",
        datetime,
        ORDER.placed_at.astimezone(timezone(timedelta(hours=2))),
    ),
    ("date", date, date(2026, 1, 2)),
    ("time", time, time(3, 4, 5)),
    ("timedelta", timedelta, timedelta(days=1, milliseconds=250)),
    ("decimal", Decimal, Decimal("0.10")),
    ("uuid", uuid.UUID, uuid.UUID(int=7)),
    ("bytes", bytes, RAW),
    ("path", PurePosixPath, PurePosixPath("a/b")),
    ("nothing", None, None),
    ("truth", bool, True),
    ("number", float, 2.0),
    ("optional", Order | None, ORDER),
    ("union of models", Card | Bank, Bank(number="1")),
    (
        "union with a mark",
        Annotated[Card | Bank, Field(discriminator="kind")],
        Bank(number="1"),
    ),
    ("union of plain ones", int | str, "7"),
    ("list of models", list[Order], [ORDER, ORDER]),
    ("list of unions", list[Card | Bank], [Card(number="1"), Bank(number="2")]),
    ("list of dataclasses", list[Address], [ADDRESS]),
    ("dict of models", dict[str, Line], {"a": ORDER.lines[0]}),
    ("dict of enums", dict[str, Color], {"a": Color.RED}),
    ("tuple", tuple[int, Line], (1, ORDER.lines[0])),
    ("set", set[Color], {Color.RED}),
    ("frozen set", frozenset[int], frozenset({1})),
    ("list of bytes", list[bytes], [RAW]),
]


def shape(value: Any) -> Any:
    """The value with the types of all its parts."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return (type(value), value)
    parts = [*value] if not isinstance(value, BaseModel) else [value]
    return (
        type(value),
        [shape(one) for one in parts if one is not value] or value,
    )


@pytest.mark.parametrize(
    ("hint", "value"),
    [pytest.param(hint, value, id=name) for name, hint, value in VALUES],
)
async def test_what_comes_back_is_what_it_was(  # noqa: PLR0915  # each way once
    world: Any, hint: Any, value: Any
) -> None:
    box: Any = make_dataclass("Box", [("value", hint)])
    event_type: Any = durable.EventType("test/start", box)
    more: Any = durable.EventType("test/more", box)
    asked: Any = durable.EventType("test/asked", box)
    seen: list[Any] = []

    async def give() -> Any:
        return value

    async def echo(ctx: Any) -> Any:
        return box(ctx.event.data.value)

    async def handler(ctx: Any) -> Any:
        given = await ctx.step.run("give", give)
        echoed = await ctx.step.invoke("echo", invoked, box(given))
        sent = await ctx.step.wait_for_event("more", more, timeout="1h")
        everything = [ctx.event.data.value, given, echoed.value, sent.data.value]
        seen.append(everything)
        await ctx.step.sleep("rest", "1h")
        return everything[-1]

    give.__annotations__["return"] = handler.__annotations__["return"] = hint
    echo.__annotations__["return"] = box
    invoked = world.function(echo, on=asked)
    function = world.function(handler, on=event_type)
    engine = await world.open()
    (event_id,) = await world.send(event_type(box(value)))
    await world.restart()
    await world.send(more(box(value)))
    await world.restart()
    await world.engine.advance("2h")
    run = await world.run_of(event_id)
    assert run.status == "completed", run.error
    assert len(seen) > 1
    for everything in seen:
        assert [shape(one) for one in everything] == [shape(value)] * 4
    result = function.codec.read(await _result_of(world, run))
    assert shape(result) == shape(value)
    called = await world.engine.invoke(invoked, box(value))
    assert shape(called.value) == shape(value)
    assert engine is not world.engine


async def test_who_is_only_invoked_is_given_what_its_context_says(world: Any) -> None:
    async def pack(ctx: durable.Context[Order]) -> Order:
        assert type(ctx.event.data) is Order
        return ctx.event.data

    async def loose(ctx: durable.Context) -> Any:
        return ctx.event.data

    async def handler(ctx: durable.Context) -> None:
        assert await ctx.step.invoke("pack", packed, ORDER) == ORDER
        assert (await ctx.step.invoke("loose", "loose", ORDER))["lines"]
        await ctx.step.invoke("wrong", packed, {"order_id": "no"})

    packed = world.function(pack)
    world.function(loose)
    world.function(handler, on="test/start", retries=0)
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert (
        "does not fit EventType('durable/function.invoked', Order)" in run.error.message
    )


async def _result_of(world: Any, run: durable.Run) -> bytes:
    _, json, _ = await world.engine.session.worker.ending_of(run.id)
    return bytes(json)


@pytest.mark.parametrize(
    ("hint", "why"),
    [
        (Opaque, "Unable to generate pydantic-core schema for"),
        (Old, "Please use `typing_extensions.TypedDict` instead of"),
    ],
)
async def test_a_type_without_json_is_refused_at_once(
    world: Any, hint: Any, why: str
) -> None:
    if hint is Old and sys.version_info >= (3, 12):
        hint, why = Opaque, "Unable to"  # it has a JSON form there

    async def give() -> Any:
        return hint()

    give.__annotations__["return"] = hint

    async def handler(ctx: Any) -> Any:
        return await ctx.step.run("give", give)

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert (run.status, run.steps["give"].attempts) == ("failed", 1)
    assert (
        f"the return type {hint.__name__} has no JSON form ({why}" in run.error.message
    )
    assert run.error.message.endswith("a pydantic model or a dataclass")


async def test_bytes_of_a_model_without_its_own_setting_must_be_text(
    world: Any,
) -> None:
    class Label(BaseModel):
        raw: bytes

    async def give(raw: bytes) -> Label:
        return Label(raw=raw)

    give.__annotations__["return"] = Label

    async def handler(ctx: Any) -> Any:
        assert await ctx.step.run("text", give, b"text") == Label(raw=b"text")
        await ctx.step.run("raw", give, RAW)

    world.function(handler, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert "result.raw is bytes, which JSON does not have" in run.error.message
    assert 'ConfigDict(ser_json_bytes="base64"' in run.error.message
