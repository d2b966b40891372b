"""An application that has secrets everywhere and a log that says all: `server` finds `inside` here, others call the rest.

Its first lines ask servers that are not there or refuse, and log why, with tracebacks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any

import httpx
import uvicorn

import durable


canaries: dict[str, str] = json.loads(os.environ["CANARIES"])
inside = durable.App("inside")


def said(place: str) -> str:
    return canaries[place]


def fails(place: str) -> Any:
    raise ValueError(canaries[place])


def declare(app: durable.App, name: str) -> None:
    @app.function("talk", on=f"{name}/talk", retries=0)
    async def talk(ctx: durable.Context) -> None:
        await ctx.step.run("says", said, f"output of a step {name}")
        data = {"token": canaries[f"event sent by a step {name}"]}
        await ctx.step.send_event("tells", durable.Event(f"{name}/told", data))
        try:
            await ctx.step.run("fails", fails, f"error of a step {name}")
        except durable.StepError as error:
            secret = canaries[f"error of a handler {name}"]
            raise LookupError(secret) from error

    @app.function("tell", on=f"{name}/told", retries=0)
    async def tell(ctx: durable.Context) -> dict[str, str]:
        assert ctx.event.data
        return {"result": canaries[f"result of a run {name}"]}


async def ask_in_vain(app: durable.App) -> None:
    event = durable.Event("a", {"token": canaries["event that is not accepted"]})
    keys = canaries["signing key of no server"]
    place = f"u:{canaries['user of a server that is not there']}@127.0.0.1:1"
    away = durable.serve(
        app,
        server=f"http://{place}",
        signing_key=keys,
        event_key=canaries["event key of no server"],
    )
    path = f"{os.environ['DURABLE_SERVER']}/{canaries['path of a server']}"
    other = durable.serve(
        app, server=path, signing_key=keys, event_key=canaries["another event key"]
    )
    wrong = durable.serve(
        app, signing_key=keys, event_key=canaries["event key that is wrong"]
    )
    for one in (away, other, wrong):
        for asking in (one.send(event), one.register("http://127.0.0.1:1/")):
            try:
                await asking
            except (ConnectionError, durable.DurableError):
                logging.getLogger("talkative").exception("in vain")
    async with httpx.AsyncClient() as client:  # httpx says what it asks: it is heard
        await client.get(f"{os.environ['DURABLE_SERVER']}/health")


def main() -> None:
    logging.basicConfig(level=logging.DEBUG)
    outside = durable.App("outside")
    declare(outside, "outside")
    asyncio.run(ask_in_vain(outside))
    port = int(os.environ["PORT"])
    endpoint = durable.serve(outside)
    uvicorn.run(endpoint, host="127.0.0.1", port=port, log_level="debug")


declare(inside, "inside")
if __name__ == "__main__":
    main()
