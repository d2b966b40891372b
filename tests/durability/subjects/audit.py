"""Prints every run of a store: run, function, event, status, result; a tab between."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import durable


PAGE = 500


def tell(runs: list[Any]) -> None:
    """One line for each."""
    for run in runs:
        told = "".join(run.result or ()) if run.error is None else run.error
        print(run.id, run.function, *run.event_ids, run.status, told, sep="\t")


async def main(store: str) -> None:
    """Page by page; nothing is registered, so nothing executes."""
    async with durable.Engine(store=store) as engine:
        page = await engine.runs.list(limit=PAGE)
        tell(page)
        while page.cursor is not None:
            page = await engine.runs.list(limit=PAGE, cursor=page.cursor)
            tell(page)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
