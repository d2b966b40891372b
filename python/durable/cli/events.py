"""`durable events list`: what came in, and what it started."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from .options import DEFAULT_STORE, AsJson, Cursor, Limit, Since, Store, since_ms
from .output import ID_WIDTH, as_text, clip, print_json, results, short_moment, to_ms
from .reading import read


if TYPE_CHECKING:
    from durable import Engine
    from durable._views import Page, ReceivedEvent

events = typer.Typer(no_args_is_help=True)

_DATA_WIDTH = 70


@events.callback()
def group() -> None:
    """Look at events."""


@events.command("list")
def list_(
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only events of this name.")
    ] = None,
    since: Since = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """List events, the newest first, and how many runs each started."""

    async def ask(engine: "Engine") -> "Page[ReceivedEvent]":
        return await engine.events.list(
            name=name,
            since=since_ms(since, engine.now_ms()),
            limit=limit,
            cursor=cursor,
        )

    page = read(store, ask)
    if as_json:
        print_json({"events": [event_json(one) for one in page], "cursor": page.cursor})
        return
    results().print(events_table(page))
    if page.cursor is not None:
        results().print(f"More: --cursor {page.cursor}", style="dim")


def events_table(listed: "list[ReceivedEvent]") -> Table:
    """A line for each event."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("event", no_wrap=True, min_width=ID_WIDTH)
    table.add_column("name", no_wrap=True, min_width=10)
    table.add_column("received", no_wrap=True, min_width=len("06-21 06:19:16"))
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("data", no_wrap=True, overflow="ellipsis", ratio=1)
    for one in listed:
        table.add_row(
            one.id,
            one.event.name,
            short_moment(one.received_at),
            str(len(one.run_ids)) if one.duplicate_of is None else "repeat",
            Text(clip(as_text(one.event.data), _DATA_WIDTH)),
        )
    return table


def event_json(one: "ReceivedEvent") -> dict[str, object]:
    """An event as `--json` prints it; moments are ms since the epoch."""
    event = one.event
    return {
        "id": one.id,
        "name": event.name,
        "data": event.data,
        "sender_id": event.id if event.id != one.id else None,
        "ts": event.ts,
        "v": event.v,
        "user": event.user,
        "received_at_ms": to_ms(one.received_at),
        "run_ids": list(one.run_ids),
        "duplicate_of": one.duplicate_of,
    }
