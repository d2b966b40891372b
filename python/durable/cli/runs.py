"""`durable runs list|show`: what became of events, and one run drawn on an axis of time."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final, TypeGuard

import typer
from rich.table import Table
from rich.text import Text

from durable.drawing.timeline import style_of

from .failure import CommandError, ExitCode
from .options import (
    DEFAULT_STORE,
    AsJson,
    Cursor,
    Limit,
    OfFunction,
    Since,
    Store,
    since_ms,
)
from .output import (
    as_text,
    clip,
    length,
    moment,
    print_json,
    print_page,
    results,
    rows_table,
    short_moment,
    to_ms,
)
from .reading import read
from .run_picture import picture_of


if TYPE_CHECKING:
    from durable import Engine, WaitingOn
    from durable._views import ErrorInfo, Page, Run, RunStatus

runs = typer.Typer(
    no_args_is_help=True, help="Look at runs, call them off, start them again."
)

LATEST: Final = "latest"
STATUSES: Final = (
    "queued",
    "running",
    "parked",
    "completed",
    "failed",
    "cancelled",
)
_NAME_WIDTH: Final = 20


@runs.command("list")
def list_(  # noqa: PLR0913  # options, all by name
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            help=f"Only these: {', '.join(STATUSES)}; may be given again.",
        ),
    ] = None,
    function: OfFunction = None,
    since: Since = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first; with `--status failed` what failed, why and when."""
    statuses = read_statuses(status)

    async def ask(engine: "Engine") -> "Page[Run]":
        return await engine.runs.list(
            status=statuses,
            function=function,
            since=since_ms(since, engine.now_ms()),
            limit=limit,
            cursor=cursor,
        )

    page = read(store, ask)
    to_table = failures_table if statuses == ["failed"] else runs_table
    print_page("runs", page, as_json=as_json, to_json=listed_json, to_table=to_table)


def read_statuses(given: "list[str] | None") -> "list[RunStatus]":
    """What `--status` says.

    Raises:
        CommandError: something that no run can be.
    """
    return [_read_status(one) for one in given or ()]


def _read_status(given: str) -> "RunStatus":
    if not _is_status(given):
        text = f"--status {given!r} is none of {', '.join(STATUSES)}"
        raise CommandError(text)
    return given


def _is_status(given: str) -> "TypeGuard[RunStatus]":
    return given in STATUSES


@runs.command()
def show(
    run_id: Annotated[
        str,
        typer.Argument(metavar="RUN_ID", help="A run's id; `latest` for the newest."),
    ] = LATEST,
    *,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Show one run: its steps on an axis of time, with tries, sleeps and errors."""

    async def ask(engine: "Engine") -> "tuple[Run | None, int]":
        wanted = run_id
        if wanted == LATEST:
            newest = await engine.runs.list(limit=1)
            if not newest:
                return None, 0
            wanted = newest[0].id
        return await engine.runs.get(wanted), engine.now_ms()

    run, now_ms = read(store, ask)
    if run is None:
        text = f"the store at {store} has no runs yet"
        raise CommandError(text, "Send it some events.", exit_code=ExitCode.FAILED)
    if as_json:
        print_json(run_json(run))
    else:
        results().print(picture_of(run, now_ms, results().width))


def runs_table(listed: "list[Run]", width: int) -> Table:
    """A line for each run."""
    rows = [
        (
            Text(run.id),
            Text(clip(run.function, _NAME_WIDTH)),
            Text(run.status, style=style_of(run.status)),
            Text(short_moment(run.created_at)),
            Text(took(run), justify="right"),
            Text(clip(outcome(run), width)),
        )
        for run in listed
    ]
    titles = ("run", "function", "status", "created", "took", "outcome")
    return rows_table(titles, rows, width)


def failures_table(listed: "list[Run]", width: int) -> Table:
    """A line for each run that failed: what of, when, and why."""
    rows = [
        (
            Text(run.id),
            Text(clip(run.function, _NAME_WIDTH)),
            Text(short_moment(run.ended_at)),
            Text(clip(run.error.name if run.error else "", _NAME_WIDTH), style="red"),
            Text(clip(run.error.message if run.error else "", width)),
        )
        for run in listed
    ]
    return rows_table(("run", "function", "failed", "error", "message"), rows, width)


def took(run: "Run") -> str:
    """How long a run lasted; nothing while it goes on."""
    if run.ended_at is None or run.created_at is None:
        return ""
    return length((run.ended_at - run.created_at).total_seconds() * 1000)


def outcome(run: "Run") -> str:
    """What came of a run, in one line."""
    if run.error is not None:
        return str(run.error)
    if run.due_at is not None:
        return f"goes on at {moment(run.due_at)}"
    return as_text(run.result) if run.status == "completed" else ""


def _wait_json(one: "WaitingOn") -> dict[str, object]:
    fields = asdict(one)
    fields["at_ms"] = to_ms(fields.pop("at"))
    return {name: value for name, value in fields.items() if value is not None}


def listed_json(run: "Run") -> dict[str, object]:
    """A run of a list as `--json` prints it; moments are ms since the epoch."""
    return {
        "id": run.id,
        "function": run.function,
        "status": run.status,
        "event_ids": list(run.event_ids),
        "rerun_of": run.rerun_of,
        "created_at_ms": to_ms(run.created_at),
        "started_at_ms": to_ms(run.started_at),
        "ended_at_ms": to_ms(run.ended_at),
        "due_at_ms": to_ms(run.due_at),
        "result": run.result,
        "error": _error_json(run.error),
    }


def run_json(run: "Run") -> dict[str, object]:
    """All of a run as `--json` prints it."""
    return {
        **listed_json(run),
        "waiting_on": [_wait_json(one) for one in run.waiting_on],
        "steps": [
            {
                "name": step.name,
                "kind": step.kind,
                "status": step.status,
                "attempts": step.attempts,
                "asked_at_ms": to_ms(step.asked_at),
                "ended_at_ms": to_ms(step.ended_at),
                "due_at_ms": to_ms(step.due_at),
                "result": step.result,
                "error": _error_json(step.error),
                "usage": None if step.usage is None else asdict(step.usage),
            }
            for step in run.steps.values()
        ],
    }


def _error_json(error: "ErrorInfo | None") -> dict[str, object] | None:
    return None if error is None else asdict(error)
