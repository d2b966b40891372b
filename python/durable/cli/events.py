"""`durable events list|cancel`: what came in, what it started, and calling that off."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from .options import DEFAULT_STORE, AsJson, Cursor, Limit, Since, Store, since_ms
from .output import (
    as_text,
    clip,
    count,
    print_json,
    print_page,
    results,
    rows_table,
    short_moment,
    to_ms,
)
from .reading import read


if TYPE_CHECKING:
    from durable import Engine
    from durable._views import Page, ReceivedEvent

events = typer.Typer(no_args_is_help=True)

_NAME_WIDTH = 24


@events.callback()
def group() -> None:
    """Look at events, and call them off."""


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
    print_page(
        "events", page, as_json=as_json, to_json=event_json, to_table=events_table
    )


@events.command()
def cancel(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="An event's id.")],
    *,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Call off the runs of an event that have not started; those that have are left alone."""
    number = read(store, lambda engine: engine.events.cancel(event_id))
    if as_json:
        print_json({"event_id": event_id, "count": number})
    elif number:
        results().print(f"event {event_id} is called off for {count(number, 'run')}")
    else:
        results().print(f"no run of event {event_id} was still to start")


def events_table(listed: "list[ReceivedEvent]", width: int) -> Table:
    """A line for each event."""
    rows = [
        (
            Text(one.id),
            Text(clip(one.event.name, _NAME_WIDTH)),
            Text(short_moment(one.received_at)),
            Text(_runs_of(one)),
            Text(clip(as_text(one.event.data), width)),
        )
        for one in listed
    ]
    return rows_table(("event", "name", "received", "runs", "data"), rows, width)


def _runs_of(one: "ReceivedEvent") -> str:
    """How many runs an event started, and why it started no other."""
    if one.duplicate_of is not None and not one.run_ids:
        return "repeat"
    reasons = sorted(set(one.skipped.values()))
    count = str(len(one.run_ids))
    return f"{count}, dropped: {', '.join(reasons)}" if reasons else count


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
        "skipped": dict(one.skipped),
    }
