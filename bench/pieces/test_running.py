"""Runs on a store in memory: what Python, the border and the core cost together, without a disk."""

import asyncio
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import durable


app = durable.App("pieces")
RUNS = 1_000


def touch(number: int) -> int:
    return number


@app.function(on="pieces/one")
async def one(ctx: durable.Context[dict[str, int]]) -> int:
    return await ctx.step.run("a", touch, 1)


@app.function(on="pieces/five")
async def five(ctx: durable.Context[dict[str, int]]) -> int:
    total = 0
    for name in ("a", "b", "c", "d", "e"):
        total += await ctx.step.run(name, touch, 1)
    return total


@app.function(on="pieces/gather")
async def gathered(ctx: durable.Context[dict[str, int]]) -> list[int]:
    return await asyncio.gather(*(ctx.step.run(n, touch, 1) for n in ("a", "b", "c")))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


async def _complete(engine: durable.Engine, name: str, count: int) -> None:
    await engine.send([durable.Event(name, {"n": n}) for n in range(count)])
    await engine.join()


@pytest.mark.benchmark(group="a thousand runs, in memory", min_rounds=5)
@pytest.mark.parametrize("name", ["nobody", "one", "five", "gather"])
def test_a_thousand_runs(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, name: str
) -> None:
    engine = durable.Engine(app, store="memory:")
    loop.run_until_complete(engine.__aenter__())

    def complete() -> None:
        loop.run_until_complete(_complete(engine, f"pieces/{name}", RUNS))

    benchmark(complete)
    loop.run_until_complete(engine.close())
