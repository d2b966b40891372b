"""What this version does not execute is refused when the engine is opened, and not before."""

from __future__ import annotations

from typing import Any

import pytest

import durable


def app_with(**settings: Any) -> tuple[durable.App, durable.Function[Any, Any]]:
    app = durable.App("t")

    @app.function(**settings)
    def handler(ctx: durable.SyncContext) -> int:
        del ctx
        return 1

    return app, handler


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        ({"debounce": durable.Debounce("1m")}, "`debounce`"),
        ({"batch": durable.Batch(5, "1m")}, "`batch`"),
        ({"singleton": durable.Singleton("skip")}, "`singleton`"),
        ({"timeouts": durable.Timeouts("1m")}, "`timeouts`"),
        ({"run_concurrency": 1}, "`run_concurrency`"),
    ],
)
async def test_a_setting_of_a_later_version_keeps_the_engine_closed(
    settings: dict[str, Any], absent: str
) -> None:
    app, _ = app_with(**settings)
    engine = durable.Engine(app, store="memory:")
    with pytest.raises(durable.ConfigError) as caught:
        await engine.__aenter__()
    assert str(caught.value) == (
        f"function 'handler': {absent} is not in this version yet\n"
        "  instead: leave it out; there are concurrency, throttle, rate_limit, priority and idempotency"
    )
    assert not engine.is_open()
    assert not app.has_engine


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": [3, durable.Concurrency(2, key="event.data.a")]},
        {"throttle": durable.Throttle(5, "1m")},
        {"rate_limit": durable.RateLimit(5, "1m")},
        {"priority": durable.Priority("1")},
        {"idempotency": "event.data.id"},
        {"on": durable.On("a", if_="event.data.x == 1")},
    ],
)
async def test_the_others_are_in_this_version(settings: dict[str, Any]) -> None:
    app, function = app_with(**settings)
    async with durable.Engine(app, store="memory:") as engine:
        assert await engine.invoke(function) == 1
