"""One of several processes on a store: `member.py STORE`. It does what its standard input says, a line each, and tells what came."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import sys
from typing import Any

from shop import app

import durable


async def main(store: str) -> None:
    """Until standard input ends."""
    try:
        async with durable.Engine(app, store=store) as engine:
            tell(pid=os.getpid(), is_owner=engine.is_owner())
            while line := await asyncio.to_thread(sys.stdin.readline):
                await do(engine, line)
    except durable.DurableError as error:
        tell(error=type(error).__name__, text=str(error))


async def do(engine: durable.Engine, line: str) -> None:
    """What a line says: an expression of `engine`, awaited where it has to be."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(line.strip(), "<asked>", "eval", flags)
    try:
        value: Any = eval(code, {"engine": engine, "durable": durable, "os": os})  # noqa: S307  # the test's own words
        if asyncio.iscoroutine(value):
            value = await value
    except durable.DurableError as error:
        tell(error=type(error).__name__, text=str(error))
    else:
        tell(value=value)


def tell(**what: Any) -> None:
    """On standard output, as one line."""
    print(json.dumps(what, default=repr), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
