"""`durable runs cancel|rerun`: one run by its id, or all that match, once somebody has said yes."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from durable._bulk import LIVE
from durable._views import ENDED

from .failure import CommandError
from .options import (
    DEFAULT_STORE,
    AsJson,
    AtMost,
    DryRun,
    If,
    OfFunction,
    Since,
    Statuses,
    Store,
    Until,
    Yes,
    since_ms,
)
from .output import count, print_json, results
from .reading import read
from .runs import read_statuses


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from durable import BulkResult, Engine

_SHOWN: Final = 20

RunId = Annotated[
    str | None,
    typer.Argument(metavar="RUN_ID", help="A run's id.", show_default=False),
]


@dataclass
class Which:
    """What was said of the runs."""

    status: list[str] | None
    function: str | None
    since: str | None
    until: str | None
    if_: str | None
    limit: int | None

    def is_said(self) -> bool:
        """True where anything was."""
        return any(value for value in asdict(self).values())

    def read(self, now_ms: int, accepted: "Collection[str]") -> dict[str, Any]:
        """The same as the engine takes it.

        Raises:
            CommandError: something of it is wrong.
        """
        for status in read_statuses(self.status):
            if status not in accepted:
                text = f"--status {status}: this takes {', '.join(sorted(accepted))}"
                raise CommandError(text)
        given = {
            "status": read_statuses(self.status),
            "function": self.function,
            "since": since_ms(self.since, now_ms),
            "until": since_ms(self.until, now_ms, "--until"),
            "if_": self.if_,
            "limit": self.limit,
        }
        return {name: value for name, value in given.items() if value}


def cancel(  # noqa: PLR0913  # options, all by name
    run_id: RunId = None,
    *,
    status: Statuses = None,
    function: OfFunction = None,
    since: Since = None,
    until: Until = None,
    if_: If = None,
    limit: AtMost = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Call a run off, or all that match and have not ended: they never go on."""
    which = Which(status, function, since, until, if_, limit)
    _check(run_id, which)
    if run_id is not None:
        is_cancelled = read(store, lambda engine: engine.runs.cancel(run_id))
        if as_json:
            print_json({"run_id": run_id, "is_cancelled": is_cancelled})
        else:
            said = (
                "is cancelled" if is_cancelled else "had ended before: nothing changed"
            )
            results().print(f"run {run_id} {said}")
        return
    asked = _Asked(which, LIVE, "cancel", dry_run=dry_run, yes=yes)
    done = read(store, lambda engine: asked.of(engine, engine.runs.cancel_many))
    _tell(done, "cancelled", dry_run=dry_run, as_json=as_json)


def rerun(  # noqa: PLR0913  # options, all by name
    run_id: RunId = None,
    *,
    from_step: Annotated[
        str | None,
        typer.Option(
            metavar="STEP", help="Take over what was recorded before this step."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Give that step this result instead."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Give the event this data instead."),
    ] = None,
    status: Statuses = None,
    function: OfFunction = None,
    since: Since = None,
    until: Until = None,
    if_: If = None,
    limit: AtMost = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Start a run again, or all that match and have ended (by default: failed), each once."""
    which = Which(status, function, since, until, if_, limit)
    _check(run_id, which)
    if run_id is not None:
        changes = {"from_step": from_step, **_given(output=output, data=data)}

        async def again(engine: "Engine") -> tuple[str, str]:
            new_id = await engine.runs.rerun(run_id, **changes)
            return new_id, await _when(engine, new_id)

        new_id, when = read(store, again)
        if as_json:
            print_json({"run_id": new_id, "rerun_of": run_id})
        else:
            results().print(f"run {run_id} starts again as run {new_id}")
            results().print(when, style="dim")
        return
    if from_step or output or data:
        text = "--from-step, --output and --data are of one run: give its id"
        raise CommandError(text)
    asked = _Asked(which, ENDED, "start again", dry_run=dry_run, yes=yes)

    async def all_again(engine: "Engine") -> "tuple[BulkResult, str]":
        done = await asked.of(engine, engine.runs.rerun_many)
        is_done = done.run_ids and not dry_run
        return done, await _when(engine, done.run_ids[0]) if is_done else ""

    done, when = read(store, all_again)
    _tell(done, "started again", dry_run=dry_run, as_json=as_json)
    if when and not as_json:
        results().print(when, style="dim")


async def _when(engine: "Engine", run_id: str) -> str:
    """Who executes a run that was just started."""
    pid = engine.process_of((await engine.runs.get(run_id)).function)
    if pid is None:
        return "It executes when the application runs next: durable run MODULE:APP"
    return f"It is executed by process {pid}, which has the store open."


@dataclass
class _Asked:
    """What is to be done to which runs, and whether somebody has agreed."""

    which: Which
    accepted: "Collection[str]"
    verb: str
    dry_run: bool
    yes: bool

    async def of(
        self, engine: "Engine", do: "Callable[..., Awaitable[BulkResult]]"
    ) -> "BulkResult":
        """Count them, ask, do it."""
        which = self.which.read(engine.now_ms(), self.accepted)
        would = await do(**which, dry_run=True)
        if self.dry_run or would.count == 0:
            return would
        if not self.yes:
            _ask(
                f"This would {self.verb} {count(would.count, 'run')} in {engine.store}"
            )
        return await do(**which)


def _check(run_id: str | None, which: Which) -> None:
    if run_id is None and not which.is_said():
        text = "say which runs: a run's id, or --status, --function, --since, --until, --if"
        raise CommandError(text, "durable runs list shows what is there.")
    if run_id is not None and which.is_said():
        text = "a run's id and --status, --function, --since, --until, --if or --limit do not go together"
        raise CommandError(text)


def _given(**options: str | None) -> dict[str, Any]:
    return {
        name: _json(f"--{name}", text)
        for name, text in options.items()
        if text is not None
    }


def _json(option: str, given: str) -> object:
    try:
        return json.loads(given)
    except ValueError as error:
        text = f"{option} {given!r} is not JSON: {error}"
        raise CommandError(text) from None


def is_somebody_there() -> bool:
    """True where a question can be answered."""
    return sys.stdin.isatty()


def _ask(what: str) -> None:
    if not is_somebody_there():
        text = f"{what}; nobody is there to say yes"
        raise CommandError(text, "Give --yes to do it without being asked.")
    typer.confirm(f"{what}. Do it?", abort=True, err=True)


def _tell(done: "BulkResult", what: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(done), "is_dry_run": dry_run})
        return
    verb = "would be" if dry_run else ("is" if done.count == 1 else "are")
    results().print(f"{count(done.count, 'run')} {verb} {what}")
    for run_id in done.run_ids[:_SHOWN]:
        results().print(f"  {run_id}")
    if done.count > _SHOWN:
        results().print(f"  and {done.count - _SHOWN:,} more")
    for run_id, why in list(done.refused.items())[:_SHOWN]:
        results().print(f"  {run_id} was left: {why}", style="yellow")
