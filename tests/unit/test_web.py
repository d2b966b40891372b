"""Web applications open an engine by its lifespan, and are told of it where they do not."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import Any

import pytest

import durable
from durable._web import Lifespan, why_closed


@pytest.mark.parametrize(
    ("imported", "way"),
    [
        (["fastapi", "starlette"], "FastAPI(lifespan=engine.lifespan)"),
        (["starlette"], "Starlette(..., lifespan=engine.lifespan)"),
        (["litestar"], "Litestar(..., lifespan=[engine.lifespan])"),
    ],
)
def test_how_a_web_application_opens_an_engine_is_told_where_one_is_imported(
    imported: list[str], way: str
) -> None:
    text = why_closed(dict.fromkeys(imported))
    assert f"In a web application: {way}, and in its tests `with TestClient" in text
    assert "web" not in why_closed({})


@pytest.mark.asyncio
async def test_an_engine_that_is_not_open_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for other in ("litestar", "starlette"):  # as another test may have imported them
        monkeypatch.delitem(sys.modules, other, raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", ModuleType("fastapi"))
    engine = durable.Engine(durable.App("shop"), store="memory:")
    with pytest.raises(durable.EngineClosed, match=r"FastAPI\(lifespan=engine"):
        await engine.send(durable.Event("shop/order.placed"))


@pytest.mark.asyncio
async def test_a_lifespan_opens_and_closes() -> None:
    engine = durable.Engine(durable.App("shop"), store="memory:")
    lifespan = engine.lifespan(object())
    assert isinstance(lifespan, contextlib.AbstractAsyncContextManager)
    async with lifespan as state:
        assert state == {}
        assert engine.is_open()
    assert not engine.is_open()


def test_what_is_no_lifespan_is_told_when_it_is_called() -> None:
    engine: Any = durable.Engine(durable.App("shop"), store="memory:")
    with pytest.raises(durable.UsageError) as caught:
        engine(object())
    assert str(caught.value) == (
        "an engine is not called; a web application takes its lifespan: FastAPI(lifespan=engine.lifespan)"
    )
    called: Any = engine.lifespan()
    assert isinstance(called, Lifespan)
    with pytest.raises(durable.UsageError) as caught:
        called(object())
    assert str(caught.value) == (
        "engine.lifespan is given as it is, without (): FastAPI(lifespan=engine.lifespan)"
    )
