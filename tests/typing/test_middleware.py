"""What type checkers see of middleware and of what handlers ask for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, assert_type

from typing_extensions import override

import durable
from durable import Depends
from durable.middleware import (
    Dependencies,
    Encryption,
    Execution,
    Input,
    OpenTelemetry,
    Output,
    Sentry,
)


class Mine(durable.Middleware):
    """Plain and async hooks both."""

    @override
    def before_execution(self, execution: Execution) -> None:
        assert_type(execution.run.id, str)
        if execution.step is not None:
            assert_type(execution.step.name, str)

    @override
    async def transform_input(self, given: Input) -> None:
        given.arguments["client"] = await given.enter(opened())

    @override
    def transform_output(self, output: Output) -> None:
        assert_type(output.error, Exception | None)


@asynccontextmanager
async def opened() -> AsyncGenerator[str]:
    yield "client"


def get_client() -> str:
    return "client"


shared = Dependencies(shared=[get_client])
app = durable.App("shop", middleware=[Mine(), shared, Encryption("key")])


@app.function(on="shop/a", middleware=[Sentry(each_try=True), OpenTelemetry()])
async def asks(_: durable.Context, client: Annotated[str, Depends(get_client)]) -> int:
    with shared.override(get_client, lambda: "fake"):
        return len(client)


@app.function(on="shop/b")
def asks_plainly(
    _: durable.SyncContext, *, client: Annotated[str, Depends(get_client)]
) -> str:
    return client


async def invokes(ctx: durable.Context) -> None:
    assert_type(await ctx.step.invoke("a", asks), int)
    assert_type(await ctx.step.invoke("b", asks_plainly), str)
