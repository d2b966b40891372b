"""Concurrency of whole runs: K3, with other limits, priority, restarts, deploys."""

from __future__ import annotations

from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


class Seen:
    """Which runs there are between their start and their end, at each moment."""

    def __init__(self) -> None:
        self.now: list[tuple[Any, Any]] = []
        self.most: dict[Any, int] = {}
        self.order: list[Any] = []

    def begin(self, who: Any, n: Any) -> None:
        self.now.append((who, n))
        self.order.append(n)
        of_one = sum(one == who for one, _ in self.now)
        self.most[who] = max(of_one, self.most.get(who, 0))
        self.most["all"] = max(len(self.now), self.most.get("all", 0))

    def end(self, who: Any, n: Any) -> None:
        self.now.remove((who, n))


@pytest.fixture
def seen() -> Seen:
    return Seen()


def work(seen: Seen) -> Any:
    async def work(ctx: durable.Context) -> None:
        who, n = ctx.event.data.get("who"), ctx.event.data["n"]
        await ctx.step.run("begin", seen.begin, who, n)
        await ctx.step.sleep("rest", "1m")
        await ctx.step.run("end", seen.end, who, n)

    return work


async def send(world: Any, *names: str | None) -> None:
    await world.send(
        *[
            durable.Event("test/start", {"who": who, "n": n})
            for n, who in enumerate(names)
        ]
    )


async def test_k3_one_run_at_a_time_its_sleeps_included(world: Any, seen: Seen) -> None:
    world.function(work(seen), on="test/start", run_concurrency=durable.Concurrency(1))
    engine = await world.open()
    await send(world, *"aaaa")
    await engine.advance("150s")
    assert seen.order == [0, 1, 2]
    await engine.advance("1h")
    assert (seen.order, seen.most) == ([0, 1, 2, 3], {"a": 1, "all": 1})


async def test_k3_keys_side_by_side_and_one_after_the_other_within(
    world: Any, seen: Seen
) -> None:
    limit = durable.Concurrency(1, key="event.data.who")
    world.function(work(seen), on="test/start", run_concurrency=limit)
    engine = await world.open()
    await send(world, *"abab", None, None)
    await engine.advance(0)
    assert sorted(seen.order) == [0, 1, 4]
    await engine.advance("1h")
    assert seen.most == {"a": 1, "b": 1, None: 1, "all": 3}
    assert sorted(seen.order) == [0, 1, 2, 3, 4, 5]


async def test_it_holds_over_a_restart(world: Any, seen: Seen) -> None:
    world.function(work(seen), on="test/start", run_concurrency=durable.Concurrency(2))
    await world.open()
    await send(world, *"aaaaa")
    await world.restart()
    await world.settle()
    assert seen.order == [0, 1]
    await world.engine.advance("1h")
    assert (sorted(seen.order), seen.most["all"]) == ([0, 1, 2, 3, 4], 2)


async def test_it_goes_together_with_a_limit_on_steps_and_a_throttle(
    world: Any, seen: Seen
) -> None:
    world.function(
        work(seen),
        on="test/start",
        run_concurrency=durable.Concurrency(3),
        concurrency=durable.Concurrency(1, key="event.data.who"),
        throttle=durable.Throttle(1, "10s", key="event.data.who"),
    )
    engine = await world.open()
    await send(world, *"aaaabbbb")
    await engine.advance("15s")
    assert sorted(seen.order) == [0, 1, 4]
    await engine.advance("1h")
    assert (len(seen.order), seen.most["all"]) == (8, 3)


async def test_a_head_start_counts_where_runs_wait_for_their_turn(
    world: Any, seen: Seen
) -> None:
    world.function(
        work(seen),
        on="test/start",
        run_concurrency=durable.Concurrency(1),
        priority=durable.Priority("event.data.n * 100"),
    )
    engine = await world.open()
    await send(world, "a")
    await send(world, *"aaaa")
    await engine.advance("1h")
    assert seen.order == [0, 3, 2, 1, 0]


@pytest.mark.parametrize(("later", "most"), [(3, 3), (1, 2), (None, 5)])
async def test_a_deploy_s_number_applies_to_what_waits(
    world: Any, seen: Seen, later: int | None, most: int
) -> None:
    world.function(work(seen), on="test/start", run_concurrency=durable.Concurrency(2))
    await world.open()
    await send(world, *"aaaaa")
    await world.close()
    limit = None if later is None else durable.Concurrency(later)
    world.function(work(seen), on="test/start", run_concurrency=limit)
    engine = await world.open()
    await world.settle()
    assert len(seen.now) == most
    await engine.advance("1h")
    assert len(seen.order) == 5
    assert seen.most["all"] == most


async def test_a_limit_that_a_deploy_brings_counts_what_has_started(
    world: Any, seen: Seen
) -> None:
    world.function(work(seen), on="test/start")
    await world.open()
    await send(world, *"aaa")
    await world.close()
    world.function(work(seen), on="test/start", run_concurrency=durable.Concurrency(2))
    engine = await world.open()
    await send(world, *"bbb")
    assert len(seen.now) == 3
    await engine.advance("70s")
    assert len(seen.now) == 2
    await engine.advance("1h")
    assert len(seen.order) == 6
