"""Options that several commands share, and how text from the command line is read."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from durable._duration import DurationError, to_ms

from .failure import CommandError, told_plainly


MEMORY: Final = "memory:"
_SCHEMES: Final = ("sled:", "redb:")


def _configured(given: str) -> str:
    """The store that is given, else the one that an engine would take here."""
    if given:
        return given
    from durable._engine_settings import DEFAULTS  # noqa: PLC0415  # slow to import
    from durable._settings import outside  # noqa: PLC0415  # slow to import

    with told_plainly():  # the other settings may be wrong: nothing here uses them
        return str(outside(DEFAULTS.keys() - {"store"})["store"].value)


#: Stands for the store that the settings name; it is asked for when a command is called.
DEFAULT_STORE: Final = ""
Store = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="PATH",
        callback=_configured,
        show_default="DURABLE_STORE, [tool.durable], else ./.durable",
        help="The store: a path, sled:PATH or redb:PATH.",
    ),
]
Application = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODULE:APP]",
        help="An application of this package to execute in this process, as in shop.pipeline:app.",
    ),
]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "-u",
        "--url",
        metavar="URL",
        envvar=["DURABLE_SDK_URL", "INNGEST_SDK_URL"],
        help="Where an application with an Inngest SDK is, as in http://localhost:8000/api/inngest.",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS", envvar="DURABLE_HOST", help="An address of this machine."
    ),
]
Port = Annotated[
    int, typer.Option(metavar="PORT", envvar="DURABLE_PORT", min=0, max=65535)
]
Allowed = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="ADDRESS[/BITS]",
        envvar="DURABLE_ALLOW",
        help="What may be called beside the public network, as in 10.2.0.0/16.",
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-origin",
        metavar="ORIGIN",
        envvar="DURABLE_ALLOW_ORIGIN",
        help="Whose pages may listen to channels, as in https://shop.example.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON text on stdout.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]
Cursor = Annotated[
    str | None,
    typer.Option(
        metavar="CURSOR", help="Go on where the last page ended: it names its cursor."
    ),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help='Older than: "2h", "3d", or 2026-11-21T05:00.'),
]
OfFunction = Annotated[
    str | None, typer.Option(metavar="ID", help="Only runs of this function.")
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(metavar="STATUS", help="Only these; may be given again."),
]
If = Annotated[
    str | None,
    typer.Option(
        "--if",
        metavar="CEL",
        help='Only where the event meets it: "event.data.n > 3".',
    ),
]
AtMost = Annotated[
    int | None, typer.Option("--limit", min=1, help="The oldest so many.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help='Not older than: "2h", "3d", or 2026-11-21T05:00.'
    ),
]


def folder_of(store: str) -> Path | None:
    """The folder of a store; `None` where it is in memory."""
    if store == MEMORY:
        return None
    for scheme in _SCHEMES:
        store = store.removeprefix(scheme)
    return Path(store)


def existing(store: str) -> str:
    """The store, if there is one.

    Raises:
        CommandError: there is none, so that reading it would only make an empty one.
    """
    folder = folder_of(store)
    if folder is None:
        text = "a store in memory lives in the process that opened it; there is nothing to read"
        raise CommandError(text, "Give the store's folder with --store PATH.")
    if not folder.is_dir():
        text = f"there is no store at {folder.resolve()}"
        hint = "Give its folder with --store PATH or the variable DURABLE_STORE."
        raise CommandError(text, hint)
    return store


def since_ms(given: str | None, now_ms: int, option: str = "--since") -> int | None:
    """The moment that `--since` or `--until` means, ms since the epoch.

    Raises:
        CommandError: it is neither a length of time nor a moment.
    """
    if given is None:
        return None
    try:
        return now_ms - to_ms(given)
    except DurationError:
        pass
    try:
        return round(datetime.fromisoformat(given).timestamp() * 1000)
    except ValueError:
        text = f"{option} {given!r} is neither a length of time nor a moment"
        hint = "Write a length as in 30m, 2h, 7d, or a moment as in 2026-11-21 or 2026-11-21T05:00."
        raise CommandError(text, hint) from None
