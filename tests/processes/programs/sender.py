"""Sends orders to a store that it shares, without end, and writes down what it was told: `sender.py STORE JOURNAL`."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from shop import app

import durable


WIDTH = 5


async def main(store: str, journal: Path) -> None:
    """Several orders at a time, each followed to its end."""
    numbers = itertools.count()
    with journal.open("a", buffering=1) as told:
        async with durable.Engine(app, store=store) as engine:
            told.write(f"open {os.getpid()}\n")

            async def follow() -> None:
                while True:
                    key = f"{os.getpid()}-{next(numbers)}"
                    (event,) = await engine.send(durable.Event("order", {"key": key}))
                    told.write(f"sent {key} {event}\n")
                    (run,) = await engine.events.runs(event)
                    ended = await engine.runs.wait(run.id)
                    told.write(f"done {key} {ended.result}\n")

            async with asyncio.TaskGroup() as group:
                for _ in range(WIDTH):
                    group.create_task(follow())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
