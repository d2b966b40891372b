"""The shop, left with work in flight: `leaving.py STORE JOURNAL ... --way WAY --after SECONDS`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path

import shop

import durable


class LeftInAngerError(Exception):
    """An exception of the user's own."""


async def work(engine: durable.Engine, chosen: argparse.Namespace) -> None:
    """Send, and come back with the work in flight."""
    shop.note("open")
    again = [int(number) for number in chosen.resend.split(",") if number]
    numbers = [*again, *range(chosen.first, chosen.first + chosen.events)]
    await shop.send(engine, numbers)
    await asyncio.sleep(chosen.after)
    shop.note("leaving")


async def inside(chosen: argparse.Namespace) -> None:
    """The ways that leave from within `async with`."""
    async with durable.Engine(shop.app, store=chosen.store, grace="1s") as engine:
        await work(engine, chosen)
        match chosen.way:
            case "sys-exit":
                sys.exit(3)
            case "exception":
                raise LeftInAngerError
            case "os-exit":
                os._exit(7)
            case _:
                return


def on_a_daemon_thread(chosen: argparse.Namespace) -> None:
    """The main thread returns while the engine is at work on another."""
    has_begun = threading.Event()

    async def stay() -> None:
        async with durable.Engine(shop.app, store=chosen.store) as engine:
            await work(engine, chosen)
            has_begun.set()
            await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(stay(),), daemon=True).start()
    has_begun.wait()


def with_the_loop_closed(chosen: argparse.Namespace) -> None:
    """The engine is never closed, and its loop is."""
    loop = asyncio.new_event_loop()
    engine = durable.Engine(shop.app, store=chosen.store)
    loop.run_until_complete(engine.__aenter__())
    loop.run_until_complete(work(engine, chosen))
    with contextlib.suppress(RuntimeError):
        loop.close()


def main() -> None:
    """Leave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--resend", default="")
    parser.add_argument("--way", required=True)
    parser.add_argument("--after", type=float, required=True)
    chosen = parser.parse_args()
    shop.open_journal(chosen.journal)
    if chosen.way == "daemon-thread":
        on_a_daemon_thread(chosen)
    elif chosen.way == "loop-closed":
        with_the_loop_closed(chosen)
    else:
        asyncio.run(inside(chosen))


if __name__ == "__main__":
    main()
