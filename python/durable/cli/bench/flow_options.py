"""The options of `durable bench flow`, by what they are about."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .chance import LENGTH_FORM, RATE_FORM
from .policies import FORMS


_EVENTS: Final = "Events"
_FLOW: Final = "Flow control (KEY and EXPR are CEL, as in event.data.repo)"
_RUN: Final = "How it runs"
_RESULT: Final = "Result"


def _option(
    panel: str, words: str, metavar: str | None = None, *names: str, **more: Any
) -> Any:
    return typer.Option(
        *names, metavar=metavar, help=words, rich_help_panel=panel, **more
    )


def _policy(name: str, words: str) -> Any:
    return _option(_FLOW, words, FORMS[name])


EventsFile = Annotated[
    Path | None,
    _option(
        _EVENTS,
        "Recorded events, one JSON object a line with its ts: events.jsonl, or events.jsonl.gz.",
        "FILE",
    ),
]
On = Annotated[
    list[str] | None,
    _option(
        _EVENTS,
        "Of a file only events of this name, or as in 'shop/*'; may be given again. By default all.",
        "NAME",
    ),
]
Count = Annotated[
    int | None,
    _option(
        _EVENTS,
        "So many events at most; 10,000 where they are synthetic.",
        "N",
        "--count",
        min=1,
        max=10_000_000,
    ),
]
Rate = Annotated[
    str | None,
    _option(
        _EVENTS,
        f"Events come by chance, so many a second, or in a period (200/1h): {RATE_FORM}. "
        "By default as recorded, or 10.",
        "RATE",
    ),
]
Speed = Annotated[
    float,
    _option(_EVENTS, "Recorded moments pass so many times as fast.", "N"),
]
Keys = Annotated[
    int,
    _option(
        _EVENTS,
        "So many keys in synthetic events: event.data.key.",
        "N",
        min=1,
        max=1_000_000,
    ),
]
Skew = Annotated[
    float,
    _option(
        _EVENTS,
        "How unevenly they come: the n-th key with a weight of 1/n^SKEW. 0: all alike.",
        "SKEW",
        min=0,
        max=10,
    ),
]
Seed = Annotated[
    int,
    _option(_EVENTS, "For all that is drawn by chance.", "N", min=0, max=2**32 - 1),
]

Concurrency = Annotated[
    list[str] | None,
    _policy(
        "concurrency",
        "So many execute at one instant: 10, or '1 by event.data.author'. At most two.",
    ),
]
RunConcurrency = Annotated[
    str | None,
    _policy("run_concurrency", "So many runs have begun and not ended."),
]
Throttle = Annotated[
    str | None,
    _policy("throttle", "So many start in a period; later ones wait: '10/1m by KEY'."),
]
RateLimit = Annotated[
    str | None,
    _policy("rate_limit", "So many are taken in a period; others are dropped."),
]
Debounce = Annotated[
    str | None,
    _policy("debounce", "One run for a burst, once PERIOD has passed without another."),
]
Batch = Annotated[
    str | None,
    _policy("batch", "One run for many events: when there are SIZE, or after TIMEOUT."),
]
BatchIf = Annotated[
    str | None,
    _option(
        _FLOW, "An event for which it is not true does not wait for a batch.", "EXPR"
    ),
]
Priority = Annotated[
    str | None, _policy("priority", "Seconds of head start before other runs.")
]
Singleton = Annotated[
    str | None,
    _policy("singleton", "One run at a time: skip a new event, or cancel the old run."),
]
Idempotency = Annotated[
    str | None,
    _policy("idempotency", "Of each value the first event in 24 hours is taken."),
]
Timeouts = Annotated[
    str | None,
    _policy("timeouts", "A run is cancelled that begins, or ends, later than this."),
]

IsVirtual = Annotated[
    bool,
    _option(
        _RUN,
        "The scheduler alone under a simulated clock, thousands of times as fast as the wall's.",
        None,
        "--virtual",
    ),
]
Duration = Annotated[
    str,
    _option(_RUN, f"How long a run executes: {LENGTH_FORM}.", "LENGTH"),
]
Capacity = Annotated[
    int,
    _option(
        _RUN, "So many runs execute at one instant at most.", "N", min=1, max=100_000
    ),
]
StopsAtEnd = Annotated[
    bool,
    _option(
        _RUN,
        "End with the last event and count what waits; by default all is waited for.",
        None,
        "--stop-at-end",
    ),
]
NewStore = Annotated[
    str | None,
    _option(
        _RUN,
        "In real time: keep the store here; it must be new. By default it goes afterwards.",
        "PATH",
        "--store",
    ),
]

By = Annotated[
    str | None,
    _option(
        _RESULT,
        "The key by which waits are told apart; by default the first policy's that has one.",
        "KEY",
    ),
]
Top = Annotated[
    int, _option(_RESULT, "So many of the busiest keys.", "N", min=0, max=100_000)
]
Plot = Annotated[
    Path | None,
    _option(_RESULT, "Draw the result into this file (needs matplotlib).", "FILE.png"),
]
