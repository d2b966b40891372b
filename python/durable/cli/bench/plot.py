"""A bench's result as a picture: what executed and waited over time, how long waits were, which keys waited."""

from __future__ import annotations

import importlib
import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from durable.cli.failure import CommandError, ExitCode
from durable.cli.output import clip

from .figures import STARTED, Figures, executions, queuings


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .trial import Outcome

_POINTS: Final = 800
_KEYS: Final = 12
_KEY_WIDTH: Final = 18
_SIZE: Final = (11.0, 8.0)
_UNITS: Final = (
    ("days", 86_400),
    ("hours", 3600),
    ("minutes", 60),
    ("seconds", 1),
    ("ms", 0.001),
)
_FEW: Final = 3


def load_matplotlib() -> Any:
    """Matplotlib's figures, without a screen.

    Raises:
        CommandError: it is not installed.
    """
    try:
        return importlib.import_module("matplotlib.figure")
    except ImportError as error:
        text = f"--plot needs matplotlib, which is not installed here: {error}"
        hint = "Install it: python -m pip install matplotlib. Or leave --plot out: --json has the figures."
        raise CommandError(text, hint) from None


def draw(path: Path, outcome: Outcome, figures: Figures, *, title: str) -> None:
    """Draw it into a file; the ending of its name says of which kind.

    Raises:
        CommandError: matplotlib is not there, or the file cannot be written.
    """
    figure = load_matplotlib().Figure(figsize=_SIZE, layout="constrained")
    figure.suptitle(title, fontsize="medium")
    panels = [["executing", "executing"], ["waiting", "waiting"], ["waits", "keys"]]
    axes = figure.subplot_mosaic(panels)
    fates = figures.fates
    executing = executions(outcome, range(len(outcome.run_events)))
    _draw_time(axes["executing"], outcome, list(executing), what="executing runs")
    waiting = queuings(outcome, fates, range(len(fates)))
    _draw_time(axes["waiting"], outcome, list(waiting), what="waiting events")
    axes["executing"].sharex(axes["waiting"])
    _draw_waits(axes["waits"], outcome, fates)
    _draw_keys(axes["keys"], figures)
    try:
        figure.savefig(path, dpi=120)
    except (
        OSError,
        ValueError,
    ) as error:  # a folder that is missing, a kind that is not known
        text = f"{path} cannot be written: {error}"
        raise CommandError(
            text,
            "Give a file in a folder that is there, as in result.png.",
            exit_code=ExitCode.BAD_INPUT,
        ) from None


def _draw_time(
    axes: Any, outcome: Outcome, spans: Sequence[tuple[int, int]], *, what: str
) -> None:
    """How much of something there was at each moment."""
    first = min(outcome.arrivals_us, default=outcome.ended_at_us)
    span = outcome.ended_at_us - first
    unit, unit_s = _unit(span / 1e6)
    moments = [first + span * n // _POINTS for n in range(_POINTS + 1)]
    at = [(moment - first) / 1e6 / unit_s for moment in moments]
    axes.step(at, highest(spans, moments), where="post")
    axes.set_xlabel(f"{unit} since the first event")
    axes.set_ylabel(what)


def highest(spans: Sequence[tuple[int, int]], moments: Sequence[int]) -> list[int]:
    """How many spans lie over one instant at most, from each moment to the next."""
    steps = sorted(step for start, end in spans for step in ((start, 1), (end, -1)))
    most: list[int] = []
    level = place = 0
    for at in moments[1:]:
        top = level
        while place < len(steps) and steps[place][0] < at:
            level += steps[place][1]
            top = max(top, level)
            place += 1
        most.append(top)
    return [*most, level]


def _draw_waits(axes: Any, outcome: Outcome, fates: Sequence[str]) -> None:
    waits = sorted(
        outcome.run_starts_us[outcome.event_runs[event]] - outcome.arrivals_us[event]
        for event, fate in enumerate(fates)
        if fate == STARTED
    )
    unit, unit_s = _unit((waits[-1] if waits else 0) / 1e6)
    axes.set_xlabel(f"wait, {unit}")
    axes.set_ylabel("% of started events")
    if waits:
        places = [
            min(math.ceil(len(waits) * n / _POINTS), len(waits)) - 1
            for n in range(1, _POINTS + 1)
        ]
        axes.plot(
            [waits[place] / 1e6 / unit_s for place in places],
            [100 * (place + 1) / len(waits) for place in places],
        )


def _draw_keys(axes: Any, figures: Figures) -> None:
    shown = [
        (key, group.waits)
        for key, group in islice(figures.keys.items(), _KEYS)
        if group.waits is not None
    ]
    most = max((waits.p99_ms for _, waits in shown), default=0.0)
    unit, unit_s = _unit(most / 1000)
    places = range(len(shown))
    for width, percent in ((0.8, "p99"), (0.4, "p50")):
        values = [getattr(waits, f"{percent}_ms") / 1000 / unit_s for _, waits in shown]
        axes.barh(places, values, height=width, label=percent)
    names = ["(none)" if key is None else clip(key, _KEY_WIDTH) for key, _ in shown]
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel(f"wait of the busiest keys, {unit}")
    if shown:
        axes.legend()


def _unit(seconds: float) -> tuple[str, float]:
    """The unit in which this is a few."""
    for name, unit_s in _UNITS:
        if seconds >= _FEW * unit_s:
            return name, unit_s
    return _UNITS[-1]
