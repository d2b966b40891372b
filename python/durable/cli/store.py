"""`durable store check|backup|restore`: a store that nobody has open, verified and copied."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.table import Table

from .failure import CommandError, ExitCode, told_plainly
from .options import DEFAULT_STORE, AsJson, Store, existing, folder_of
from .output import messages, print_json, results


store = typer.Typer(
    no_args_is_help=True, help="Verify a store, copy it, make a new one of a copy."
)


@store.command()
def check(*, store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Verify every byte of a store: its log, its image, its snapshots.

    Nothing may have it open. Ends with 4 where something is damaged.
    """
    from durable._bridge import public_errors, store_check  # noqa: PLC0415  # slow to import

    with told_plainly(), public_errors(), _working("checking", as_json=as_json):
        found = json.loads(store_check(existing(store)))
    _show(found, as_json=as_json)
    if found.get("faults"):
        text = f"the store at {store} is damaged"
        hint = (
            "Make a new one of a backup: durable store restore BACKUP --store NEW_PATH."
        )
        raise CommandError(text, hint, exit_code=ExitCode.STORE_BROKEN)


@store.command()
def backup(
    to: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write; must not exist.")
    ],
    *,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Write a verified copy of a store to one file. Nothing may have the store open."""
    from durable._bridge import public_errors, store_backup  # noqa: PLC0415  # slow to import

    source = existing(store)
    if to.exists():
        text = f"{to} exists already"
        raise CommandError(text, "Give another name; a backup replaces nothing.")
    if not to.resolve().parent.is_dir():
        text = f"there is no folder {to.resolve().parent}"
        raise CommandError(text, "Make it, or give another path.")
    with told_plainly(), public_errors(), _working("copying", as_json=as_json):
        written = json.loads(store_backup(source, str(to.resolve())))
    _show(written, as_json=as_json)


@store.command()
def restore(
    backup_file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of `store backup`.")
    ],
    *,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Make a new store of a backup. The store must not exist yet."""
    from durable._bridge import public_errors, store_restore  # noqa: PLC0415  # slow to import

    if not backup_file.is_file():
        text = f"there is no file {backup_file}"
        raise CommandError(text, "Give the file that `durable store backup` wrote.")
    folder = folder_of(store)
    if folder is not None and folder.exists() and any(folder.iterdir()):
        text = f"{folder} exists already and is not empty"
        raise CommandError(
            text, "Give the path of a new store with --store; nothing is replaced."
        )
    with told_plainly(), public_errors(), _working("restoring", as_json=as_json):
        made = json.loads(store_restore(str(backup_file.resolve()), store))
    _show(made, as_json=as_json)


def _working(what: str, *, as_json: bool) -> AbstractContextManager[object]:
    """A spinner on stderr while one long call goes on; none beside JSON."""
    return nullcontext() if as_json else messages().status(f"{what} …")


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in found.items():
        table.add_row(name.replace("_", " "), _shown(value))
    results().print(table)


def _shown(value: object) -> str:
    shown = str(value)
    match value:
        case bool():
            shown = "yes" if value else "no"
        case int():
            shown = f"{value:,}"
        case list():
            members = cast("list[object]", value)
            shown = "\n".join(str(one) for one in members) or "none"
        case dict():
            parts = cast("dict[str, object]", value)
            shown = ", ".join(f"{name} {_shown(one)}" for name, one in parts.items())
        case None:
            shown = "none"
        case _:
            pass
    return shown
