"""`durable functions list|limits|pause|resume`: what is registered, and how its limits are used."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from .options import DEFAULT_STORE, AsJson, Store
from .output import clip, moment, print_json, results, rows_table, to_ms
from .reading import read
from .schedules import schedule_json, times_of


if TYPE_CHECKING:
    from durable import Engine, FunctionInfo, Limit

functions = typer.Typer(no_args_is_help=True, help="Look at functions, and pause them.")

_VALUE_WIDTH = 48

FunctionId = Annotated[
    str, typer.Argument(metavar="FUNCTION", help="A function's id.", show_default=False)
]


@functions.command("list")
def list_(*, store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """List all functions in a store, also those that their application no longer has."""

    async def ask(engine: "Engine") -> "list[FunctionInfo]":
        return await engine.functions.list()

    found = read(store, ask)
    if as_json:
        print_json({"functions": [_function_json(one) for one in found]})
        return
    rows = [
        (
            Text(one.id),
            Text(one.app),
            Text(clip(_started_by(one), results().width)),
            _state_of(one),
        )
        for one in found
    ]
    headings = ("function", "app", "started by", "state")
    results().print(rows_table(headings, rows, results().width))


@functions.command()
def limits(
    function: FunctionId,
    *,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="At most so many values of each key: the busiest."
        ),
    ] = 20,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Show how much of a function's limits is used, and how much waits for it, key by key."""

    async def ask(engine: "Engine") -> "list[Limit]":
        return await engine.functions.limits(function, limit=limit)

    found = read(store, ask)
    if as_json:
        print_json({"limits": [_limit_json(one) for one in found]})
    elif not found:
        results().print(f"Nothing of the limits of '{function}' is in use.")
    else:
        results().print(limits_table(found, results().width))


@functions.command()
def pause(function: FunctionId, *, store: Store = DEFAULT_STORE) -> None:
    """Let nothing of a function go on until it is resumed; events that would start it are skipped."""
    read(store, lambda engine: engine.functions.pause(function))
    results().print(f"'{function}' is paused; `durable functions resume` lets it go on")


@functions.command()
def resume(function: FunctionId, *, store: Store = DEFAULT_STORE) -> None:
    """Let a paused function go on."""
    read(store, lambda engine: engine.functions.resume(function))
    results().print(f"'{function}' goes on when its application runs")


def limits_table(found: "list[Limit]", width: int) -> Table:
    """A line for each value of each policy's key."""
    rows = [
        (
            Text(one.policy),
            Text(clip(_value_of(one), _VALUE_WIDTH)),
            Text(_used(one)),
            Text(str(one.waiting)),
            Text("" if one.left is None else str(one.left)),
            Text(moment(one.next_at)),
        )
        for one in found
    ]
    headings = ("policy", "key", "used", "waiting", "left", "next")
    return rows_table(headings, rows, width)


def _value_of(one: "Limit") -> str:
    if one.key is None:
        return "" if one.value is None else one.value
    shown = "(none)" if one.value is None else one.value
    shared = "" if one.scope in {None, "fn"} else f" in {one.scope}"
    return f"{one.key}{shared} = {shown}"


def _used(one: "Limit") -> str:
    if one.taken is not None:
        return f"{one.taken} of {one.limit}"
    # of a rate it is told what is left: with a burst that may be more than the limit
    return "" if one.limit is None or one.left is not None else f"of {one.limit}"


def _started_by(one: "FunctionInfo") -> str:
    return ", ".join([*one.triggers, *(times_of(cron) for cron in one.crons)])


def _state_of(one: "FunctionInfo") -> Text:
    if one.is_archived:
        return Text("gone", style="dim")
    return Text("paused", style="yellow") if one.is_paused else Text("")


def _function_json(one: "FunctionInfo") -> dict[str, object]:
    return {
        "id": one.id,
        "app": one.app,
        "triggers": list(one.triggers),
        "crons": [schedule_json(cron) for cron in one.crons],
        "retries": one.retries,
        "concurrency": one.concurrency,
        "is_archived": one.is_archived,
        "is_paused": one.is_paused,
    }


def _limit_json(one: "Limit") -> dict[str, object]:
    return {
        "policy": one.policy,
        "key": one.key,
        "value": one.value,
        "scope": one.scope,
        "limit": one.limit,
        "taken": one.taken,
        "waiting": one.waiting,
        "left": one.left,
        "next_at_ms": to_ms(one.next_at),
        "run_id": one.run_id,
    }
