"""Make the tables of bench/README.md and the plot bench/results/bench.png from the stored results.

`python bench/report.py`; the text between the two markers in the README is replaced.
"""

import json
import statistics
from pathlib import Path
from typing import Any


HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PEERS = ("durable", "restate", "dbos", "celery")
TITLES = {
    "durable": "durable",
    "restate": "Restate 1.7 (log on disk)",
    "dbos": "DBOS 3.4 (SQLite)",
    "celery": "Celery 5.7 (Redis, not durable)",
}

Row = dict[str, object]


def load(name: str) -> dict[str, Any]:
    """A stored result, or nothing."""
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else {"rows": []}


def figure(row: Row, path: str) -> float | None:
    """The figure at `a.b` of a row, where it is."""
    value: object = row
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return float(value) if isinstance(value, int | float) else None


def median(rows: list[Row], path: str) -> float | None:
    """The median of a figure over the rounds."""
    values = [v for row in rows if (v := figure(row, path)) is not None]
    return statistics.median(values) if values else None


def pick(rows: list[Row], **wanted: object) -> list[Row]:
    """The rows that have these values."""
    return [r for r in rows if all(r.get(k) == v for k, v in wanted.items())]


def text(value: float | None, unit: str = "") -> str:
    """A figure with three digits that count."""
    if value is None:
        return "-"
    shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown} {unit}".strip()


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _w5_bound(rows: list[Row]) -> float | None:
    sync = median(rows, "fdatasync_ms.p50")
    return None if sync is None else 2 * sync + 1


#: load, what, where it is, unit, what was asked for, whether more is better
ASKED: list[tuple[str, str, str, str, float | None, bool]] = [
    ("W1", "runs of one step", "figures.runs_per_s", "runs/s", 10_000, True),
    ("W1L", "runs of one step", "figures.runs_per_s", "runs/s", None, True),
    ("W2", "steps, five in a row", "figures.steps_per_s", "steps/s", 25_000, True),
    ("W3", "events, in batches", "figures.batched_per_s", "events/s", 100_000, True),
    ("W3", "events, one by one", "figures.single_per_s", "events/s", 10_000, True),
    ("W4", "late, p99", "figures.late_ms.p99", "ms", 20, False),
    ("W4", "late, p50", "figures.late_ms.p50", "ms", None, False),
    ("W5", "send to handler, p50", "figures.latency_ms.p50", "ms", None, False),
    ("W5", "send to handler, p99", "figures.latency_ms.p99", "ms", None, False),
    ("W6", "open", "figures.open_s", "s", 5, False),
    ("W6", "memory", "figures.memory_mb", "MB", 400, False),
    ("W8", "runs that wait for an event", "figures.runs_per_s", "runs/s", None, True),
    ("W9", "runs that invoke another", "figures.runs_per_s", "runs/s", None, True),
]
#: load, what share of W1's rate was asked for: of the W1 of as many runs, or the next greater
BESIDE_W1: list[tuple[str, float]] = [("W1L", 0.8), ("W8", 0.5), ("W9", 0.5)]


