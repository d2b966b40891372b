"""`durable bench flow`: what flow control would do with events, recorded or made up, before it goes live."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durable._bridge import expression_keys
from durable._errors import EventRefused, PayloadTooLarge
from durable._expression import check as check_expression
from durable.cli.failure import CommandError, ExitCode, told_plainly
from durable.cli.options import AsJson, folder_of
from durable.cli.output import length, messages, print_json, results

from . import flow_options as options
from .chance import read_lengths
from .figures import Figures, figures_of
from .plot import draw, load_matplotlib
from .policies import OptionPlace, PolicyTexts, first_key, read_policies
from .report import Asked, as_json as result_json, as_table
from .traffic import SYNTHETIC_KEY, Traffic, Wanted, traffic_of
from .trial import Outcome, Trial


if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from durable._flow_check import FlowFields


def flow(  # every policy is an option  # noqa: PLR0913
    *,
    events: options.EventsFile = None,
    on: options.On = None,
    most: options.Count = None,
    rate: options.Rate = None,
    speed: options.Speed = 1.0,
    keys: options.Keys = 100,
    skew: options.Skew = 1.0,
    seed: options.Seed = 0,
    concurrency: options.Concurrency = None,
    run_concurrency: options.RunConcurrency = None,
    throttle: options.Throttle = None,
    rate_limit: options.RateLimit = None,
    debounce: options.Debounce = None,
    batch: options.Batch = None,
    batch_if: options.BatchIf = None,
    priority: options.Priority = None,
    singleton: options.Singleton = None,
    idempotency: options.Idempotency = None,
    timeouts: options.Timeouts = None,
    is_virtual: options.IsVirtual = False,
    duration: options.Duration = "1s",
    capacity: options.Capacity = 1000,
    stops_at_end: options.StopsAtEnd = False,
    store: options.NewStore = None,
    by: options.By = None,
    top: options.Top = 10,
    plot: options.Plot = None,
    as_json: AsJson = False,
) -> None:
    """Let events meet flow control, and see what starts, what waits and what is dropped.

    Recorded traffic with a limit for each author, ten years of it in a second:

      durable bench flow --virtual --events commits.jsonl.gz --duration "exp 5m" --concurrency "1 by event.data.author"
    """
    texts = PolicyTexts(
        concurrency or (),
        run_concurrency,
        throttle,
        rate_limit,
        debounce,
        batch,
        batch_if,
        priority,
        singleton,
        idempotency,
        timeouts,
    )
    wanted = Wanted(events, on or (), most, rate, speed, keys, skew, seed)
    manner = _Manner(is_virtual, duration, capacity, stops_at_end, store)
    _bench(texts, wanted, manner=manner, shown=_Shown(by, top, plot, as_json))


@dataclass(frozen=True, slots=True)
class _Manner:
    """How it runs."""

    is_virtual: bool
    duration: str
    capacity: int
    stops_at_end: bool
    store: str | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown of it."""

    by: str | None
    top: int
    plot: Path | None
    as_json: bool


def _bench(
    texts: PolicyTexts, wanted: Wanted, *, manner: _Manner, shown: _Shown
) -> None:
    with told_plainly():
        policies, fields = read_policies(texts)
        key = _key(shown.by, fields, is_synthetic=wanted.file is None)
    lengths = read_lengths(manner.duration)
    _check(manner)
    if shown.plot is not None:
        load_matplotlib()  # before an hour of real time, not after it
    traffic = traffic_of(wanted)
    trial = Trial(
        policies,
        traffic,
        lengths.many_us(len(traffic.events), wanted.seed),
        manner.capacity,
        wanted.seed,
        manner.stops_at_end,
    )
    with told_plainly(), _told():
        outcome = _play(trial, manner)
        figures = _figures(outcome, traffic, key, fields=fields)
    asked = Asked(
        traffic=traffic.title,
        span_us=traffic.span_us,
        flow=fields,
        duration=lengths.words,
        capacity=manner.capacity,
        seed=wanted.seed,
        by=key,
        top=shown.top,
        is_virtual=manner.is_virtual,
    )
    _show(asked, outcome, figures, shown=shown)


def _key(by: str | None, fields: FlowFields, *, is_synthetic: bool) -> str | None:
    """By what the events are told apart."""
    if by is not None:
        return check_expression(OptionPlace("durable bench flow", "--by"), by)
    return first_key(fields) or (SYNTHETIC_KEY if is_synthetic else None)


def _check(manner: _Manner) -> None:
    if manner.store is None:
        return
    if manner.is_virtual:
        text = "--store is given with --virtual, which has no store"
        raise CommandError(text, "Leave one of them out.")
    folder = folder_of(manner.store)
    if folder is not None and folder.exists():
        text = f"{folder} is there already"
        raise CommandError(
            text, "Give the path of a new store: nothing else shall be in the result."
        )


def _play(trial: Trial, manner: _Manner) -> Outcome:
    from . import real, virtual  # noqa: PLC0415  # slow to import

    number, span_ms = len(trial.traffic.events), trial.traffic.span_us / 1000
    if manner.is_virtual:
        with messages().status(f"{number:,} events under a simulated clock"):
            return virtual.play(trial)
    with messages().status(f"{number:,} events over {length(span_ms)} of real time"):
        return real.play(trial, manner.store)


def _figures(
    outcome: Outcome, traffic: Traffic, key: str | None, *, fields: FlowFields
) -> Figures:
    keys = None
    if key is not None:
        came = traffic.events[: len(outcome.arrivals_us)]
        keys = expression_keys(key, came)
        if came and not any(one is not None for one in keys):
            text = f"none of the events has a value for {key}: all count as one key"
            messages().print(text, style="yellow", markup=False)
    return figures_of(outcome, keys, has_debounce="debounce" in fields)


def _show(asked: Asked, outcome: Outcome, figures: Figures, *, shown: _Shown) -> None:
    if shown.as_json:
        print_json(result_json(asked, figures, outcome.took_s))
    else:
        results().print(as_table(asked, figures, outcome.took_s))
    if shown.plot is not None:
        draw(shown.plot, outcome, figures, title=asked.traffic)
        messages().print(f"drawn: {shown.plot}", style="dim", markup=False)


@contextmanager
def _told() -> Generator[None, None, None]:
    try:
        yield
    except (EventRefused, PayloadTooLarge) as error:
        hint = "Correct it, or leave it out with --on."
        raise CommandError(str(error), hint, error_code=error.code) from None
    except KeyboardInterrupt:
        text = "Stopped: there is no result."
        hint = "--count N takes fewer events, --speed N lets them come faster, --virtual needs no waiting."
        raise CommandError(text, hint, exit_code=ExitCode.STOPPED) from None
