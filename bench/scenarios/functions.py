"""The functions that the scenarios run, and what they leave behind to be measured."""

import asyncio
import time
from dataclasses import dataclass, field

import durable


app = durable.App("bench")


@dataclass
class Seen:
    """What handlers noted in this process."""

    ended: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    asleep: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


seen = Seen()


def touch(number: int) -> int:
    """The cheapest step there is: what is left is the engine."""
    return number


@app.function(on="bench/one", retries=0)
async def one(ctx: durable.Context[dict[str, int]]) -> int:
    """W1: one step."""
    result = await ctx.step.run("a", touch, 1)
    seen.ended += 1
    return result


@app.function(
    on="bench/one-limited",
    retries=0,
    concurrency=durable.Concurrency(100_000, key="event.data.customer"),
    throttle=durable.Throttle(1_000_000, "1s", key="event.data.customer"),
)
async def one_limited(ctx: durable.Context[dict[str, object]]) -> int:
    """W1L: one step, behind a keyed limit and a keyed throttle that bind nobody."""
    result = await ctx.step.run("a", touch, 1)
    seen.ended += 1
    return result


@app.function(on="bench/five", retries=0)
async def five(ctx: durable.Context[dict[str, int]]) -> int:
    """W2: five steps in a row."""
    total = 0
    for name in ("a", "b", "c", "d", "e"):
        total += await ctx.step.run(name, touch, 1)
    seen.ended += 1
    return total


@app.function(on="bench/sleeping", retries=0)
async def sleeping(ctx: durable.Context[dict[str, float]]) -> None:
    """W4 and W6: a sleep until the moment that the event says."""
    due_ms = ctx.event.data["due_ms"]
    seen.asleep += 1
    await ctx.step.sleep_until("due", int(due_ms))
    seen.late_ms.append(time.time() * 1e3 - due_ms)


@app.function(on="bench/latency", retries=0)
async def latency(ctx: durable.Context[dict[str, float]]) -> None:
    """W5: the first line of the handler reads the clock."""
    now = time.perf_counter()
    seen.latencies_ms.append((now - ctx.event.data["sent"]) * 1e3)
    seen.arrived.set()


@app.function(on="bench/gated", retries=0, concurrency=100)
async def gated(ctx: durable.Context[dict[str, int]]) -> int:
    """W7: one step, once the gate is open; until then a backlog grows behind a hundred."""
    if not seen.gate.is_set():
        await seen.gate.wait()
    result = await ctx.step.run("a", touch, 1)
    seen.ended += 1
    return result


@app.function(on="bench/waiting", retries=0)
async def waiting(ctx: durable.Context[dict[str, int]]) -> bool:
    """W8: a wait for the one event that has the run's own number."""
    told = await ctx.step.wait_for_event(
        "a", "bench/told", match="data.n", timeout="1h"
    )
    seen.ended += 1
    return told is not None


@app.function(retries=0)
async def child(ctx: durable.Context[dict[str, int]]) -> int:
    """What W9 invokes: one step, as in W1."""
    return await ctx.step.run("a", touch, 1)


@app.function(on="bench/parent", retries=0)
async def parent(ctx: durable.Context[dict[str, int]]) -> int:
    """W9: one step, which is another run."""
    result = await ctx.step.invoke("a", child, ctx.event.data)
    seen.ended += 1
    return result
