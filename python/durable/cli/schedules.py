"""`durable schedules list|pause|resume|delete|trigger`: what starts functions by the clock."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from .options import DEFAULT_STORE, AsJson, Cursor, Limit, Store
from .output import (
    as_text,
    clip,
    length,
    moment,
    print_json,
    print_page,
    results,
    rows_table,
    to_ms,
)
from .reading import read


if TYPE_CHECKING:
    from durable import Engine, Schedule
    from durable._views import Page

schedules = typer.Typer(
    no_args_is_help=True, help="Look at schedules, pause and delete them."
)

_TIMES_WIDTH = 40

ScheduleId = Annotated[
    str, typer.Argument(metavar="ID", help="A schedule's id.", show_default=False)
]


@schedules.command("list")
def list_(
    *,
    function: Annotated[
        str | None, typer.Option(metavar="ID", help="Only schedules of this function.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """List schedules by their ids; crons of functions are with `durable functions list`."""

    async def ask(engine: "Engine") -> "Page[Schedule]":
        return await engine.schedules.list(
            function=function, limit=limit, cursor=cursor
        )

    page = read(store, ask)
    print_page(
        "schedules",
        page,
        as_json=as_json,
        to_json=schedule_json,
        to_table=schedules_table,
    )


@schedules.command()
def pause(
    schedule: ScheduleId, *, store: Store = DEFAULT_STORE, as_json: AsJson = False
) -> None:
    """Let a schedule's ticks pass by until it is resumed."""
    read(store, lambda engine: engine.schedules.pause(schedule))
    text = f"'{schedule}' is paused; `durable schedules resume` lets it go on"
    _tell(schedule, "paused", text, as_json=as_json)


@schedules.command()
def resume(
    schedule: ScheduleId, *, store: Store = DEFAULT_STORE, as_json: AsJson = False
) -> None:
    """Let a paused schedule go on, with its first tick from now."""
    read(store, lambda engine: engine.schedules.resume(schedule))
    _tell(schedule, "resumed", f"'{schedule}' goes on", as_json=as_json)


@schedules.command()
def delete(
    schedule: ScheduleId, *, store: Store = DEFAULT_STORE, as_json: AsJson = False
) -> None:
    """Delete a schedule; its runs go on."""
    read(store, lambda engine: engine.schedules.delete(schedule))
    _tell(schedule, "deleted", f"'{schedule}' is deleted", as_json=as_json)


@schedules.command()
def trigger(
    schedule: ScheduleId, *, store: Store = DEFAULT_STORE, as_json: AsJson = False
) -> None:
    """Make one run at once, beside the schedule's ticks; it starts when the application runs."""
    run_id = read(store, lambda engine: engine.schedules.trigger(schedule))
    if as_json:
        print_json({"schedule": schedule, "run_id": run_id})
    else:
        results().print(f"run {run_id}")


def _tell(schedule: str, done: str, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"schedule": schedule, "done": done})
    else:
        results().print(text)


def schedules_table(found: "list[Schedule]", width: int) -> Table:
    """A line for each schedule."""
    rows = [
        (
            Text(one.id or ""),
            Text(one.function),
            Text(clip(times_of(one), _TIMES_WIDTH)),
            Text("paused", style="yellow")
            if one.is_paused
            else Text(moment(one.fires_at)),
            Text(clip(as_text(dict(one.data)), width)),
        )
        for one in found
    ]
    return rows_table(("schedule", "function", "when", "next", "data"), rows, width)


def times_of(one: "Schedule") -> str:
    """When it ticks, in a few words."""
    if one.every is not None:
        return f"every {length(one.every.total_seconds() * 1000)}"
    return f"{one.cron} {one.tz}"


def schedule_json(one: "Schedule") -> dict[str, object]:
    """A schedule as JSON output has it."""
    return {
        "id": one.id,
        "function": one.function,
        "cron": one.cron,
        "tz": one.tz,
        "every_ms": None
        if one.every is None
        else round(one.every.total_seconds() * 1000),
        "data": dict(one.data),
        "jitter_ms": None
        if one.jitter is None
        else round(one.jitter.total_seconds() * 1000),
        "catch_up": one.catch_up,
        "is_paused": one.is_paused,
        "made_at_ms": to_ms(one.made_at),
        "last_at_ms": to_ms(one.last_at),
        "next_at_ms": to_ms(one.next_at),
        "fires_at_ms": to_ms(one.fires_at),
    }
