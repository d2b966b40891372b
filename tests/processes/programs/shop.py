"""The application of the processes that share a store: each call of a step is noted outside of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import durable


NOTES = Path(os.environ.get("NOTES", "/dev/null"))

app = durable.App("shop")


def note(line: str) -> str:
    """In one write, so that lines of several processes do not mix."""
    with NOTES.open("a") as notes:
        notes.write(f"{line}\n")
    return line


@app.function("fulfil", on="order", retries=0)
async def fulfil(ctx: durable.Context) -> str:
    """Two steps and a sleep; what it says of itself outside of them, it says each time that it is called."""
    key = ctx.event.data["key"]
    await ctx.step.run("charge", note, f"charge {key}")
    note(f"recorded charge {key}")
    await ctx.step.sleep("rest", "5ms")
    await ctx.step.run("send", note, f"send {key}")
    note(f"recorded send {key}")
    return str(key)


@app.function("wait", on="wait")
async def wait(ctx: durable.Context) -> Any:
    """For a signal."""
    name = ctx.event.data["signal"]
    return await ctx.step.wait_for_signal("it", signal=name, timeout="1h")