def whole_table(rows: list[Row]) -> list[str]:
    """W1 to W9, each with what was asked for and the disk beside it."""
    lines = [
        "| load | count | what | median | asked for | reached | `fdatasync` p50 / p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for load_name, what, path, unit, asked, more in ASKED:
        for count in sorted({int(str(r["count"])) for r in pick(rows, load=load_name)}):
            some = pick(rows, load=load_name, count=count)
            value = median(some, path)
            bound = asked
            if load_name == "W5" and path.endswith("p50"):
                bound = _w5_bound(some)
            lines.append(
                f"| {load_name} | {count:,} | {what} | {text(value, unit)} | "
                f"{text(bound, unit)} | {_verdict(value, bound, more=more)} | {_disk(some)} |"
            )
    return lines + _beside_w1(rows) + _w7(rows)


def _verdict(value: float | None, bound: float | None, *, more: bool) -> str:
    if value is None or bound is None:
        return ""
    return "yes" if (value >= bound if more else value <= bound) else "**no**"


def _disk(rows: list[Row]) -> str:
    return (
        f"{text(median(rows, 'fdatasync_ms.p50'))} / "
        f"{text(median(rows, 'fdatasync_ms.p99'), 'ms')}"
    )


def _beside_w1(rows: list[Row]) -> list[str]:
    lines = []
    w1_counts = {int(str(r["count"])) for r in pick(rows, load="W1")}
    for load_name, asked in BESIDE_W1:
        for count in sorted({int(str(r["count"])) for r in pick(rows, load=load_name)}):
            some = pick(rows, load=load_name, count=count)
            beside = min((n for n in w1_counts if n >= count), default=None)
            w1 = pick(rows, load="W1", count=beside)
            times = _ratio(
                median(some, "figures.runs_per_s"), median(w1, "figures.runs_per_s")
            )
            lines.append(
                f"| {load_name} | {count:,} | rate of {load_name} in that of W1 | "
                f"{text(times, 'times')} | {asked} times | "
                f"{_verdict(times, asked, more=True)} | {_disk(some)} |"
            )
    return lines


def _w7(rows: list[Row]) -> list[str]:
    lines = []
    base = median(pick(rows, load="W7", count=1_000), "figures.us_per_run")
    for count in sorted({int(str(r["count"])) for r in pick(rows, load="W7")}):
        some = pick(rows, load="W7", count=count)
        value = median(some, "figures.us_per_run")
        times = _ratio(value, base)
        lines.append(
            f"| W7 | {count:,} | cost of a run behind a backlog | {text(value, 'µs')}, "
            f"{text(times)} times that at 1,000 | 1.5 times | "
            f"{_verdict(times, 1.5, more=False)} | {_disk(some)} |"
        )
    return lines


def waits_section(result: dict[str, Any]) -> list[str]:
    """W8 and W9 with the W1 of the same rounds, where they were taken by themselves."""
    rows = list(result["rows"])
    if not rows:
        return []
    return ["### Waiting and invoking", "", _taken(result), "", *whole_table(rows), ""]


def limits_table(result: dict[str, Any]) -> list[str]:
    """What the machine allows, medians of the rounds."""
    rows = [{"limits": one} for one in result.get("limits", [])]
    asked: list[tuple[str, str, str]] = [
        ("`fdatasync` of a record, p50", "limits.fdatasync_ms.p50", "ms"),
        ("`fdatasync` of a record, p99", "limits.fdatasync_ms.p99", "ms"),
        ("asyncio tasks", "limits.asyncio_tasks_per_s", "tasks/s"),
        (
            "`asyncio.sleep` alone, 10,000 in a second, late p99",
            "limits.asyncio_sleep_late_ms.p99",
            "ms",
        ),
        (
            "items over the bridge, one event each",
            "limits.bridge_items_per_s",
            "items/s",
        ),
    ]
    lines = ["| limit of this machine | median |", "|---|---|"]
    return lines + [
        f"| {what} | {text(median(rows, path), unit)} |" for what, path, unit in asked
    ]


PEER_ROWS: list[tuple[str, str, str, str, bool]] = [
    ("W1", "W1, runs of one step", "figures.runs_per_s", "/s", True),
    ("W2", "W2, steps, five in a row", "figures.steps_per_s", "/s", True),
    ("W4", "W4, late, p50", "figures.late_ms.p50", "ms", False),
    ("W4", "W4, late, p99", "figures.late_ms.p99", "ms", False),
    ("W5", "W5, latency, p50", "figures.latency_ms.p50", "ms", False),
    ("W5", "W5, latency, p99", "figures.latency_ms.p99", "ms", False),
]


def peers_table(rows: list[Row]) -> list[str]:
    """All systems side by side; behind each peer's figure, how many times better we are (below 1: we lose)."""
    systems = [s for s in PEERS if pick(rows, system=s)]
    lines = [
        "| load | " + " | ".join(TITLES[s] for s in systems) + " |",
        "|---|" + "---|" * len(systems),
    ]
    for load_name, what, path, unit, more in PEER_ROWS:
        values = {
            s: median(pick(rows, system=s, load=load_name), path) for s in systems
        }
        cells = []
        for system in systems:
            ours, theirs = values.get("durable"), values[system]
            times = _ratio(ours, theirs) if more else _ratio(theirs, ours)
            cell = text(theirs, unit)
            cells.append(cell if system == "durable" else f"{cell} ({_times(times)})")
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return lines


def _times(value: float | None) -> str:
    if value is None:
        return "-"
    shown = f"{text(value)}x"
    return f"**{shown}, we lose**" if value < 1 else shown


def plot(whole: list[Row], peers: list[Row]) -> None:
    """Four panels: rates against the peers, lateness and latency, the cost behind a backlog."""
    import matplotlib as mpl  # noqa: PLC0415 - a slow import that the tables do without

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - as above

    figure_, axes = plt.subplots(2, 2, figsize=(11, 7))
    panels: list[tuple[str, str, str]] = [
        ("W1", "figures.runs_per_s", "W1: runs of one step, per second"),
        ("W2", "figures.steps_per_s", "W2: steps, five in a row, per second"),
        ("W5", "figures.latency_ms.p50", "W5: send to first line, p50, ms"),
    ]
    for axis, (load_name, path, title) in zip(axes.flat, panels, strict=False):
        systems = [
            s for s in PEERS if median(pick(peers, system=s, load=load_name), path)
        ]
        values = [
            median(pick(peers, system=s, load=load_name), path) or 0 for s in systems
        ]
        bars = axis.barh(
            systems, values, color=["#c0392b", *["#7f8c8d"] * 3][: len(systems)]
        )
        axis.bar_label(bars, [text(v) for v in values], padding=3)
        if systems:
            axis.set_xscale("log")
        axis.margins(x=0.2)
        axis.invert_yaxis()
        axis.set_title(title)
    axis = axes.flat[3]
    counts = sorted({int(str(r["count"])) for r in pick(whole, load="W7")})
    costs = [
        median(pick(whole, load="W7", count=n), "figures.us_per_run") or 0
        for n in counts
    ]
    axis.plot(counts, costs, "o-", color="#c0392b")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_title("W7: µs for a run, behind a backlog of so many")
    figure_.tight_layout()
    figure_.savefig(RESULTS / "bench.png", dpi=110)


def _taken(result: dict[str, Any]) -> str:
    at = dict(result["machine"]).get
    return (
        f"Taken {at('taken_at')} at commit {at('commit')}: {at('cores')} cores, {at('cpu')}, "
        f"Linux {at('kernel')}, Python {at('python')}. Medians of the rounds. {at('note') or ''}"
    ).rstrip()


def main() -> None:
    """Read, write the section, draw."""
    whole, peers = load("whole.json"), load("peers.json")
    rows, peer_rows = list(whole["rows"]), list(peers["rows"])
    parts = [BEGIN, ""]
    if rows:
        parts += [_taken(whole), "", *whole_table(rows), "", *limits_table(whole), ""]
    parts += waits_section(load("waits.json"))
    if peer_rows:
        parts += [
            "### Beside others",
            "",
            _taken(peers),
            "",
            *peers_table(peer_rows),
            "",
        ]
    parts += ["![The same figures, drawn](results/bench.png)", "", END]
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + "\n".join(parts) + rest.partition(END)[2])
    plot(rows, peer_rows)
    print(f"written to {readme} and {RESULTS / 'bench.png'}")


if __name__ == "__main__":
    main()
