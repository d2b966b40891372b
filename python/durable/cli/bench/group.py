"""The group of commands `durable bench ...`; each is in a file of its own."""

import typer

from .flow_command import flow


bench = typer.Typer(no_args_is_help=True)


@bench.callback()
def group() -> None:
    """See what flow control does with events before it goes live."""


bench.command()(flow)
