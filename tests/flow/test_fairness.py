"""Fairness: functions take turns, and within a function its keys take turns, however much one of them floods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import durable
from durable._flow_check import Flow
from durable.cli.bench import virtual
from durable.cli.bench.traffic import Traffic
from durable.cli.bench.trial import Trial


if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_COUNT = 1_000
EACH = 5
FLOOD = 50_000
AT_ONCE = 50


def waits_by_key(names: Sequence[str], **flow: Any) -> dict[str, int]:
    """For each key how long its last event waits where all come at one moment, in microseconds."""
    events = [
        ("e", f'{{"k":"{name}"}}'.encode(), f"id-{n}", None, None, None)
        for n, name in enumerate(names)
    ]
    traffic = Traffic("", events, [1_000_000] * len(events), ["e"])
    trial = Trial(
        flow=Flow(concurrency=[
            durable.Concurrency(AT_ONCE),
            durable.Concurrency(AT_ONCE, key="event.data.k"),
        ], **flow),
        traffic=traffic,
        lengths_us=[1_000_000] * len(events),
        capacity=10_000,
        seed=1,
        stops_at_end=False,
    )  # fmt: skip
    outcome = virtual.play(trial)
    found: dict[str, int] = {}
    for event, start in zip(outcome.run_events, outcome.run_starts_us, strict=True):
        wait = start - outcome.arrivals_us[event]
        found[names[event]] = max(found.get(names[event], 0), wait)
    return found


@pytest.mark.parametrize("flood_comes_first", [True, False])
def test_a_key_that_floods_keeps_others_waiting_no_longer_than_twice(
    *, flood_comes_first: bool
) -> None:
    quiet = [f"key-{n}" for n in range(KEY_COUNT)] * EACH
    flood = ["flood"] * FLOOD
    alone = waits_by_key(quiet)
    together = waits_by_key(flood + quiet if flood_comes_first else quiet + flood)
    assert together["flood"] >= FLOOD // AT_ONCE * 1_000_000 - 1
    worst = max(together[key] / max(wait, 1_000_000) for key, wait in alone.items())
    assert worst <= 2
    assert max(together[key] for key in alone) <= 1.05 * max(alone.values())


def test_without_a_key_of_their_own_they_wait_behind_the_flood() -> None:
    """What the keys are good for: the same traffic in one queue."""
    quiet = [f"key-{n}" for n in range(KEY_COUNT)]
    events = ["flood"] * FLOOD + quiet
    traffic = Traffic(
        "", [("e", b"{}", f"{n}", None, None, None) for n in range(len(events))],
        [1_000_000] * len(events), ["e"],
    )  # fmt: skip
    trial = Trial(
        flow=Flow(concurrency=AT_ONCE),
        traffic=traffic,
        lengths_us=[1_000_000] * len(events),
        capacity=10_000,
        seed=1,
        stops_at_end=False,
    )
    outcome = virtual.play(trial)
    last = dict(zip(outcome.run_events, outcome.run_starts_us, strict=True))
    first_quiet = last[FLOOD] - 1_000_000
    assert first_quiet >= FLOOD // AT_ONCE * 1_000_000


@pytest.mark.asyncio
async def test_functions_take_turns(world: Any) -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        async def handler(_: durable.Context) -> None:
            order.append(name)

        return handler

    world.function(named("busy"), id="busy", on="test/busy")
    world.function(named("rare"), id="rare", on="test/rare")
    world.settings["max_in_flight"] = 1
    await world.open()
    busy = [durable.Event("test/busy") for _ in range(50)]
    rare = [durable.Event("test/rare") for _ in range(3)]
    await world.send(*busy, *rare)
    assert order[:6].count("rare") == 3
    assert len(order) == 53
