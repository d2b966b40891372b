"""Who is asked for by a wrong name is told the right one."""

from __future__ import annotations

import pytest

import durable


@pytest.mark.asyncio
async def test_a_misspelt_function_is_answered_with_the_one_that_there_is() -> None:
    app = durable.App("shop")

    @app.function("fulfil")
    async def fulfil(_ctx: durable.Context) -> int:
        return 1

    async with durable.Engine(app, store="memory:") as engine:
        with pytest.raises(durable.NotFoundError, match="'fulfil'"):
            await engine.invoke("fulfill")
        assert await engine.invoke("fulfil") == 1


@pytest.mark.asyncio
async def test_what_is_no_function_is_refused_before_it_is_asked_for() -> None:
    async with durable.Engine(store="memory:") as engine:
        with pytest.raises(durable.UsageError, match=r"engine\.invoke"):
            await engine.invoke(len)  # type: ignore[call-overload]  # the mistake
