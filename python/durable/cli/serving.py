"""`durable dev` and `durable serve`: the engine behind HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .output import messages
from .signals import stops
from .stopping import told_when_stopped


if TYPE_CHECKING:
    from durable import App
    from durable._http_server import ServerSettings


def serve(app: App | None, store: str, settings: ServerSettings) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    with told_when_stopped(store):
        asyncio.run(_serve(app, store, settings))


async def _serve(app: App | None, store: str, settings: ServerSettings) -> None:
    from durable import Engine  # noqa: PLC0415  # slow to import
    from durable._http_server import served  # noqa: PLC0415

    console = messages()
    apps = () if app is None else (app,)
    async with Engine(*apps, store=store) as engine:
        for notice in engine.notices:
            console.print(notice, style="yellow", markup=False)
        async with served(engine, settings) as port:
            console.print(f"durable listens on http://{settings.host}:{port}")
            console.print(f"  store   {store}", markup=False)
            for url in settings.urls:
                console.print(f"  app     {url}", markup=False)
            if app is not None:
                console.print(f"  app     {app.name}, in this process", markup=False)
            await _told_to_stop()
            console.print("Stopping.")


async def _told_to_stop() -> None:
    waiting = asyncio.ensure_future(asyncio.Event().wait())
    with stops(waiting):
        await asyncio.wait({waiting})
