"""A setting that reads what is encrypted is told where it is declared: its function, what it reads, what to do."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override

import durable
from durable._middleware import Middleware, Sending
from durable.middleware import Encryption


OTHER = durable.Concurrency(2, key="event.data.other")
KEYED = durable.Concurrency(1, key="event.data.customer")


async def handler(ctx: durable.Context) -> None: ...


def declare(*members: Middleware, **settings: Any) -> Any:
    settings = {"on": "shop/placed", **settings}
    app = durable.App("shop", middleware=[*(members or [Encryption("key")])])
    return app.function("fulfil", **settings)(handler)


def refused(*members: Middleware, **settings: Any) -> str:
    with pytest.raises(durable.ConfigError) as found:
        declare(*members, **settings)
    return str(found.value)


def test_the_message_names_the_function_what_it_reads_and_what_to_do() -> None:
    assert refused(concurrency=KEYED) == (
        "function 'fulfil': concurrency.key reads event.data.customer, which is encrypted by Encryption before the "
        "engine sees the event: it would have no value\n"
        "    event.data.customer\n"
        "  instead: Encryption(..., clear={'customer'}), which leaves that field of events' data plain"
    )


@pytest.mark.parametrize(
    ("argument", "setting"),
    [
        ("concurrency.key", KEYED),
        ("concurrency[1].key", [OTHER, KEYED]),
        ("run_concurrency.key", KEYED),
        ("throttle.key", durable.Throttle(1, "1m", key="event.data.customer")),
        ("rate_limit.key", durable.RateLimit(1, "1m", key='event.data["customer"]')),
        ("debounce.key", durable.Debounce("1m", key="event.data.customer.id")),
        ("batch.if_", durable.Batch(2, "1m", if_="has(event.data.customer)")),
        ("priority", durable.Priority("event.data.customer == 'a' ? 1 : 0")),
        ("singleton.key", durable.Singleton("skip", key="event.data.customer")),
        ("idempotency", "event.data.customer"),
        ("cancel_on.match", durable.CancelOn("shop/off", match="data.customer")),
        ("cancel_on.if_", durable.CancelOn("shop/off", if_="async.data.customer == 1")),
        ("on.if_", durable.On("shop/placed", if_="event.data.customer == 1")),
    ],
)
def test_each_setting_that_reads_an_event_is_looked_at(
    argument: str, setting: object
) -> None:
    name = argument.partition(".")[0].partition("[")[0]
    encryption = Encryption("key", clear=["other"])
    text = refused(encryption, **{name: setting})
    assert text.startswith(f"function 'fulfil': {argument} reads ")
    assert "clear={'customer', 'other'}" in text
    assert declare(Encryption("key", clear=["customer", "other"]), **{name: setting})
    assert declare(Encryption("key", decrypt_only=True), **{name: setting})


def test_all_that_an_expression_lacks_is_named_at_once() -> None:
    text = refused(idempotency="[event.data.a, event.data.b.c]")
    assert "reads event.data.a and event.data.b, which are encrypted" in text
    assert "clear={'a', 'b'}" in text


@pytest.mark.parametrize(
    "settings",
    [
        {"idempotency": "event.name"},
        {"idempotency": "event.user.id"},
        {"concurrency": durable.Concurrency(1, key="'all'", scope="account")},
        {"on": durable.On("durable/function.failed", if_="event.data.run_id == 'R'")},
        {"on": "durable/function.finished", "idempotency": "event.data.run_id"},
        {
            "cancel_on": durable.CancelOn(
                "durable/function.failed", if_="async.data.run_id == event.id"
            )
        },
        {"on": durable.Cron("@daily"), "concurrency": KEYED},
        {"on_failure": handler},
    ],
)
def test_what_is_not_encrypted_may_be_read(settings: dict[str, Any]) -> None:
    """What every event has, what the engine itself tells, and what a schedule starts."""
    assert declare(**settings)


def test_what_is_invoked_alone_is_looked_at_too() -> None:
    assert "event.data.customer" in refused(on=None, concurrency=KEYED)
    assert "event.data.customer" in refused(
        on=["durable/function.failed", "shop/placed"], concurrency=KEYED
    )


def test_a_functions_own_middleware_is_not_around_what_comes() -> None:
    app = durable.App("shop")
    own = [Encryption("key")]
    made = app.function("f", on="a", middleware=own, concurrency=KEYED)(handler)
    assert made.stack.members == tuple(own)


def test_ones_own_middleware_says_what_it_leaves_clear() -> None:
    class Sealing(Middleware):
        clear_fields = ("other",)

        @override
        def before_send(self, sending: Sending) -> None: ...

    assert "by Sealing before" in refused(Sealing(), concurrency=KEYED)
    assert declare(Sealing(), concurrency=OTHER)
