"""What this machine allows: the figures that stand beside each of ours.

`fdatasync` of an appended record on the folder that is measured, asyncio tasks, timers of the loop alone, and
items across the border into the native module and back.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path


RECORD = bytes(256)
PREALLOCATED = 4 << 20


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: list[float]) -> dict[str, float]:
    """p50, p99 and the largest."""
    return {
        "p50": statistics.median(values),
        "p99": percentile(values, 0.99),
        "max": max(values),
    }


def fdatasync_ms(folder: Path, seconds: float = 1.0) -> dict[str, float]:
    """A record of 256 B written and synced, one after another, into a preallocated file."""
    path = folder / "limit.bin"
    path.write_bytes(bytes(PREALLOCATED))
    taken: list[float] = []
    handle = os.open(path, os.O_WRONLY)
    os.fsync(handle)
    until = time.perf_counter() + seconds
    try:
        while (started := time.perf_counter()) < until:
            offset = len(taken) * len(RECORD) % PREALLOCATED
            os.pwrite(handle, RECORD, offset)
            os.fdatasync(handle)
            taken.append((time.perf_counter() - started) * 1e3)
    finally:
        os.close(handle)
        path.unlink()
    return spread(taken) | {"per_s": len(taken) / seconds}


async def _nothing() -> None:
    return


async def _tasks(count: int) -> float:
    started = time.perf_counter()
    for _ in range(count // 64):
        await asyncio.gather(*(_nothing() for _ in range(64)))
    return count / (time.perf_counter() - started)


def asyncio_tasks_per_s(count: int = 64_000) -> float:
    """Tasks made and awaited, 64 at a time."""
    return asyncio.run(_tasks(count))


async def _sleepers(count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    base = loop.time() + 1.0

    async def one(due: float) -> float:
        await asyncio.sleep(due - loop.time())
        return (loop.time() - due) * 1e3

    return await asyncio.gather(*(one(base + n / count) for n in range(count)))


def asyncio_sleep_late_ms(count: int = 10_000) -> dict[str, float]:
    """How late `asyncio.sleep` alone wakes as many sleepers that are due in one second."""
    return spread(asyncio.run(_sleepers(count)))


def bridge_items_per_s(count: int = 200_000, batch: int = 256) -> float:
    """Events in and their answers out again, on a store in memory: no disk, no handler."""
    from durable._bridge import Core  # noqa: PLC0415 - the other limits need no engine

    core = Core.open("memory:")
    try:
        core.register("bench", [])
        core.connect([])
        event = ("bench/limit", b'{"n":1}', None, None, None, None)
        sent = answered = 0
        started = time.perf_counter()
        while answered < count:
            if sent < count and sent - answered < 16 * batch:
                sends = [(sent + n, [event], None) for n in range(batch)]
                sent += core.submit(sends, [], [])
            answered += sum(item[0] == 0 for item in core.drain(1024))
        return count / (time.perf_counter() - started)
    finally:
        core.close()


def all_limits(folder: Path) -> dict[str, object]:
    """Every limit, once."""
    return {
        "fdatasync_ms": fdatasync_ms(folder, 2.0),
        "asyncio_tasks_per_s": asyncio_tasks_per_s(),
        "asyncio_sleep_late_ms": asyncio_sleep_late_ms(),
        "bridge_items_per_s": bridge_items_per_s(),
    }
