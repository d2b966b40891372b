"""Values survive JSON as their declared type, and what cannot is named by its path."""

from __future__ import annotations

import dataclasses
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Lock
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, field_serializer

import durable
from durable._codec import codec_of, read_plain, write_object, write_plain


class Model(BaseModel):
    """A model."""

    n: int
    inner: Any = None


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    y: Any = None


def codec(hint: Any) -> Any:
    def function() -> None: ...

    function.__annotations__["return"] = hint
    return codec_of(function)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 5),
        (float, 0.5),
        (str, "ä"),
        (bool, True),
        (None, None),
        (Model, Model(n=1)),
        (Point, Point(1, 2)),
        (list[Model], [Model(n=1)]),
        (dict[int, str], {1: "a"}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (bytes, b"raw"),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=5)),
        (datetime, datetime(2026, 1, 2, tzinfo=UTC)),
        (timedelta, timedelta(seconds=90)),
        (int, 2**80),
        (int | None, None),
    ],
)
def test_a_declared_type_comes_back_as_itself(hint: Any, value: Any) -> None:
    made = codec(hint)
    back = made.read(made.write(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [None, 1, "a", [1, {"b": None}], True, 0.5])
def test_plain_values_need_no_declaration(value: Any) -> None:
    made = codec(Any)
    assert made.read(made.write(value)) == value


def test_a_text_annotation_is_resolved() -> None:
    def function() -> Model:
        return Model(n=1)

    assert function.__annotations__["return"] == "Model"
    assert codec_of(function).read(b'{"n":2}') == Model(n=2)


def test_an_annotation_only_type_checkers_know_counts_as_none() -> None:
    def function() -> Any: ...

    function.__annotations__["return"] = "OnlyForTypeCheckers"
    assert codec_of(function).read(b"[1]") == [1]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Lock(), "result"),
        ({"items": [1, 2, 3, {"lock": Lock()}]}, "result.items[3].lock"),
        ([Point(1, object())], "result[0].y"),
        ({"odd key": object()}, "result['odd key']"),
        ({1: 2}, "result"),
        (Model(n=1, inner=object()), "result.inner"),
        (math.nan, "result"),
        (math.inf, "result"),
        ([2**80], "result[0]"),
    ],
)
def test_what_has_no_json_is_named_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(durable.SerializationError) as caught:
        codec(Any).write(value)
    assert caught.value.path == path
    assert path in str(caught.value)


class Score(BaseModel):
    """A model with a number that may be none."""

    score: float
    note: str | None = None


class Spelled(Score):
    """It says itself how such a number is written."""

    model_config = ConfigDict(ser_json_inf_nan="strings")


class Loose(Score):
    """It writes what no other JSON reader takes."""

    model_config = ConfigDict(ser_json_inf_nan="constants")


@pytest.mark.parametrize(
    ("hint", "value", "says"),
    [
        (Any, {"score": math.nan}, "result.score is nan, which has no JSON form"),
        (Any, [None, {"a b": [1.0, -math.inf]}], "result[1]['a b'][1] is -inf"),
        (Any, (1, Point(1, math.inf)), "result[1].y is inf"),
        (Any, [Score(score=math.nan)], "result[0].score is nan"),
        (float, math.nan, "result is nan"),
        (Score, Score(score=math.inf), "result.score is inf"),
        (dict[int, float], {1: math.nan}, "result[1] is nan"),
        (list[Point], [Point(1), Point(1, math.nan)], "result[1].y is nan"),
        (Model, Model(n=1, inner=[{2: math.nan}]), "result.inner[0][2] is nan"),
        (Loose, Loose(score=math.nan), "result.score is nan"),
    ],
)
def test_a_number_that_is_none_is_refused_wherever_it_is(
    hint: Any, value: Any, says: str
) -> None:
    with pytest.raises(durable.SerializationError, match=re.escape(says)):
        codec(hint).write(value)


def test_a_null_or_its_name_in_a_text_is_no_such_number() -> None:
    value = {"a": None, "b": ["null", "NaN"], "c": 0.5}
    assert codec(Any).read(codec(Any).write(value)) == value
    assert codec(dict[str, Any]).read(codec(dict[str, Any]).write(value)) == value


def test_a_model_may_say_itself_how_such_a_number_is_written() -> None:
    made = codec(Spelled)
    assert math.isnan(made.read(made.write(Spelled(score=math.nan))).score)


class Summed(BaseModel):
    """What stands in its JSON is its own affair."""

    scores: list[float]
    worst: float | None = None

    @field_serializer("scores", when_used="json")
    def count(self, scores: list[float]) -> dict[str, int]:
        """A list is written as an object."""
        return {"n": len(scores)}


def test_what_a_model_writes_instead_of_such_a_number_stays() -> None:
    written = codec(Summed).write(Summed(scores=[1.0, math.nan]))
    assert read_plain(written) == {"scores": {"n": 2}, "worst": None}


@pytest.mark.parametrize("value", [Score(score=math.nan), {"score": math.nan}])
def test_such_a_number_is_refused_in_an_events_data(value: Any) -> None:
    with pytest.raises(durable.SerializationError, match=r"data\.score is nan"):
        write_object(value, "data")


def test_what_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(durable.SerializationError, match="contains itself"):
        write_plain(value, "result")


def test_a_coroutine_is_told_to_be_awaited() -> None:
    async def later() -> None: ...

    coroutine = later()
    with pytest.raises(durable.SerializationError, match="await it"):
        write_plain({"x": coroutine}, "result")
    coroutine.close()


def test_a_value_that_does_not_fit_its_declaration_is_refused_at_once() -> None:
    with pytest.raises(durable.SerializationError, match="declared type str"):
        codec(str).write([1])


def test_json_that_no_longer_fits_its_declaration_says_where() -> None:
    with pytest.raises(durable.NonDeterminismError, match=r"step 'a'\[0\]\.n"):
        codec(list[Model]).read(b'[{"n":"x"}]', "step 'a'")


def test_a_type_without_json_is_refused() -> None:
    with pytest.raises(durable.SerializationError, match="lock"):
        codec(type(Lock())).write(Lock())


@pytest.mark.parametrize(
    ("hint", "value", "same"),
    [
        (int, 5, True),
        (Any, "a", True),
        (None, None, True),
        (float, 5, False),
        (Any, [1], False),
        (Model, Model(n=1), False),
    ],
)
def test_only_what_json_gives_back_unchanged_skips_it(
    hint: Any, value: Any, *, same: bool
) -> None:
    assert codec(hint).is_same_after(value) is same


def test_an_events_data_may_be_a_model_or_a_dataclass() -> None:
    assert write_object(Model(n=1), "data") == b'{"n":1,"inner":null}'
    assert write_object(Point(1), "data") == b'{"x":1,"y":null}'


def test_what_code_gives_is_told_otherwise_than_what_it_returns() -> None:
    with pytest.raises(
        durable.SerializationError, match=r"^event 'a': data\.x is .*; give "
    ):
        write_object({"x": object()}, "data", "event 'a'")
    with pytest.raises(
        durable.SerializationError, match=r"^it: data\.x is bytes.*b64encode"
    ):
        write_plain({"x": b""}, "data", "it")
    with pytest.raises(durable.SerializationError, match=r"^result\.x is .*; return "):
        write_plain({"x": object()}, "result")
