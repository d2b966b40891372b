"""What Python itself costs: the floor under our figures, measured in the same run."""

import asyncio

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import limits


class Pause:
    """Gives control to whoever drives the coroutine, once."""

    def __await__(self):
        yield


async def five_pauses() -> int:
    for _ in range(5):
        await Pause()
    return 5


def by_hand() -> None:
    coroutine = five_pauses()
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        return


@pytest.mark.benchmark(group="a coroutine that waits five times")
def test_driven_by_hand(benchmark: BenchmarkFixture) -> None:
    benchmark(by_hand)


@pytest.mark.benchmark(group="a coroutine that waits five times")
def test_as_a_task(benchmark: BenchmarkFixture) -> None:
    with asyncio.Runner() as runner:

        async def as_task() -> None:
            await asyncio.gather(*(five_pauses() for _ in range(64)))

        benchmark(lambda: runner.run(as_task()))


@pytest.mark.benchmark(group="the border")
def test_ten_thousand_items_over_the_bridge(benchmark: BenchmarkFixture) -> None:
    rate = benchmark.pedantic(
        limits.bridge_items_per_s, args=(10_000,), rounds=3, iterations=1
    )
    assert rate > 0
