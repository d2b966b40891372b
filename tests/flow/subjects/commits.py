"""An application on the recorded commits that its test kills: one commit of an author at a time, a rate for each
repository, bursts of an author as one.

`commits.py STORE JOURNAL EVENTS` sends all events, from where it was stopped, and waits until nothing is left to
do. The journal is for kills of the process only, so it is never synced: `in|out pid author run`, as the handlers
see it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import durable
from durable.cli.event_file import EventFile


app = durable.App("commits")
_SOURCE = "commits"
_BATCH = 500
_journal = -1


def note(*words: object) -> None:
    """One fact, in one system call."""
    os.write(_journal, ("\t".join(map(str, words)) + "\n").encode())


@app.function(
    on="repo/commit.pushed",
    concurrency=durable.Concurrency(1, key="event.data.author"),
    throttle=durable.Throttle(40, "100ms", key="event.data.repo"),
    debounce=durable.Debounce("30ms", key="event.data.author", timeout="200ms"),
)
async def review(ctx: durable.Context[Any]) -> None:
    """Takes a moment, in which no other commit of the author may be looked at."""
    who = (os.getpid(), ctx.event.data["author"], ctx.run_id)
    note("in", *who)
    await asyncio.sleep(0.002)  # noqa: TID251  # it stands for work
    note("out", *who)


async def main(store: str, events: Path) -> None:
    """Send what is left, wait for the end of all."""
    async with durable.Engine(app, store=store) as engine:
        sent = await engine.source_position(_SOURCE) or 0
        for batch in EventFile(events).batches(sent, _BATCH):
            await engine.send_from(_SOURCE, batch.position, batch.events)
        await engine.join()


if __name__ == "__main__":
    _journal = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    asyncio.run(main(sys.argv[1], Path(sys.argv[3])))
