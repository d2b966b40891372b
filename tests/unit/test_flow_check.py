"""Flow control is checked when the decorator runs: each setting, then what excludes what."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from pydantic import BaseModel

import durable
from durable._duration import ACCEPTED


MOST = 2**31 - 1
KEY = "event.data.k"
WHOLE = f"a whole number from 1 to {MOST}"
CEL = (
    'a CEL expression, as in "event.data.amount > 100" or "event.data.customer_id"; of two fields '
    'together "[event.data.a, event.data.b]"'
)
LIMIT = 'a whole number, or Concurrency(limit) as in Concurrency(10, key="event.data.customer_id")'
LIMITS = f"{LIMIT}, or a list of at most two of these"


def flow(**settings: Any) -> dict[str, Any]:
    """What a function with these settings keeps of them."""

    def f(ctx: durable.SyncContext) -> None:
        del ctx

    made: Any = durable.App("t").function(**settings)(f)
    return made.flow


def refusal(**settings: Any) -> str:
    with pytest.raises(durable.ConfigError) as caught:
        flow(**settings)
    return str(caught.value)


def lengths(least: str, most: str) -> str:
    return f"from {least} to {most}: {ACCEPTED}"


def limit(number: int, key: str | None = None, scope: str = "fn") -> dict[str, Any]:
    return {"limit": number, "key": key, "scope": scope}


# --- concurrency


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1, [limit(1)]),
        (MOST, [limit(MOST)]),
        (durable.Concurrency(5), [limit(5)]),
        ([5], [limit(5)]),
        (
            (5, durable.Concurrency(2, key=KEY)),
            [limit(5), limit(2, KEY)],
        ),
        (
            [
                durable.Concurrency(5, key=KEY, scope="env"),
                durable.Concurrency(5, key=KEY, scope="account"),
            ],
            [limit(5, KEY, "env"), limit(5, KEY, "account")],
        ),
    ],
)
def test_concurrency_is_a_number_or_limits(given: Any, kept: Any) -> None:
    assert flow(concurrency=given) == {"concurrency": kept}


C = durable.Concurrency
NEEDS_KEY = (
    'a CEL expression, as in "event.data.customer_id"; for one limit over all, a constant, '
    "as in \"'payments'\""
)


@pytest.mark.parametrize(
    ("given", "shown", "accepted"),
    [
        (0, "concurrency=0 is too small", WHOLE),
        (MOST + 1, f"concurrency={MOST + 1} is too large", WHOLE),
        (2.0, "concurrency=2.0 is of type float", LIMITS),
        (True, "concurrency=True is of type bool", LIMITS),
        ("many", "concurrency='many' is of type str", LIMITS),
        ([1, "many"], "concurrency[1]='many' is of type str", LIMIT),
        ([1, 0], "concurrency[1]=0 is too small", WHOLE),
        (C(0), "concurrency.limit=0 is too small", WHOLE),
        ([C(-1)], "concurrency[0].limit=-1 is too small", WHOLE),
        (C(1, key=""), "concurrency.key='' is empty", CEL),
        (
            C(1, scope="app"),  # type: ignore[arg-type]
            "concurrency.scope='app' is not known",
            '"fn", "env", "account"',
        ),
        (
            C(1, scope="env"),
            "concurrency.key=None is missing: scope='env' is shared by functions with the same value of a key",
            NEEDS_KEY,
        ),
        (
            [1, C(1, scope="account")],
            "concurrency[1].key=None is missing: scope='account' is shared by functions with the same value of a key",
            NEEDS_KEY,
        ),
        (
            [],
            "concurrency=[] has 0 limits",
            "one or two limits; leave `concurrency` out where there is none",
        ),
        (
            [1, 2, 3],
            "concurrency=[1, 2, 3] has 3 limits",
            "one or two limits; leave `concurrency` out where there is none",
        ),
        (
            [1, 2],
            "concurrency=[1, 2] limits the same twice",
            "limits that differ in key or scope; of two numbers the smaller would hold",
        ),
    ],
)
def test_a_concurrency_that_cannot_be_is_refused(
    given: Any, shown: str, accepted: str
) -> None:
    assert (
        refusal(concurrency=given) == f"function 'f': {shown}\n  accepted: {accepted}"
    )


def test_run_concurrency_is_one_limit() -> None:
    assert flow(run_concurrency=5) == {"run_concurrency": limit(5)}
    given = C(5, key=KEY, scope="env")
    assert flow(run_concurrency=given) == {"run_concurrency": limit(5, KEY, "env")}
    assert refusal(run_concurrency=[5]) == (
        f"function 'f': run_concurrency=[5] is of type list\n  accepted: {LIMIT}"
    )


# --- the others


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (
            {"throttle": durable.Throttle(5, "1m")},
            {"limit": 5, "period_ms": 60_000, "burst": 0, "key": None},
        ),
        (
            {"throttle": durable.Throttle(MOST, 0.001, burst=MOST, key=KEY)},
            {"limit": MOST, "period_ms": 1, "burst": MOST, "key": KEY},
        ),
        (
            {"throttle": durable.Throttle(1, "7d")},
            {"limit": 1, "period_ms": 604_800_000, "burst": 0, "key": None},
        ),
        (
            {"rate_limit": durable.RateLimit(5, "PT24H")},
            {"limit": 5, "period_ms": 86_400_000, "burst": 4, "key": None},
        ),
        (
            {"rate_limit": durable.RateLimit(1, "250ms", key=KEY)},
            {"limit": 1, "period_ms": 250, "burst": 0, "key": KEY},
        ),
        (
            {"rate_limit": durable.RateLimit(5, 60, burst=0)},
            {"limit": 5, "period_ms": 60_000, "burst": 0, "key": None},
        ),
        (
            {"debounce": durable.Debounce(timedelta(seconds=2))},
            {"period_ms": 2000, "key": None, "timeout_ms": None},
        ),
        (
            {"debounce": durable.Debounce("7d", key=KEY, timeout="366d")},
            {"period_ms": 604_800_000, "key": KEY, "timeout_ms": 31_622_400_000},
        ),
        (
            {"batch": durable.Batch(2, "1ms")},
            {"max_size": 2, "timeout_ms": 1, "key": None, "if": None},
        ),
        (
            {"batch": durable.Batch(1_000, "366d", key=KEY, if_="event.data.x")},
            {
                "max_size": 1_000,
                "timeout_ms": 31_622_400_000,
                "key": KEY,
                "if": "event.data.x",
            },
        ),
        ({"priority": durable.Priority("60")}, "60"),
        ({"singleton": durable.Singleton("skip")}, {"mode": "skip", "key": None}),
        (
            {"singleton": durable.Singleton("cancel", key=KEY)},
            {"mode": "cancel", "key": KEY},
        ),
        ({"idempotency": KEY}, KEY),
        (
            {"timeouts": durable.Timeouts("10m")},
            {"start_ms": 600_000, "finish_ms": None},
        ),
        (
            {"timeouts": durable.Timeouts(start=1, finish="1h30m")},
            {"start_ms": 1000, "finish_ms": 5_400_000},
        ),
    ],
)
def test_what_is_kept_of_a_setting(settings: dict[str, Any], kept: Any) -> None:
    (name,) = settings
    assert flow(**settings) == {name: kept}


T, R, D, B = durable.Throttle, durable.RateLimit, durable.Debounce, durable.Batch
BURST = f"a whole number from 0 to {MOST}"
WEEK, DAY, YEAR = lengths("1ms", "7d"), lengths("1ms", "24h"), lengths("1ms", "366d")


@pytest.mark.parametrize(
    ("name", "given", "shown", "accepted"),
    [
        ("throttle", T(0, "1m"), ".limit=0 is too small", WHOLE),
        ("throttle", T(MOST + 1, 1), f".limit={MOST + 1} is too large", WHOLE),
        ("throttle", T(1.5, 1), ".limit=1.5 is of type float", WHOLE),
        ("throttle", T(1, 0), ".period=0 is too short", WEEK),
        ("throttle", T(1, "7d1s"), ".period='7d1s' is too long", WEEK),
        ("throttle", T(1, 1, burst=-1), ".burst=-1 is too small", BURST),
        ("throttle", T(1, 1, burst=None), ".burst=None is of type NoneType", BURST),  # type: ignore[arg-type]
        ("throttle", T(1, 1, key=" "), ".key=' ' is empty", CEL),
        ("rate_limit", R(0, 1), ".limit=0 is too small", WHOLE),
        ("rate_limit", R(1, 0), ".period=0 is too short", DAY),
        ("rate_limit", R(1, "1d1s"), ".period='1d1s' is too long", DAY),
        ("rate_limit", R(1, 1, burst=-1), ".burst=-1 is too small", BURST),
        ("rate_limit", R(1, 1, key=""), ".key='' is empty", CEL),
        ("debounce", D(0), ".period=0 is too short", WEEK),
        ("debounce", D("8d"), ".period='8d' is too long", WEEK),
        ("debounce", D(1, timeout=0), ".timeout=0 is too short", YEAR),
        ("debounce", D(1, key=""), ".key='' is empty", CEL),
        (
            "batch",
            B(1, 1),
            ".max_size=1 is too small",
            "a whole number from 2 to 1000",
        ),
        (
            "batch",
            B(1_001, 1),
            ".max_size=1001 is too large",
            "a whole number from 2 to 1000",
        ),
        ("batch", B(2, 0), ".timeout=0 is too short", YEAR),
        (
            "batch",
            B(2, "367d"),
            ".timeout='367d' is not between 0 and 366 days",
            YEAR,
        ),
        ("batch", B(2, 1, key=""), ".key='' is empty", CEL),
        ("batch", B(2, 1, if_=""), ".if_='' is empty", CEL),
        ("priority", durable.Priority(""), ".expr='' is empty", CEL),
        (
            "singleton",
            durable.Singleton("stop"),  # type: ignore[arg-type]
            ".mode='stop' is not known",
            '"skip", "cancel"',
        ),
        ("singleton", durable.Singleton("skip", key=""), ".key='' is empty", CEL),
        ("idempotency", "", "='' is empty", CEL),
        ("idempotency", 5, "=5 is of type int", CEL),
        ("timeouts", durable.Timeouts(start=0), ".start=0 is too short", YEAR),
        ("timeouts", durable.Timeouts(finish=0), ".finish=0 is too short", YEAR),
        (
            "timeouts",
            durable.Timeouts(),
            "=Timeouts(start=None, finish=None) has neither start nor finish",
            'Timeouts(start="10m"), Timeouts(finish="2h"), or both in one',
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    name: str, given: Any, shown: str, accepted: str
) -> None:
    said = refusal(**{name: given})
    assert said == f"function 'f': {name}{shown}\n  accepted: {accepted}"


def test_a_place_in_a_text_is_pointed_at() -> None:
    first, second, third = refusal(throttle=T(1, "5 x")).splitlines()
    assert first == "function 'f': throttle.period='5 x'"
    assert first[second.index("^")] == "5"
    assert second.endswith("^ is not a duration")
    assert third == f"  accepted: {WEEK}"


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("run_concurrency", LIMIT),
        ("throttle", 'Throttle(limit, period), as in Throttle(10, "1m")'),
        ("rate_limit", 'RateLimit(limit, period), as in RateLimit(10, "1m")'),
        ("debounce", 'Debounce(period), as in Debounce("30s")'),
        ("batch", 'Batch(max_size, timeout), as in Batch(100, "5s")'),
        (
            "priority",
            "Priority(expr), as in Priority(\"event.data.plan == 'paid' ? 120 : 0\")",
        ),
        ("singleton", 'Singleton("skip") or Singleton("cancel")'),
        (
            "timeouts",
            'Timeouts(start="10m"), Timeouts(finish="2h"), or both in one',
        ),
    ],
)
def test_a_bare_value_is_told_what_to_write(name: str, accepted: str) -> None:
    said = refusal(**{name: "1m"})
    assert said == f"function 'f': {name}='1m' is of type str\n  accepted: {accepted}"


# --- together

SETTINGS: dict[str, Any] = {
    "concurrency": 5,
    "run_concurrency": 1,
    "throttle": T(5, "1m"),
    "rate_limit": R(5, "1m"),
    "debounce": D("1m"),
    "batch": B(5, "1m"),
    "priority": durable.Priority("1"),
    "singleton": durable.Singleton("skip"),
    "idempotency": KEY,
    "timeouts": durable.Timeouts("1m"),
}
EXCLUSIVE = {
    ("batch", "rate_limit"): (
        "a batch takes every event, a rate limit drops some\n"
        "  instead: throttle=Throttle(limit, period) makes later batches wait"
    ),
    ("batch", "debounce"): (
        "a batch keeps every event, a debounce the last one\n"
        "  instead: leave one of them out; a batch waits for more events too, for its `timeout`"
    ),
    ("batch", "singleton"): (
        "a singleton decides event by event, a batch takes many at once\n"
        "  instead: run_concurrency=Concurrency(1) lets one batch run at a time, the others wait"
    ),
    ("batch", "priority"): (
        "the events of one batch could differ in priority\n"
        "  instead: leave `priority` out; events for which Batch(if_=...) is not true do not wait for a batch"
    ),
    ("idempotency", "rate_limit"): (
        "`idempotency` is a rate limit itself, of one event in 24 h for its key\n"
        "  instead: leave one of them out; an event's own id, as in Event(name, id=...), also counts once in 24 h"
    ),
}


@pytest.mark.parametrize("pair", EXCLUSIVE)
def test_two_settings_that_exclude_each_other_are_refused(
    pair: tuple[str, str],
) -> None:
    one, other = pair
    said = refusal(**{name: SETTINGS[name] for name in pair})
    assert said == (
        f"function 'f': `{one}` cannot be combined with `{other}`: {EXCLUSIVE[pair]}"
    )


def test_all_other_settings_may_be_combined() -> None:
    refused = {frozenset(pair) for pair in EXCLUSIVE}
    for pair in combinations(SETTINGS.items(), 2):
        both = dict(pair)
        if frozenset(both) not in refused:
            assert flow(**both).keys() == both.keys()


class Stopped(BaseModel):
    """Why something is to end."""

    why: str


STOPPED = durable.EventType("test/stop", Stopped)


@pytest.mark.parametrize(
    ("cancel_on", "says"),
    [
        ("test/stop", "CancelOn"),
        (durable.CancelOn("test/*"), "a '*' cannot stand here"),
        (durable.CancelOn("durable/function.invoked"), "nobody else is told of it"),
        (durable.CancelOn("durable/scheduled.timer"), "nobody else is told of it"),
        (durable.CancelOn("durable/other"), "names nothing that the engine sends"),
        (durable.CancelOn("test/stop", if_="async.data.x =="), "^"),
        (durable.CancelOn("test/stop", if_="has(async.data.x)"), "has"),
        (durable.CancelOn("test/stop", match="data.x ="), "^"),
        (
            durable.CancelOn("test/stop", match="event.data.x"),
            "is looked up in both events",
        ),
        (durable.CancelOn("test/stop", timeout="soon"), "timeout"),
        (durable.CancelOn("test/stop", timeout=0), "timeout=0 is too short"),
        (durable.CancelOn("test/stop", timeout="367d"), "timeout='367d'"),
        (durable.CancelOn(STOPPED, if_="async.data.wy == 'x'"), "mean async.data.why"),
        (durable.CancelOn(STOPPED, match="data.wy"), "mean async.data.why"),
        ([durable.CancelOn("a")] * 6, "has 6 events"),
        ([], "has 0 events"),
    ],
)
def test_wrong_settings_are_refused_where_they_are_written(
    cancel_on: Any, says: str
) -> None:
    app = durable.App("a")
    with pytest.raises(durable.ConfigError) as caught:

        @app.function(on="a", cancel_on=cancel_on)
        async def handler(ctx: durable.Context) -> None:
            del ctx

    assert "cancel_on" in str(caught.value)
    assert says in str(caught.value)


def test_a_batch_has_none() -> None:
    app = durable.App("a")
    with pytest.raises(
        durable.ConfigError, match="`batch` cannot be combined with `cancel_on`"
    ):

        @app.function(
            on="a", batch=durable.Batch(2, "1s"), cancel_on=durable.CancelOn("b")
        )
        async def handler(ctx: durable.Context) -> None:
            del ctx
