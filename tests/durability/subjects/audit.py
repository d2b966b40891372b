"""Prints every run of a store: run, function, event, status, result; a tab between."""

from __future__ import annotations

import asyncio
import sys

import durable


PAGE = 500


async def main(store: str) -> None:
    """Page by page; nothing is registered, so nothing executes."""
    async with durable.Engine(store=store) as engine:
        cursor = None
        while True:
            runs, cursor = await engine.runs.list(limit=PAGE, cursor=cursor)
            for run in runs:
                told = "".join(run.result or ()) if run.error is None else run.error
                print(run.id, run.function, run.event_id, run.status, told, sep="\t")
            if cursor is None:
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
