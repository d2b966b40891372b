"""`durable dev` and `durable serve`: the engine behind HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .failure import CommandError, told_plainly
from .output import messages
from .signals import stops
from .stopping import told_when_stopped


if TYPE_CHECKING:
    from collections.abc import Generator

    from durable import App
    from durable._http_server import ServerSettings

    from .reloading import Sources


def serve(
    app: App | None,
    store: str,
    settings: ServerSettings,
    *,
    sources: Sources | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; with `sources` from the start again when one of them changes.

    Raises:
        CommandError: it cannot be served so.
    """
    for url in settings.urls:
        if not url.startswith(("http://", "https://")):
            text = f"{url!r} is no address of an application"
            hint = "Write it with its scheme, as in http://localhost:8000/api/inngest."
            raise CommandError(text, hint)
    with told_when_stopped(store), told_plainly():
        is_other = asyncio.run(_serve(app, store, settings, sources=sources))
    if sources is not None and is_other:
        sources.begin_again()


async def _serve(
    app: App | None, store: str, settings: ServerSettings, *, sources: Sources | None
) -> bool:
    """False where it was told to stop."""
    from durable import Engine  # noqa: PLC0415  # slow to import
    from durable._http_server import served  # noqa: PLC0415

    from .server_log import log_application  # noqa: PLC0415

    log_application(settings.log)
    console = messages()
    apps = () if app is None else (app,)
    with ending(sources) as over:
        async with Engine(*apps, store=store) as engine:
            for notice in engine.notices:
                console.print(notice, style="yellow", markup=False)
            async with served(engine, settings) as port:
                console.print(f"durable listens on http://{settings.host}:{port}")
                console.print(f"  store   {store}", markup=False)
                for url in settings.urls:
                    console.print(f"  app     {url}", markup=False)
                if app is not None:
                    console.print(
                        f"  app     {app.name}, in this process", markup=False
                    )
                await asyncio.wait({over})
                is_other = not over.cancelled()
                console.print("It has changed." if is_other else "Stopping.")
    return is_other


@contextmanager
def ending(sources: Sources | None) -> Generator[asyncio.Future[Any], None, None]:
    """Done once one of these files changes; cancelled where Ctrl-C or SIGTERM comes, from the first moment on."""
    waits = asyncio.Event().wait() if sources is None else sources.changed()
    over = asyncio.ensure_future(waits)
    with stops(over):
        yield over


async def changed(sources: Sources) -> bool:
    """Wait until one of these files changes; False: Ctrl-C or SIGTERM came."""
    with ending(sources) as over:
        await asyncio.wait({over})
    return not over.cancelled()
