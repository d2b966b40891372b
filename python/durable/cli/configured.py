"""`durable config show`: what an engine is set to here, and what says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import typer
from rich.text import Text

from .failure import told_plainly
from .options import AsJson
from .output import print_json, results, rows_table


if TYPE_CHECKING:
    from collections.abc import Mapping

config = typer.Typer(no_args_is_help=True, help="The settings that engines use here.")

_TITLES: Final = ("setting", "value", "from")
_UNSAID: Final = {"seed": "another each time"}


@config.command()
def show(*, as_json: AsJson = False) -> None:
    """Each setting of an engine that is started in this folder, and where it comes from.

    The first of these that says it: the engine's arguments (which are not shown: they are in the program), the variable
    DURABLE_<NAME>, the nearest durable.toml or [tool.durable] of a pyproject.toml, the default.
    """
    from durable import Settings  # noqa: PLC0415  # slow to import
    from durable._engine_settings import in_force  # noqa: PLC0415  # as above

    with told_plainly():
        settings = Settings()
    names = list(Settings.model_fields)
    values = {name: _shown(in_force(name, getattr(settings, name))) for name in names}
    origins = {name: settings.origin(name) for name in names}
    if as_json:
        print_json(
            {name: {"value": values[name], "from": origins[name]} for name in names}
        )
        return
    results().print(_table(values, origins))


def _shown(value: object) -> object:
    """A setting's value as it may be written."""
    from durable import Backoff  # noqa: PLC0415  # slow to import

    if isinstance(value, Backoff):
        delays = [f"{ms}ms" for ms in value.delays_ms]
        return {"delays": delays, "jitter": f"{value.jitter_ms}ms"}
    return value


def _text(value: object) -> str:
    """A value for the eye."""
    if not isinstance(value, dict):
        return str(value)
    parts = cast("dict[str, Any]", value)
    delays = " ".join(_short(one) for one in parts["delays"])
    return f"{delays}, jitter {_short(parts['jitter'])}"


def _short(text: str) -> str:
    """A length in the largest unit of which it is a multiple: of `60000ms` it is `1m`."""
    ms = int(text.removesuffix("ms"))
    for unit, size_ms in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size_ms == 0:
            return f"{ms // size_ms}{unit}"
    return text


def _table(values: Mapping[str, object], origins: Mapping[str, str]) -> object:
    rows = [
        (
            Text(name),
            Text(_UNSAID.get(name, "none") if value is None else _text(value)),
            Text(origins[name], style="dim" if origins[name] == "default" else ""),
        )
        for name, value in values.items()
    ]
    return rows_table(_TITLES, rows, results().width)
