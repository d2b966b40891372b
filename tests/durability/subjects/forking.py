"""The shop, forked under load: `forking.py STORE JOURNAL ... --forks N`.

A child has the engine's memory and none of its threads. Each call must say so at once, and neither the child's
life nor its end may touch the parent.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
import warnings
from pathlib import Path

import shop

import durable


LIMIT_S = 0.01
REFUSED, ALLOWED, SLOW, OTHER = 0, 10, 11, 12


def child(engine: durable.Engine) -> int:
    """What the child finds, as an exit status."""
    began = time.thread_time()  # other processes may have the core meanwhile
    calls = (
        lambda: engine.send_sync(shop.placed.event({"n": -1})),
        engine.stats,
        engine.now_ms,
    )
    for call in calls:
        try:
            call()
        except durable.ForkedEngineError:
            continue
        except BaseException:  # noqa: BLE001  # the exit status tells it
            return OTHER
        return ALLOWED
    took = time.thread_time() - began
    return SLOW if took > LIMIT_S * len(calls) else REFUSED


async def main() -> None:
    """Fork at random moments, and go on working."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--resend", default="")
    parser.add_argument("--forks", type=int, required=True)
    chosen = parser.parse_args()
    shop.open_journal(chosen.journal)
    warnings.simplefilter("ignore", DeprecationWarning)
    async with durable.Engine(shop.app, store=chosen.store) as engine:
        shop.note("open")
        for at in range(chosen.first, chosen.first + chosen.forks):
            sending = asyncio.ensure_future(shop.send(engine, [at]))
            await asyncio.sleep(random.random() * 0.01)
            pid = os.fork()
            if pid == 0:
                os._exit(child(engine))
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            shop.note("forked", os.waitstatus_to_exitcode(status))
            await sending
        await engine.join()
        shop.note("closing")
    shop.note("closed")


if __name__ == "__main__":
    asyncio.run(main())
