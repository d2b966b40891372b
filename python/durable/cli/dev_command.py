"""`durable dev`: a server for one programmer."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from .failure import CommandError, ExitCode, report
from .options import (
    DEFAULT_STORE,
    Allowed,
    Application,
    Host,
    Origins,
    Port,
    Store,
    Urls,
)
from .serving import changed, serve


if TYPE_CHECKING:
    from durable import App

    from .reloading import Sources


def dev(  # noqa: PLR0913  # each is an option
    application: Application = None,
    *,
    urls: Urls = None,
    discovers: Annotated[
        bool,
        typer.Option(
            "--discovery/--no-discovery",
            help="Look for applications at the usual ports and paths of this machine.",
        ),
    ] = True,
    host: Host = "127.0.0.1",
    port: Port = 8288,
    allowed: Allowed = None,
    origins: Origins = None,
    reloads: Annotated[
        bool,
        typer.Option(
            "--reload/--no-reload",
            help="Begin again when a file of MODULE:APP changes.",
        ),
    ] = True,
    retry_interval: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Try again what failed after so long, always; without it, longer each time from 15 s on.",
        ),
    ] = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """A server for one programmer: applications with an Inngest SDK run against it unchanged.

    SDKs find it by themselves where INNGEST_DEV=1 is set.
    """
    from durable._http_server import ServerSettings  # noqa: PLC0415  # slow to import

    app, sources = None, None
    if application is not None:
        app, sources = _found(application, reloads=reloads)
    settings = ServerSettings(
        host=host,
        port=port,
        urls=tuple(urls or ()),
        discovers=discovers,
        allowed=tuple(allowed or ()),
        origins=tuple(origins or ()),
        log="text",
        retry_interval=retry_interval,
    )
    serve(app, store, settings, sources=sources)


def _found(application: str, *, reloads: bool) -> "tuple[App, Sources | None]":
    """The application, and what to look at; where it cannot be imported after a change, that is told and the next one waited for."""
    from .application import find_app  # noqa: PLC0415  # slow to import
    from .reloading import Sources, is_reloaded  # noqa: PLC0415

    try:
        app = find_app(application)
    except CommandError as error:
        if not (reloads and is_reloaded()):
            raise
        report(error)
        sources = Sources()
        if asyncio.run(changed(sources)):
            sources.begin_again()
        raise typer.Exit(ExitCode.STOPPED) from None
    return app, Sources() if reloads else None
