"""What a server is told of functions: every setting in the protocol's spelling, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._serving.names import Slugs
from durable._serving.registration import configs_of


async def handler(ctx: durable.Context) -> None:
    """Does nothing."""


def configs(**settings: Any) -> list[dict[str, Any]]:
    app = durable.App("shop")
    app.function("work", **settings)(handler)
    slugs = Slugs("shop", app.functions)
    return configs_of(app.functions.values(), slugs, "http://h:1/api")


def flow(**settings: Any) -> dict[str, Any]:
    (config,) = configs(**settings)
    known = {"id", "name", "triggers", "steps"}
    return {name: value for name, value in config.items() if name not in known}


def test_a_function_says_what_starts_it_and_where_it_is_called() -> None:
    (config,) = configs(
        on=[
            durable.On("shop/placed", if_="event.data.n > 1"),
            "durable/function.failed",
            durable.Cron("0 9 * * *", tz="Europe/Paris", jitter="2s"),
            durable.Cron("@daily"),
        ],
        retries=2,
    )
    assert config == {
        "id": "shop-work",
        "name": "work",
        "triggers": [
            {"event": "shop/placed", "expression": "event.data.n > 1"},
            {"event": "inngest/function.failed"},
            {"cron": "TZ=Europe/Paris 0 9 * * *", "jitter": "2000ms"},
            {"cron": "@daily"},
        ],
        "steps": {
            "step": {
                "id": "step",
                "name": "step",
                "runtime": {
                    "type": "http",
                    "url": "http://h:1/api?fnId=shop-work&stepId=step",
                },
                "retries": {"attempts": 2},
            }
        },
    }


def test_a_function_that_is_only_invoked_has_no_triggers() -> None:
    assert configs()[0]["triggers"] == []


def test_failures_are_told_by_the_id_that_the_server_knows() -> None:
    work, failure = configs(on="a/b", on_failure=handler)
    assert work["id"] == "shop-work"
    assert failure["id"] == "shop-work-failure"
    assert failure["triggers"] == [
        {
            "event": "inngest/function.failed",
            "expression": 'event.data.function_id == "shop-work"',
        }
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"concurrency": [durable.Concurrency(2, key="event.data.k"), 9]},
            {
                "concurrency": [
                    {"limit": 2, "key": "event.data.k", "scope": "fn"},
                    {"limit": 9, "scope": "fn"},
                ]
            },
        ),
        (
            {"concurrency": 3, "run_concurrency": 1},
            {
                "concurrency": {
                    "step": [{"limit": 3, "scope": "fn"}],
                    "fn": [{"limit": 1, "scope": "fn"}],
                }
            },
        ),
        (
            {"run_concurrency": 1},
            {"concurrency": {"step": [], "fn": [{"limit": 1, "scope": "fn"}]}},
        ),
        (
            {"throttle": durable.Throttle(5, "1m", burst=2, key="event.data.k")},
            {
                "throttle": {
                    "limit": 5,
                    "period": "60000ms",
                    "burst": 2,
                    "key": "event.data.k",
                }
            },
        ),
        (
            {"rate_limit": durable.RateLimit(5, "1m")},
            {"rateLimit": {"limit": 5, "period": "60000ms"}},
        ),
        (
            {"debounce": durable.Debounce("2s", timeout="1h")},
            {"debounce": {"period": "2000ms", "timeout": "3600000ms"}},
        ),
        (
            {"batch": durable.Batch(5, "3s", key="event.data.k", if_="event.data.b")},
            {
                "batchEvents": {
                    "maxSize": 5,
                    "timeout": "3000ms",
                    "key": "event.data.k",
                    "if": "event.data.b",
                }
            },
        ),
        (
            {"priority": durable.Priority("event.data.p")},
            {"priority": {"run": "event.data.p"}},
        ),
        ({"singleton": durable.Singleton("cancel")}, {"singleton": {"mode": "cancel"}}),
        ({"idempotency": "event.data.id"}, {"idempotency": "event.data.id"}),
        (
            {"timeouts": durable.Timeouts(finish="10s")},
            {"timeouts": {"finish": "10000ms"}},
        ),
        (
            {
                "cancel_on": [
                    durable.CancelOn("shop/stop", match="data.id", timeout="1h"),
                    durable.CancelOn("durable/function.finished"),
                ]
            },
            {
                "cancel": [
                    {
                        "event": "shop/stop",
                        "if": "event.data.id == async.data.id",
                        "timeout": "3600000ms",
                    },
                    {"event": "inngest/function.finished"},
                ]
            },
        ),
    ],
)
def test_flow_control_is_told(settings: Any, expected: Any) -> None:
    assert flow(on="a/b", **settings) == expected


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"on": durable.Cron("@daily", catch_up="all")}, "catch_up"),
        ({"on": "a/b", "rate_limit": durable.RateLimit(5, "1m", burst=0)}, "burst"),
    ],
)
def test_what_cannot_be_told_is_refused(settings: Any, what: str) -> None:
    with pytest.raises(durable.ConfigError, match=f"function 'work': .*{what}"):
        configs(**settings)
