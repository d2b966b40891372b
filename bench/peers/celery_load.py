"""W1, W2, W4, W5 on Celery with Redis, defaults, two worker processes. Usage: celery_load.py FOLDER W1=10000 ..."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from reply import free_port, runs, serve, spread


PORT = free_port()
os.environ["REDIS_URL"] = f"redis://127.0.0.1:{PORT}/0"

from celery import chain  # noqa: E402 - the tasks read the address on import
from celery.result import ResultSet  # noqa: E402 - as above
from celery_tasks import app, latency, one, sleeping  # noqa: E402 - as above


HERE = Path(__file__).resolve().parent


def many_one(count: int) -> dict[str, object]:
    """W1."""
    ResultSet([one.delay() for _ in range(100)], app=app).join_native()
    started = time.perf_counter()
    ResultSet([one.delay() for _ in range(count)], app=app).join_native()
    return runs(count, time.perf_counter() - started, 1)


def many_five(count: int) -> dict[str, object]:
    """W2: five tasks in a row, as a chain."""
    five = chain(*(one.si() for _ in range(5)))
    ResultSet([five.delay() for _ in range(20)], app=app).join_native()
    started = time.perf_counter()
    ResultSet([five.delay() for _ in range(count)], app=app).join_native()
    return runs(count, time.perf_counter() - started, 5)


def sleepers(count: int) -> dict[str, object]:
    """W4."""
    base = time.time() * 1e3 + 5_000 + count * 5
    due = [base + n * 1000 / count for n in range(count)]
    results = [
        sleeping.apply_async((ms,), eta=datetime.fromtimestamp(ms / 1e3, UTC))
        for ms in due
    ]
    return {"late_ms": spread(ResultSet(results, app=app).join_native())}


def latencies(count: int) -> dict[str, object]:
    """W5."""
    taken = []
    for _ in range(count + 20):
        sent = time.monotonic()
        taken.append((latency.delay().get() - sent) * 1e3)
        time.sleep(0.005)
    return {"latency_ms": spread(taken[20:])}


def main() -> None:
    """Start Redis and a worker, run the loads, stop both."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "servers.log").open("ab")
    redis = [os.environ["REDIS_SERVER"], "--port", str(PORT), "--dir", str(folder)]
    worker = [
        *(sys.executable, "-m", "celery", "-A", "celery_tasks", "worker"),
        *("--concurrency", "2", "--loglevel", "ERROR"),
    ]
    started = [subprocess.Popen([*redis, "--bind", "127.0.0.1"], stdout=log)]
    try:
        started.append(subprocess.Popen(worker, cwd=HERE, stdout=log, stderr=log))
        one.delay().get(timeout=60)
        serve({"W1": many_one, "W2": many_five, "W4": sleepers, "W5": latencies})
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)
        log.close()


if __name__ == "__main__":
    main()
