"""A function's settings are checked when the decorator runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import durable
from durable._function import flow_json


app = durable.App("t")


async def handler(ctx: durable.Context) -> int:
    del ctx
    return 1


def make(function: Any = handler, *args: Any, **settings: Any) -> Any:
    return durable.App("t").function(*args, **settings)(function)


def test_the_id_is_the_functions_name_unless_one_is_given() -> None:
    assert make().id == "handler"
    assert make(handler, "other").id == "other"
    assert repr(make()) == "<durable function 'handler'>"


@pytest.mark.parametrize("given", ["", "x" * 257, 5])
def test_an_id_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(durable.ConfigError, match="id="):
        make(handler, given)


def test_a_lambda_needs_an_id() -> None:
    with pytest.raises(durable.ConfigError, match="is no name"):
        make(lambda ctx: ctx)


def test_a_handler_takes_the_context_alone() -> None:
    async def two(ctx: Any, more: Any) -> None:
        del ctx, more

    with pytest.raises(durable.ConfigError, match=r"\(ctx\)"):
        make(two)


def test_a_generator_is_refused() -> None:
    def generator(ctx: Any) -> Iterator[Any]:
        yield ctx

    with pytest.raises(durable.ConfigError, match="yield"):
        make(generator)


def test_wrong_settings_name_the_function_and_the_argument() -> None:
    with pytest.raises(durable.ConfigError, match="function 'handler': retries=25"):
        make(retries=25)
    with pytest.raises(durable.ConfigError, match="function 'handler': concurrency=0"):
        make(concurrency=0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"retrys": 3}, "did you mean `retries`?"),
        ({"concurency": 3}, "did you mean `concurrency`?"),
        ({"throtle": 3}, "did you mean `throttle`?"),
        ({"zzz": 3}, "accepted: id, on, retries, concurrency"),
    ],
)
def test_a_misspelt_argument_is_told_the_right_one(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(durable.ConfigError, match="function 'handler': ") as caught:
        make(**settings)
    assert says in str(caught.value)


def test_a_decorator_without_parentheses_is_told_at_once() -> None:
    with pytest.raises(durable.ConfigError, match=r"@app\.function\(\)"):
        durable.App("t").function(handler)  # type: ignore[arg-type]  # the point


@pytest.mark.asyncio
async def test_the_handler_stays_callable() -> None:
    assert await make().handler(None) == 1


def test_what_kind_of_handler_it_is() -> None:
    def plain(ctx: durable.SyncContext) -> None:
        del ctx

    assert make().is_async
    assert not make(plain).is_async


def test_the_type_of_an_event_is_that_of_its_trigger() -> None:
    kind = durable.EventType("a")
    made = make(on=[kind, "b"])
    assert made.type_of("a") is kind
    assert made.type_of("b") is None
    assert made.type_for_invoke() is None
    assert make(on=kind).type_for_invoke() is kind


def test_what_crosses_the_border_has_no_absent_settings() -> None:
    assert flow_json(make()) == b"{}"
    assert make().flow == {}
    assert make().conditions == {}


def test_triggers_cross_the_border_with_their_conditions() -> None:
    made = make(on=["a", durable.On("b/*", if_="event.data.x > 5")])
    assert made.conditions == {"b/*": "event.data.x > 5"}
    assert flow_json(made) == (b'{"conditions":{"b/*":"event.data.x > 5"}}')


def test_all_that_may_be_together_crosses_the_border() -> None:
    key = "event.data.k"
    made = make(
        on=durable.EventType("a"),
        concurrency=[durable.Concurrency(10, key=key, scope="account"), 3],
        run_concurrency=2,
        throttle=durable.Throttle(5, "1m"),
        rate_limit=durable.RateLimit(100, "1h", key=key),
        debounce=durable.Debounce("30s", key=key, timeout="5m"),
        priority=durable.Priority("event.data.seconds"),
        singleton=durable.Singleton("skip", key=key),
        timeouts=durable.Timeouts(start=10, finish="2h"),
    )
    assert flow_json(made) == (
        b'{"concurrency":[{"key":"event.data.k","limit":10,"scope":"account"},{"key":null,"limit":3,"scope":"fn"}],'
        b'"debounce":{"key":"event.data.k","period_ms":30000,"timeout_ms":300000},'
        b'"priority":"event.data.seconds",'
        b'"rate_limit":{"burst":99,"key":"event.data.k","limit":100,"period_ms":3600000},'
        b'"run_concurrency":{"key":null,"limit":2,"scope":"fn"},'
        b'"singleton":{"key":"event.data.k","mode":"skip"},'
        b'"throttle":{"burst":0,"key":null,"limit":5,"period_ms":60000},'
        b'"timeouts":{"finish_ms":7200000,"start_ms":10000}}'
    )


def test_a_batch_crosses_the_border() -> None:
    made = make(
        batch=durable.Batch(100, "5s", if_="event.data.small"),
        idempotency="event.data.id",
    )
    assert flow_json(made) == (
        b'{"batch":{"if":"event.data.small","key":null,"max_size":100,"timeout_ms":5000},'
        b'"idempotency":"event.data.id"}'
    )


def test_a_failure_handler_is_a_function_of_its_own() -> None:
    made = make(id='an "odd" id', retries=0, on_failure=handler)
    own = made.on_failure
    assert own.id == 'an "odd" id-failure'
    assert own.handler is handler
    assert own.triggers == {"durable/function.failed": None}
    condition = 'event.data.function_id == "an \\"odd\\" id"'
    assert own.conditions == {"durable/function.failed": condition}
    assert own.retries.count == 4
    assert own.flow == {}
    assert own.on_failure is None
    assert make().on_failure is None


def generator(ctx: Any) -> Iterator[Any]:
    yield ctx


NO_HANDLERS: list[tuple[object, str]] = [
    (5, "on_failure=5 is of type int\n  accepted: a function that takes the context"),
    (
        make(),
        "is a durable function, which its own triggers start\n  accepted: its handler",
    ),
    (lambda: None, r"on_failure of function 'handler' takes \(\).*: \(ctx\)"),
    (generator, "on_failure of function 'handler' is a generator"),
]


@pytest.mark.parametrize(
    ("given", "text"), NO_HANDLERS, ids=["int", "function", "args", "yield"]
)
def test_what_is_no_failure_handler_is_refused(given: object, text: str) -> None:
    with pytest.raises(durable.ConfigError, match=text):
        make(on_failure=given)


def test_a_failure_handler_that_would_never_be_called_is_refused() -> None:
    ends = ["durable/function.failed", durable.On("durable/function.finished")]
    with pytest.raises(durable.ConfigError, match="would never be called"):
        make(on=ends, on_failure=handler)
    assert make(on=[*ends, "shop/x"], on_failure=handler).on_failure
    assert make(on="durable/function.cancelled", on_failure=handler).on_failure


def test_the_id_of_a_failure_handler_is_not_too_long() -> None:
    assert make(id="x" * 248, on_failure=handler).on_failure
    with pytest.raises(
        durable.ConfigError, match=r"an id of function 'x+' of 248 bytes"
    ):
        make(id="x" * 249, on_failure=handler)


def test_a_function_is_not_called() -> None:
    with pytest.raises(durable.UsageError, match=r"engine\.invoke\(handler, data\)"):
        make(handler, "f")(1)


def test_habits_of_others_are_answered_and_are_no_attributes() -> None:
    made = make()
    with pytest.raises(durable.UsageError, match="function 'handler' has no 'delay'"):
        made.delay("o1")
    assert not hasattr(made, "apply_async")
    with pytest.raises(AttributeError, match="no attribute 'zzz'"):
        made.zzz  # noqa: B018  # asking is what counts


def test_conditions_are_of_fields_that_may_be_true() -> None:
    class Paid(BaseModel):
        cents: int

    paid = durable.EventType("paid", Paid)
    for settings in (
        {"on": durable.On(paid, if_="event.data.cents")},
        {"on": paid, "batch": durable.Batch(2, "1s", if_="event.data.cents")},
        {"cancel_on": durable.CancelOn(paid, if_="async.data.cents")},
        {"cancel_on": durable.CancelOn(paid, if_="'yes'")},
    ):
        with pytest.raises(durable.ConfigError, match=r"if_: .*never true"):
            make(**settings)
