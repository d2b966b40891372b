"""The command `durable` and all below it; what each does is in a file of its own."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from .bench.group import bench
from .configured import config
from .demo_command import demo
from .dev_command import dev
from .events import events
from .explain_command import explain
from .failure import EXIT_CODES
from .functions import functions
from .output import results
from .redo import cancel, rerun
from .run_command import run
from .runs import runs
from .schedules import schedules
from .serve_command import serve
from .store import store


_EXIT_CODES = " · ".join(f"{int(code)} {words}" for code, words in EXIT_CODES.items())

app = typer.Typer(
    name="durable",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=f"Exit codes: {_EXIT_CODES}.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(run)
app.command()(dev)
app.command()(serve)
runs.command()(cancel)
runs.command()(rerun)
app.add_typer(runs, name="runs")
app.add_typer(events, name="events")
app.add_typer(functions, name="functions")
app.add_typer(schedules, name="schedules")
app.add_typer(store, name="store")
app.add_typer(config, name="config")
app.add_typer(bench, name="bench")
app.command()(explain)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # as typer calls it
    if wanted:
        try:
            shown = version("durable-engine")
        except PackageNotFoundError:  # run from its sources
            shown = "(not installed)"
        results().print(f"durable {shown}")
        raise typer.Exit


@app.callback()
def root(
    *,
    is_version_wanted: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Durable functions on events, inside your Python process.

    Try `durable demo` in any git repository: it can be killed at any moment and goes on.
    """
