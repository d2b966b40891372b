"""`durable run MODULE:APP [--events FILE]`: an application over a file of events, or over what its store has."""

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .event_file import Batch, EventFile
from .failure import CommandError, ExitCode, told_plainly
from .options import DEFAULT_STORE, AsJson, Store, existing, folder_of
from .output import count, messages, print_json, results
from .screen import SessionScreen, ending_line, functions_table
from .session import Progress, Session
from .stopping import say_what_is_waited_for, stopped, told_when_stopped


if TYPE_CHECKING:
    from durable import App

_BATCH_LINES: Final = 500


class FileFeed:
    """A file of events as a session's source."""

    pause_s = 0.0

    def __init__(self, file: EventFile) -> None:
        self.source = file.source
        self._file = file

    def batches(self, accepted: int) -> Iterator[Batch]:
        """The lines behind those that were accepted."""
        return self._file.batches(accepted, _BATCH_LINES)


class NoFeed:
    """No events: what is in the store goes on."""

    pause_s = 0.0
    source = "durable run without events"

    def batches(self, accepted: int) -> Iterator[Batch]:  # noqa: ARG002  # as every feed is asked
        """None."""
        return iter(())


def run(
    application: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:APP",
            help="The application, as in shop.pipeline:app. Its module is imported: what "
            "starts it as a program stands behind `if __name__ == '__main__':`.",
        ),
    ],
    *,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Events, one JSON object a line: events.jsonl, or events.jsonl.gz. "
            "Without: what the store has goes on.",
        ),
    ] = None,
    store: Store = DEFAULT_STORE,
    clock: Annotated[
        str | None,
        typer.Option(
            metavar="CLOCK",
            help="system; scaled:60 lets sleeps and retries pass 60 times as fast.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run an application until nothing is left to do: over a file of events, or with what its store has.

    Each line is accepted once: started again on the same store, it goes on where it stopped, whatever
    stopped it. A file that has grown goes on with its new lines.
    """
    from .application import find_app  # noqa: PLC0415  # slow to import

    app = find_app(application)
    file = None if events is None else EventFile(events)
    if file is None:
        existing(store)
    with told_plainly(), told_when_stopped(store):
        progress = asyncio.run(
            _run(app, file, store=store, clock=clock, as_json=as_json)
        )
    _tell(progress, store, as_json=as_json)


async def _run(
    app: "App",
    file: EventFile | None,
    *,
    store: str,
    clock: str | None,
    as_json: bool,
) -> Progress:
    from durable import Engine  # noqa: PLC0415  # slow to import

    console = messages() if as_json else results()
    async with Engine(app, store=store, clock=clock) as engine:
        for notice in engine.notices:
            console.print(notice, style="yellow", markup=False)
        size = 0 if file is None else file.size
        with SessionScreen(console, size=size, size_is_bytes=True) as screen:
            feed = NoFeed() if file is None else FileFeed(file)
            session = Session(engine, feed, screen)
            live = count(session.live_count(), "run")
            if file is None:
                console.print(f"Going on without new events: {live} not yet ended.")
            elif accepted := await engine.source_position(file.source):
                console.print(
                    f"Going on: {count(accepted, 'line')} of {file.path} accepted before, "
                    f"{live} not yet ended."
                )
            progress = await session.run()
        say_what_is_waited_for(progress, engine.grace_s)
        return progress


def _tell(progress: Progress, store: str, *, as_json: bool) -> None:
    """The summary, and the exit code."""
    failed = progress.counts.total.failed - progress.counts_before.total.failed
    if as_json:
        print_json(summary(progress))
    else:
        results().print(functions_table(progress.counts, progress.counts_before))
        results().print(ending_line(progress))
    if progress.is_stopped:
        raise stopped(progress, store)
    if failed:
        text = f"{count(failed, 'run')} failed"
        where = "" if folder_of(store) is None else f" --store {shlex.quote(store)}"
        hint = f"durable runs list --status failed{where}"
        raise CommandError(text, hint, exit_code=ExitCode.FAILED)


def summary(progress: Progress) -> dict[str, object]:
    """A session as `--json` prints it."""
    return {
        "stopped": progress.is_stopped,
        "lines_accepted_before": progress.accepted_before,
        "lines_accepted": progress.position,
        "events_sent": progress.event_count,
        "seconds": round(progress.seconds, 3),
        "runs_ended": progress.counts.total.ended - progress.counts_before.total.ended,
        "functions": {
            name: {
                "queued": one.queued,
                "running": one.running,
                "parked": one.parked,
                "done": one.done,
                "failed": one.failed,
            }
            for name, one in sorted(progress.counts.functions.items())
        },
    }
