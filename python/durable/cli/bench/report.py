"""A bench's result as it is shown: a table for people, one JSON object for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from durable.cli.output import clip, count, length


if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from .figures import Figures, Group, Waits

_KEY_WIDTH: Final = 40
_NO_KEY: Final = "(none)"
_NOTHING: Final = "·"
_COUNTS: Final = ("events", "started", "waiting", "dropped", "most\nat once")
_WAITS: Final = ("p50", "p90", "p99", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for, as far as the result repeats it.

    Attributes:
        traffic: the events, in words.
        span_us: from the first event to the last.
        flow: the policies, as they cross the border.
        duration: how long runs take, as given.
        by: the key by which events are told apart.
        top: how many keys are shown.
    """

    traffic: str
    span_us: int
    flow: Mapping[str, object]
    duration: str
    capacity: int
    seed: int
    by: str | None
    top: int
    is_virtual: bool


def as_json(asked: Asked, figures: Figures, took_s: float) -> dict[str, Any]:
    """The result as `--json` prints it; lengths in ms unless their name says otherwise."""
    rates = _rates(figures, took_s)
    return {
        "clock": "virtual" if asked.is_virtual else "real",
        "traffic": asked.traffic,
        "flow": dict(asked.flow),
        "duration": asked.duration,
        "capacity": asked.capacity,
        "seed": asked.seed,
        "span_ms": asked.span_us / 1000,
        "lasted_ms": figures.lasted_us / 1000,
        "took_s": round(took_s, 6),
        "events_per_s": round(rates[0], 3),
        "times_real_time": round(rates[1], 3),
        **_group_json(figures.all),
        "runs": dict(figures.runs),
        "by": asked.by,
        "key_count": len(figures.keys),
        "fairness": None
        if figures.fairness is None
        else {
            "jain_index": round(figures.fairness, 6),
            "of": "pace by key",
        },
        "most_executing_of_a_key": max(
            (one.most_executing for one in figures.keys.values()), default=None
        ),
        "keys": [
            {"key": key, **_group_json(one)}
            for key, one in islice(figures.keys.items(), asked.top)
        ],
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "events": group.events,
        "started": group.started,
        "waiting": group.waiting,
        "dropped": dict(sorted(group.dropped.items())),
        "wait": None if group.waits is None else asdict(group.waits),
        "pace": None if group.pace is None else round(group.pace, 6),
        "most_executing": group.most_executing,
        "most_waiting": group.most_waiting,
    }


def _rates(figures: Figures, took_s: float) -> tuple[float, float]:
    """Events a second of the wall, and how many times as fast as the clock of the events."""
    took = max(took_s, 1e-9)
    return figures.all.events / took, figures.lasted_us / 1e6 / took


def as_table(asked: Asked, figures: Figures, took_s: float) -> RenderableType:
    """The result for people."""
    lines: list[RenderableType] = [_summary(asked, figures, took_s), Text()]
    lines.append(_groups(asked, figures))
    rest = len(figures.keys) - asked.top
    if rest > 0:
        lines.append(
            Text(f"and {count(rest, 'key')} more; --top N shows more", style="dim")
        )
    return Lines(*lines)


def _summary(asked: Asked, figures: Figures, took_s: float) -> Table:
    group = figures.all
    rate, times = _rates(figures, took_s)
    dropped = group.dropped.total()
    by_reason = ", ".join(f"{n:,} {why}" for why, n in sorted(group.dropped.items()))
    rows = [
        ("events", f"{asked.traffic}, over {length(asked.span_us / 1000)}"),
        ("started", _of(group.started, group.events)),
        ("waiting", _of(group.waiting, group.events)),
        (
            "dropped",
            _of(dropped, group.events) + (f": {by_reason}" if by_reason else ""),
        ),
        ("runs", _run_words(figures.runs)),
        (
            "at one instant",
            f"at most {group.most_executing:,} executing, {group.most_waiting:,} waiting",
        ),
    ]
    if figures.fairness is not None:
        keys = f"{len(figures.keys):,} keys"
        words = f"{figures.fairness:.3f} over {keys} (Jain's index of how little each was held up; 1: all alike)"
        rows.append(("fairness", words))
    clock = "simulated" if asked.is_virtual else "real"
    lasted = length(figures.lasted_us / 1000)
    speed = f", {times:,.0f} times real time" if asked.is_virtual else ""
    took = f"{lasted} of {clock} time in {length(took_s * 1000)}: {rate:,.0f} events/s{speed}"
    rows.append(("time", took))
    table = Table.grid(padding=(0, 2))
    for name, words in rows:
        table.add_row(Text(name, style="dim"), Text(words))
    return table


def _of(number: int, total: int) -> str:
    share = f" ({number / total:.1%})" if total and number else ""
    return f"{number:,}{share}"


def _run_words(runs: Mapping[str, int]) -> str:
    others = [f"{n:,} {word}" for word, n in runs.items() if n and word != "started"]
    return f"{runs['started']:,}" + (f": {', '.join(others)}" if others else "")


def _groups(asked: Asked, figures: Figures) -> Table:
    """A row for all events, and one for each of the busiest keys; what is nowhere has no column."""
    rows = [("all", figures.all)]
    for key, group in islice(figures.keys.items(), asked.top):
        rows.append((_NO_KEY if key is None else clip(key, _KEY_WIDTH), group))
    cells = [[name, *_cells(group)] for name, group in rows]
    titles = (asked.by or "", *_COUNTS, *(f"wait\n{word}" for word in _WAITS))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    wanted: list[int] = []
    for place, title in enumerate(titles):
        if title in _COUNTS and all(row[place] == _NOTHING for row in cells):
            continue
        wanted.append(place)
        table.add_column(title, justify="right" if place else "left", no_wrap=True)
    for number, row in enumerate(cells):
        style = "bold" if not number and figures.keys else None
        table.add_row(*(Text(row[place]) for place in wanted), style=style)
    return table


def _cells(group: Group) -> list[str]:
    numbers = (
        group.events,
        group.started,
        group.waiting,
        group.dropped.total(),
        group.most_executing,
    )
    return [f"{n:,}" if n else _NOTHING for n in numbers] + _wait_cells(group.waits)


def _wait_cells(waits: Waits | None) -> list[str]:
    if waits is None:
        return [_NOTHING] * len(_WAITS)
    lengths = (waits.p50_ms, waits.p90_ms, waits.p99_ms, waits.max_ms)
    return [length(ms) if ms else "0" for ms in lengths]
