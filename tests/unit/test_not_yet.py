"""What this version does not execute is refused when the engine is opened, and not before."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._not_yet import only_limit


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
        ({"throttle": durable.Throttle(5, "1m")}, "`throttle`"),
        ({"rate_limit": durable.RateLimit(5, "1m")}, "`rate_limit`"),
        ({"debounce": durable.Debounce("1m")}, "`debounce`"),
        ({"batch": durable.Batch(5, "1m")}, "`batch`"),
        ({"priority": durable.Priority("1")}, "`priority`"),
        ({"singleton": durable.Singleton("skip")}, "`singleton`"),
        ({"idempotency": "event.data.id"}, "`idempotency`"),
        ({"timeouts": durable.Timeouts("1m")}, "`timeouts`"),
        ({"run_concurrency": 1}, "`run_concurrency`"),
        ({"concurrency": durable.Concurrency(1, key="'a'")}, "a key of `concurrency`"),
        (
            {"concurrency": [1, durable.Concurrency(2, key="event.data.a")]},
            "a second limit of `concurrency`",
        ),
        ({"on": durable.On("a", if_="event.data.x")}, "`if_` of a trigger"),
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
        "  instead: leave it out; of flow control there is `concurrency` as one number"
    )
    assert not engine.is_open()
    assert not app.has_engine


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("concurrency", "limit"),
    [
        (None, None),
        (3, 3),
        ([3], 3),
        (durable.Concurrency(3), 3),
        ((durable.Concurrency(3),), 3),
    ],
)
async def test_concurrency_as_one_number_is_in_this_version(
    concurrency: Any, limit: int | None
) -> None:
    app, function = app_with(concurrency=concurrency, on=durable.On("a"))
    assert only_limit(function) == limit
    async with durable.Engine(app, store="memory:") as engine:
        assert await engine.invoke(function) == 1
        (info,) = await engine.functions.list()
        assert info.concurrency == limit
