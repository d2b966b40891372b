"""`durable explain CODE`: an error in words, or the list of all."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .explain import explain as find, explanations
from .options import AsJson
from .output import print_json, results


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="[CODE]", help="An error's code or name: DUR-0701, StoreLocked."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what an error means and what to do about it; without a code, list all."""
    if code is None:
        _list(as_json=as_json)
        return
    found = find(code)
    if as_json:
        print_json(asdict(found))
        return
    body = Text(f"{found.meaning}\n\n")
    body.append("What to do: ", style="bold")
    body.append(found.remedy)
    title = f"{found.code} {found.name}".strip()
    results().print(
        Panel(body, title=title, title_align="left", width=min(results().width, 96))
    )


def _list(*, as_json: bool) -> None:
    known = explanations()
    if as_json:
        print_json({"errors": [asdict(one) for one in known]})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("code", no_wrap=True)
    table.add_column("error", no_wrap=True)
    table.add_column("meaning")
    for one in known:
        table.add_row(one.code, one.name, Text(one.meaning.split("\n\n")[0]))
    results().print(table)
