"""`durable serve`: a server of one's own, with keys."""

from typing import Annotated

import typer

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
from .serving import serve as serve_until_stopped


def serve(  # noqa: PLR0913  # each is an option
    application: Application = None,
    *,
    event_keys: Annotated[
        list[str] | None,
        typer.Option(
            "--event-key",
            metavar="KEY",
            envvar=["DURABLE_EVENT_KEY", "INNGEST_EVENT_KEY"],
            help="What opens the event API; several where one replaces another.",
        ),
    ] = None,
    signing_keys: Annotated[
        list[str] | None,
        typer.Option(
            "--signing-key",
            metavar="KEY",
            envvar=["DURABLE_SIGNING_KEY", "INNGEST_SIGNING_KEY"],
            help="Hexadecimal. Signs requests, the first of several, and opens the rest of the API.",
        ),
    ] = None,
    urls: Urls = None,
    host: Host = "127.0.0.1",
    port: Port = 8288,
    allowed: Allowed = None,
    origins: Origins = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """A server of one's own: events and applications come in with keys only."""
    from durable._http_server import ServerSettings  # noqa: PLC0415  # slow to import

    from .application import find_app  # noqa: PLC0415

    app = None if application is None else find_app(application)
    settings = ServerSettings(
        host=host,
        port=port,
        is_dev=False,
        urls=tuple(urls or ()),
        event_keys=tuple(event_keys or ()),
        signing_keys=tuple(signing_keys or ()),
        allowed=tuple(allowed or ()),
        origins=tuple(origins or ()),
        log="json",
    )
    serve_until_stopped(app, store, settings)
