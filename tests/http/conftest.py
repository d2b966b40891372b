"""What is asked over HTTP of an engine whose functions live in the same process: time stands still unless a test moves it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

import durable
from durable._http_server import ServerSettings, served


SIGNING_KEY = "signkey-test-00ff10aa"


def shop() -> durable.App:
    app = durable.App("shop")

    @app.function(on="order", retries=0)
    async def order(ctx: durable.Context) -> Any:
        """Ends at once; with `fails` badly; with `waits` not before a signal."""
        data = ctx.event.data
        first = await ctx.step.run("first", lambda: {"n": data.get("n")})
        if data.get("waits"):
            await ctx.step.wait_for_signal(
                "answer", f"answer/{ctx.run_id}", timeout="30d"
            )
        if data.get("fails"):
            message = "the card was declined"
            raise durable.NonRetriableError(message)
        second = await ctx.step.run("second", lambda: 2)
        return first if data.get("is_object") else [first, second]

    @app.function(on="other")
    async def other(ctx: durable.Context) -> str:
        await ctx.step.wait_for_signal("answer", f"answer/{ctx.run_id}", timeout="30d")
        return "done"

    @app.function(
        on="limited",
        rate_limit=durable.RateLimit(1, "1h"),
        throttle=durable.Throttle(5, "1m"),
        cancel_on=durable.CancelOn("stop"),
    )
    async def limited(_ctx: durable.Context) -> str:
        return "let through"

    @app.function(on=durable.Cron("0 9 * * *", tz="Europe/Paris"))
    async def daily(_ctx: durable.Context) -> None: ...

    return app


@dataclass(slots=True)
class Shop:
    """An engine and its server."""

    engine: durable.Engine
    http: httpx.AsyncClient

    async def send(self, name: str = "order", **data: Any) -> str:
        """Have an event accepted, and wait until its runs are made and stand still."""
        (event,) = await self.engine.send(durable.Event(name=name, data=data))
        await self.engine.advance("1ms")
        return event

    async def run(self, name: str = "order", **data: Any) -> str:
        """The only run of an event."""
        (run,) = await self.engine.events.runs(await self.send(name, **data))
        return run.id

    async def get(self, path: str, **asked: Any) -> Any:
        answer = await self.http.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)


@contextlib.asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Shop]:
    async with (
        durable.Engine(shop(), store="memory:", clock="virtual", grace=0) as engine,
        served(engine, ServerSettings(port=0, **settings)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        yield Shop(engine, http)
