"""W1 to W9 and W1L, each on a store of its own; each gives its figures as a dictionary.

Every load uses the public API only, with `sync="always"` unless the runner says otherwise.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import durable
from limits import percentile, spread
from scenarios.functions import app, seen


Figures = dict[str, object]

BATCH = 500
FAR_AHEAD_MS = 30 * 24 * 3600 * 1000


def rss_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(store: Path) -> int:
    """What a store takes on disk."""
    return sum(p.stat().st_size for p in store.rglob("*") if p.is_file())


def engine(store: Path, hot_runs: int = 10_000) -> durable.Engine:
    """An engine as a user would open it."""
    sync = os.environ.get("SYNC", "always")
    place = os.environ.get("IMAGE", "sled") + ":" + str(store)
    return durable.Engine(app, store=place, sync=sync, hot_runs=hot_runs)


async def send_all(
    opened: durable.Engine,
    name: str,
    data: list[dict[str, object]],
    *,
    feeders: int = 4,
) -> None:
    """Hand all events over in batches, a few batches at a time."""
    batches = [data[n : n + BATCH] for n in range(0, len(data), BATCH)]

    async def feed() -> None:
        while batches:
            await opened.send([durable.Event(name, d) for d in batches.pop()])

    await asyncio.gather(*(feed() for _ in range(feeders)))


async def reached(count: Callable[[], int], wanted: int, seconds: float = 600) -> None:
    """Come back when a counter has got there."""
    until = time.monotonic() + seconds
    while count() < wanted:
        if time.monotonic() > until:
            message = f"only {count()} of {wanted} after {seconds} s"
            raise TimeoutError(message)
        await asyncio.sleep(0.002)


async def settled(seconds: float = 120) -> None:
    """Come back when the process has had next to nothing to do for half a second."""
    until = time.monotonic() + seconds
    used = time.process_time()
    while time.monotonic() < until:
        await asyncio.sleep(0.5)
        before, used = used, time.process_time()
        if used - before < 0.025:
            return


def _number(number: int) -> dict[str, object]:
    return {"n": number}


def _order(number: int) -> dict[str, object]:
    return {"n": number, "customer": f"customer-{number % 1_000:03}"}


async def _runs(
    store: Path,
    count: int,
    *,
    name: str,
    steps: int,
    data: Callable[[int], dict[str, object]] = _number,
) -> Figures:
    async with engine(store) as opened:
        await send_all(opened, name, [data(n) for n in range(64)])
        await opened.join()  # the first few pay for imports and allocations
        seen.ended = 0
        cpu, started = time.process_time(), time.perf_counter()
        await send_all(opened, name, [data(n) for n in range(count)])
        await opened.join()
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu
        assert seen.ended == count, (seen.ended, count)
    return {
        "seconds": seconds,
        "runs_per_s": count / seconds,
        "steps_per_s": count * steps / seconds,
        "cpu_us_per_run": cpu / count * 1e6,
    }


async def w1(store: Path, count: int) -> Figures:
    """Runs of one step: from the first send to the end of the last run."""
    return await _runs(store, count, name="bench/one", steps=1)


async def w1l(store: Path, count: int) -> Figures:
    """W1 behind a limit and a throttle that do not bind, each for every one of 1,000 customers."""
    return await _runs(store, count, name="bench/one-limited", steps=1, data=_order)


async def w2(store: Path, count: int) -> Figures:
    """Runs of five steps in a row."""
    return await _runs(store, count, name="bench/five", steps=5)


async def w3(store: Path, count: int) -> Figures:
    """Sending only, to no function: one by one from 64 tasks, then in batches."""
    async with engine(store) as opened:
        left = iter(range(count // 4))

        async def feed() -> None:
            for number in left:
                await opened.send(durable.Event("bench/nobody", {"n": number}))

        started = time.perf_counter()
        await asyncio.gather(*(feed() for _ in range(64)))
        single = count // 4 / (time.perf_counter() - started)
        data: list[dict[str, object]] = [{"n": n} for n in range(count)]
        started = time.perf_counter()
        await send_all(opened, "bench/nobody", data)
        batched = count / (time.perf_counter() - started)
    return {"single_per_s": single, "batched_per_s": batched}


async def w4(store: Path, count: int) -> Figures:
    """Sleeping runs due in one and the same second: how late each goes on."""
    async with engine(store) as opened:
        lead_ms = 2_000 + count // 4
        base = time.time() * 1e3 + lead_ms
        data: list[dict[str, object]] = [
            {"due_ms": int(base + n * 1000 / count)} for n in range(count)
        ]
        await send_all(opened, "bench/sleeping", data)
        await reached(lambda: seen.asleep, count)
        spare_ms = base - time.time() * 1e3
        assert spare_ms > 0, f"not all asleep in time: {spare_ms} ms"
        await reached(lambda: len(seen.late_ms), count)
        await opened.join()
    assert min(seen.late_ms) >= 0, "a run woke early"
    return {"late_ms": spread(seen.late_ms)}


async def w5(store: Path, count: int) -> Figures:
    """From `send` to the first line of the handler, one event at a time."""
    async with engine(store) as opened:
        answers: list[float] = []
        for _ in range(count + 20):
            seen.arrived.clear()
            sent = time.perf_counter()
            await opened.send(durable.Event("bench/latency", {"sent": sent}))
            answers.append((time.perf_counter() - sent) * 1e3)
            await seen.arrived.wait()
            await asyncio.sleep(0.005)
        await opened.join()
    return {
        "latency_ms": spread(seen.latencies_ms[20:]),
        "send_ms": spread(answers[20:]),
    }


async def w6_build(store: Path, count: int) -> Figures:
    """Make the store that W6 opens: as many runs asleep for a month."""
    started = time.perf_counter()
    async with engine(store, hot_runs=100) as opened:
        due = int(time.time() * 1e3) + FAR_AHEAD_MS
        data: list[dict[str, object]] = [{"due_ms": due + n} for n in range(count)]
        await send_all(opened, "bench/sleeping", data)
        await reached(lambda: seen.asleep, count, 1200)
        ready = time.perf_counter()
    return {
        "build_s": ready - started,
        "close_s": time.perf_counter() - ready,
        "disk_mb": disk_bytes(store) / 1e6,
        "rss_mb": rss_bytes() / 1e6,
    }


async def w6(store: Path, count: int) -> Figures:
    """Open a store with as many sleeping runs: until it answers; the memory it takes."""
    before = rss_bytes()
    started = time.perf_counter()
    async with engine(store) as opened:
        seconds = time.perf_counter() - started
        after = rss_bytes()
        await opened.send(durable.Event("bench/one", {"n": 1}))
        await reached(lambda: seen.ended, 1)
        first = time.perf_counter() - started
        parked = opened.stats()
    return {
        "open_s": seconds,
        "first_run_s": first,
        "memory_mb": (after - before) / 1e6,
        "bytes_per_run": (after - before) / count,
        "stats": parked,
    }


async def w7(store: Path, count: int) -> Figures:
    """What a run costs while a backlog of `count` runs stands behind it, held at that size."""
    measured = 60_000  # long enough for several checkpoints at each length
    async with engine(store) as opened:
        await send_all(opened, "bench/gated", [{"n": n} for n in range(count)])
        sent = count
        await settled()  # what filling the backlog left to do is not what a run costs
        seen.gate.set()
        await reached(lambda: seen.ended, min(count, 2_000))
        sent += await _top_up(opened, sent, count)
        from_ended, cpu = seen.ended, time.process_time()
        started = time.perf_counter()
        while seen.ended - from_ended < measured:
            sent += await _top_up(opened, sent, count)
            await asyncio.sleep(0)
        done = seen.ended - from_ended
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "us_per_run": seconds / done * 1e6,
        "cpu_us_per_run": cpu / done * 1e6,
        "rss_mb": rss_bytes() / 1e6,
    }


async def w8(store: Path, count: int) -> Figures:
    """Runs that wait for an event each, and get it: from the first send to the end of the last run."""
    async with engine(store) as opened:
        await _wait_and_tell(opened, range(-64, 0))
        seen.ended = 0
        cpu, started = time.process_time(), time.perf_counter()
        parked_s = await _wait_and_tell(opened, range(count))
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu
        assert seen.ended == count, (seen.ended, count)
    return {
        "seconds": seconds,
        "parked_s": parked_s,
        "runs_per_s": count / seconds,
        "cpu_us_per_run": cpu / count * 1e6,
    }


async def _wait_and_tell(opened: durable.Engine, numbers: range) -> float:
    """Start a waiting run for each number, and once all wait tell each; how long the first half took."""
    data: list[dict[str, object]] = [_number(n) for n in numbers]
    started = time.perf_counter()
    await send_all(opened, "bench/waiting", data)
    await reached(
        lambda: opened.stats()["functions"]["waiting"]["parked"]["wait"], len(data)
    )
    seconds = time.perf_counter() - started
    await send_all(opened, "bench/told", data)
    await opened.join()
    return seconds


async def w9(store: Path, count: int) -> Figures:
    """Runs that invoke another of one step each: from the first send to the end of the last run."""
    return await _runs(store, count, name="bench/parent", steps=2)


async def _top_up(opened: durable.Engine, sent: int, backlog: int) -> int:
    """Send as many as have ended since, so that the backlog keeps its size."""
    missing = backlog - (sent - seen.ended)
    if missing > 0:
        events = [durable.Event("bench/gated", {"n": n}) for n in range(missing)]
        await opened.send(events)
    return max(missing, 0)


LOADS: dict[str, Callable[[Path, int], Awaitable[Figures]]] = {
    "W1": w1,
    "W1L": w1l,
    "W2": w2,
    "W3": w3,
    "W4": w4,
    "W5": w5,
    "W6": w6,
    "W6-build": w6_build,
    "W7": w7,
    "W8": w8,
    "W9": w9,
}

__all__ = ["LOADS", "Figures", "percentile"]
