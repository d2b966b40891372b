"""`durable demo`: the pipeline of `durable.demo` over a git history, in accelerated time."""

import asyncio
import logging
import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .counts import counts_of
from .demo_feed import CommitFeed, commits_from_file, commits_from_git
from .demo_words import ShortLog, found_again, goodbye, greeting
from .failure import CommandError, ExitCode, told_plainly
from .options import AsJson, folder_of
from .output import messages, print_json, results
from .run_command import summary
from .screen import SessionScreen
from .session import Progress, Session
from .stopping import stopped, told_when_stopped


if TYPE_CHECKING:
    from rich.console import Console

    from durable import Engine
    from durable._views import Run

HOME: Final = Path(".durable-demo")
_SPEED: Final = 720
_NEWEST: Final = 1000
_FEW: Final = 10


def demo(
    *,
    git: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="A git repository; by default the one you stand in."
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Commits as events instead: events.jsonl[.gz]."
        ),
    ] = None,
    store: Annotated[
        str, typer.Option(metavar="PATH", help="Where the demo's store is.")
    ] = f"{HOME}/store",
    limit: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="The newest N commits, or the first N events."
        ),
    ] = _NEWEST,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Delete what an earlier demo left, and begin again."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run four durable functions over the commits of a git repository, an hour in five seconds.

    Kill it whenever you like and start it again: it says what it found and goes on.
    """
    feed = _feed(git, events, limit)
    _make_home(store, is_fresh=fresh)
    with told_plainly(), told_when_stopped(store):
        progress = asyncio.run(_demo(feed, store, as_json=as_json))
    if as_json:
        print_json(summary(progress))
    if progress.is_stopped:
        raise stopped(progress, store)
    if not as_json:
        results().print(_more(feed, progress, store), style="dim", soft_wrap=True)


def _more(feed: CommitFeed, progress: Progress, store: str) -> str:
    """What to do next."""
    if folder_of(store) is None:
        return (
            "The store was in memory and is gone; with --store PATH it would be kept."
        )
    again = (
        ""
        if progress.event_count
        else "All of it was done before; --fresh begins again.\n"
    )
    if len(feed.events) < _FEW:
        again += "This history is short: --git PATH takes a longer one.\n"
    return f"{again}Look closer: durable runs list --store {shlex.quote(store)}"


def _feed(git: Path | None, events: Path | None, limit: int) -> CommitFeed:
    if git is not None and events is not None:
        text = "--git and --events are both given"
        raise CommandError(text, "Give one of them.")
    if events is not None:
        return commits_from_file(events, limit)
    return commits_from_git(git or Path(), limit)


def _make_home(store: str, *, is_fresh: bool) -> None:
    """The folder for the store and the ledger; git shall not see the default one."""
    folder = folder_of(store)
    if folder is None:
        return
    ledger = ledger_of(folder)
    if is_fresh and folder.exists():
        if not ledger.exists():
            text = f"{folder} was not made by the demo: there is no {ledger} beside it"
            raise CommandError(text, "Delete it yourself if you mean it.")
        shutil.rmtree(folder)
        for path in ledger.parent.glob(f"{ledger.name}*"):
            path.unlink()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.parent.name == HOME.name:
            (folder.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        text = f"{folder.parent} cannot be written: {error.strerror}"
        raise CommandError(
            text,
            "Give another place with --store PATH.",
            exit_code=ExitCode.STORE_BROKEN,
        ) from None


def ledger_of(folder: Path) -> Path:
    """The pipeline's own database, beside the store."""
    return folder.with_name(f"{folder.name}-ledger.sqlite3")


async def _demo(feed: CommitFeed, store: str, *, as_json: bool) -> Progress:
    from durable import Engine  # noqa: PLC0415  # slow to import
    from durable.demo.pipeline import app, ledger  # noqa: PLC0415  # makes the application

    console = messages() if as_json else results()
    folder = folder_of(store)
    ledger.path = ":memory:" if folder is None else ledger_of(folder)
    functions = [(name, _meaning(one.__doc__)) for name, one in app.functions.items()]
    words = greeting(feed.title, store=store, functions=functions, pid=os.getpid())
    console.print(words)
    clock = f"scaled:{_SPEED}"  # the same everywhere: nobody's own settings
    async with Engine(app, settings={}, store=store, clock=clock, grace="1s") as engine:
        progress = await _session(engine, feed, console)
        if not progress.is_stopped and not as_json:
            example = await _example(engine)
            width = results().width
            results().print(goodbye(progress, ledger, example=example, width=width))
    ledger.close()
    return progress


async def _session(engine: "Engine", feed: CommitFeed, console: "Console") -> Progress:
    for notice in engine.notices:
        console.print(notice, style="yellow", markup=False)
    accepted = await engine.source_position(feed.source) or 0
    total = counts_of(engine.stats()).total
    if total.ended or total.live:
        known = len(feed.events) - feed.waiting(accepted)
        console.print(found_again(feed.waiting(accepted), known, total))
    log = logging.getLogger("durable.run")
    handler = ShortLog(console)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with SessionScreen(
            console, size=feed.last_position, size_is_bytes=False
        ) as screen:
            return await Session(engine, feed, screen).run()
    finally:
        log.removeHandler(handler)


async def _example(engine: "Engine") -> "Run | None":
    """A review that needed three tries, or the newest run."""
    for listed in (
        await engine.runs.list(function="review", limit=200),
        await engine.runs.list(limit=1),
    ):
        for one in listed:
            run = await engine.runs.get(one.id)
            if run.steps:
                return run
    return None


def _meaning(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]
