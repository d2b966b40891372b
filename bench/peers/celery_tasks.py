"""The functions of the benchmark as Celery tasks. They are not durable: Redis keeps them in memory."""

import os
import time

from celery import Celery


app = Celery("bench", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.worker_hijack_root_logger = False


@app.task
def one() -> int:
    """W1, and each of the five of W2."""
    return 1


@app.task
def sleeping(due_ms: float) -> float:
    """W4: how many milliseconds late a task with an ETA starts."""
    return time.time() * 1e3 - due_ms


@app.task
def latency() -> float:
    """W5: the clock at the first line."""
    return time.monotonic()
