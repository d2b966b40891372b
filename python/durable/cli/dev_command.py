"""`durable dev`: a server for one programmer."""

from typing import Annotated

import typer

from .options import (
    DEFAULT_STORE,
    Allowed,
    Application,
    Host,
    Port,
    Store,
    Urls,
)
from .serving import serve


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

    from .application import find_app  # noqa: PLC0415

    app = None if application is None else find_app(application)
    settings = ServerSettings(
        host=host,
        port=port,
        urls=tuple(urls or ()),
        discovers=discovers,
        allowed=tuple(allowed or ()),
        log="text",
        retry_interval=retry_interval,
    )
    serve(app, store, settings)
