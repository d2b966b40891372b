"""Flow control on the command line: one short text for each policy, checked as the decorator checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from typing_extensions import override

from durable._flow import (
    Batch,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Scope,
    Singleton,
    Throttle,
    Timeouts,
)
from durable._flow_check import Flow, FlowFields, read_flow
from durable._setting import Place
from durable.cli.failure import CommandError

from .text_form import TextForm


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

FORMS: Final = {
    "concurrency": "LIMIT [in SCOPE] [by KEY]",
    "run_concurrency": "LIMIT [in SCOPE] [by KEY]",
    "throttle": "LIMIT/PERIOD [burst N] [by KEY]",
    "rate_limit": "LIMIT/PERIOD [burst N] [by KEY]",
    "debounce": "PERIOD [timeout LENGTH] [by KEY]",
    "batch": "SIZE/TIMEOUT [by KEY]",
    "singleton": "MODE [by KEY]",
    "timeouts": "[start LENGTH] [finish LENGTH]",
    "idempotency": "KEY",
    "priority": "EXPR",
}
"""What each option takes."""

_KEYED: Final = (
    "concurrency",
    "throttle",
    "run_concurrency",
    "rate_limit",
    "debounce",
    "batch",
    "singleton",
)

_EXAMPLES: Final = {
    "concurrency": "1 by event.data.author",
    "run_concurrency": "5 by event.data.author",
    "throttle": "10/1m by event.data.repo",
    "rate_limit": "100/1h burst 10 by event.data.repo",
    "debounce": "30s timeout 5m by event.data.repo",
    "batch": "100/5s by event.data.repo",
    "singleton": "skip by event.data.repo",
    "timeouts": "start 10m finish 2h",
}


@dataclass(frozen=True, slots=True)
class PolicyTexts:
    """The policies as they were given, by option; `None` where they were not."""

    concurrency: Sequence[str] = ()
    run_concurrency: str | None = None
    throttle: str | None = None
    rate_limit: str | None = None
    debounce: str | None = None
    batch: str | None = None
    batch_if: str | None = None
    priority: str | None = None
    singleton: str | None = None
    idempotency: str | None = None
    timeouts: str | None = None


class OptionPlace(Place):
    """A setting that stands in an option: `--rate-limit`, where a decorator has `rate_limit`."""

    __slots__ = ()

    @override
    def at(self, argument: str) -> Place:
        return Place(self.owner, option_of(argument))


def option_of(name: str) -> str:
    """The option of a policy."""
    return f"--{name.replace('_', '-')}"


def read_policies(texts: PolicyTexts) -> tuple[Flow, FlowFields]:
    """The policies as a decorator takes them, and as they cross the border.

    Raises:
        CommandError: a text has another form than its option's.
        ConfigError: a setting in it is wrong, or two exclude each other.
    """
    flow = Flow(
        concurrency=_concurrencies(texts.concurrency),
        run_concurrency=_given("run_concurrency", texts.run_concurrency, _concurrency),
        throttle=_given("throttle", texts.throttle, _throttle),
        rate_limit=_given("rate_limit", texts.rate_limit, _rate_limit),
        debounce=_given("debounce", texts.debounce, _debounce),
        batch=_batch(texts.batch, texts.batch_if),
        priority=None if texts.priority is None else Priority(texts.priority),
        singleton=_given("singleton", texts.singleton, _singleton),
        idempotency=texts.idempotency,
        timeouts=_given("timeouts", texts.timeouts, _timeouts),
    )
    return flow, read_flow(OptionPlace("durable bench flow", ""), flow)


def first_key(fields: FlowFields) -> str | None:
    """The key by which the policies tell events apart, of the first that has one."""
    for name in _KEYED:
        value: Any = fields.get(name) or []
        several: list[Any] = value if name == "concurrency" else [value]
        for one in several:
            if one and one["key"] is not None:
                return str(one["key"])
    idempotency = fields.get("idempotency")
    return None if idempotency is None else str(idempotency)


def _given(name: str, text: str | None, read: Callable[[TextForm], T]) -> T | None:
    return None if text is None else _read(name, text, read)


def _read(name: str, text: str, read: Callable[[TextForm], T]) -> T:
    form = FORMS[name]
    accepted = f'{form}, as in {option_of(name)} "{_EXAMPLES[name]}"'
    return read(TextForm(option_of(name), text, accepted))


def _concurrencies(texts: Sequence[str]) -> Concurrency | list[Concurrency] | None:
    limits = [_read("concurrency", one, _concurrency) for one in texts]
    if not limits:
        return None
    return limits[0] if len(limits) == 1 else limits


def _concurrency(text: TextForm) -> Concurrency:
    limit = text.number()
    scope = "fn"
    if text.find(r"in\b") is not None:
        scope = text.take(r"\w+", "fn, env or account")
    return Concurrency(limit, key=text.key(), scope=cast("Scope", scope))


def _throttle(text: TextForm) -> Throttle:
    limit, period, burst = _rate(text)
    return Throttle(limit, period, burst=burst or 0, key=text.key())


def _rate_limit(text: TextForm) -> RateLimit:
    limit, period, burst = _rate(text)
    return RateLimit(limit, period, burst=burst, key=text.key())


def _rate(text: TextForm) -> tuple[int, str, int | None]:
    limit = text.number()
    text.take("/", "'/' and a period, as in 10/1m")
    period = text.length()
    burst = text.number() if text.find(r"burst\b") is not None else None
    return limit, period, burst


def _debounce(text: TextForm) -> Debounce:
    period = text.length()
    timeout = text.length() if text.find(r"timeout\b") is not None else None
    return Debounce(period, timeout=timeout, key=text.key())


def _batch(text: str | None, if_: str | None) -> Batch | None:
    if text is None:
        if if_ is not None:
            alone = "--batch-if is given without --batch"
            raise CommandError(alone, 'Add --batch SIZE/TIMEOUT, as in "100/5s".')
        return None

    def read(text: TextForm) -> Batch:
        size = text.number()
        text.take("/", "'/' and a time-out, as in 100/5s")
        return Batch(size, text.length(), key=text.key(), if_=if_)

    return _read("batch", text, read)


def _singleton(text: TextForm) -> Singleton:
    mode = text.take(r"\w+", "skip or cancel")
    return Singleton(cast("Any", mode), key=text.key())


def _timeouts(text: TextForm) -> Timeouts:
    start: str | None = None
    finish: str | None = None
    if text.find(r"start\b") is not None:
        start = text.length()
    if text.find(r"finish\b") is not None:
        finish = text.length()
    text.end()
    return Timeouts(start=start, finish=finish)
