"""Opens a store for itself alone and says how that went: `opener.py STORE`."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import durable


async def main(store: str) -> None:
    """Hold it until standard input ends, so that others meet the lock: who has a virtual clock shares with nobody."""
    app = durable.App("opener")
    began = time.perf_counter()
    try:
        async with durable.Engine(app, store=store, clock="virtual"):
            print(f"open {os.getpid()}", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    except durable.StoreLocked as error:
        took_ms = round((time.perf_counter() - began) * 1000)
        print(f"locked {took_ms} {' '.join(str(error).split())}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
