"""W1, W2, W4, W5 on DBOS with SQLite, its defaults. Usage: dbos_load.py FOLDER W1=1000 ..."""

import asyncio
import sys
import time
from pathlib import Path

from dbos import DBOS
from reply import runs, serve, spread


late_ms: list[float] = []
asleep = 0


@DBOS.step()
def touch() -> int:
    """The cheapest step there is."""
    return 1


@DBOS.workflow()
def one() -> int:
    """W1: one step."""
    return touch()


@DBOS.workflow()
def five() -> int:
    """W2: five steps in a row."""
    return sum(touch() for _ in range(5))


@DBOS.workflow()
async def sleeping(due_ms: float) -> None:
    """W4: how many milliseconds late a sleep ends."""
    await DBOS.sleep_async(max(0.0, due_ms / 1e3 - time.time()))
    late_ms.append(time.time() * 1e3 - due_ms)


@DBOS.workflow()
def latency() -> float:
    """W5: the clock at the first line."""
    return time.monotonic()


def many(function: "object", steps: int) -> "object":
    """W1 and W2."""

    def load(count: int) -> dict[str, object]:
        for handle in [DBOS.start_workflow(function) for _ in range(20)]:
            handle.get_result()
        started = time.perf_counter()
        for handle in [DBOS.start_workflow(function) for _ in range(count)]:
            handle.get_result()
        return runs(count, time.perf_counter() - started, steps)

    return load


async def _sleepers(count: int) -> None:
    base = time.time() * 1e3 + 5_000 + count * 25
    handles = [
        await DBOS.start_workflow_async(sleeping, base + n * 1000 / count)
        for n in range(count)
    ]
    for handle in handles:
        await handle.get_result()


def sleepers(count: int) -> dict[str, object]:
    """W4."""
    asyncio.run(_sleepers(count))
    return {"late_ms": spread(late_ms)}


def latencies(count: int) -> dict[str, object]:
    """W5."""
    taken = []
    for _ in range(count + 20):
        sent = time.monotonic()
        first = DBOS.start_workflow(latency).get_result()
        taken.append((first - sent) * 1e3)
        time.sleep(0.005)
    return {"latency_ms": spread(taken[20:])}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    serve(
        {"W1": many(one, 1), "W2": many(five, 5), "W4": sleepers, "W5": latencies},
    )
    DBOS.destroy()
