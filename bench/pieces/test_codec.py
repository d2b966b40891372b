"""JSON of results and events: what each step and each send pays."""

import pytest
from pydantic import BaseModel
from pytest_benchmark.fixture import BenchmarkFixture

from durable import Event, EventType
from durable._codec import Codec
from durable._duration import to_ms
from durable._engine import encode_events


class Order(BaseModel):
    """A small model, as users have them."""

    order_id: str
    customer_id: str
    total_cents: int


ORDER = Order(order_id="o1", customer_id="c1", total_cents=4200)
PLAIN = {"order_id": "o1", "customer_id": "c1", "total_cents": 4200}


@pytest.mark.benchmark(group="codec")
def test_write_a_number(benchmark: BenchmarkFixture) -> None:
    codec: Codec[int] = Codec(int)
    assert benchmark(codec.write, 42) == b"42"


@pytest.mark.benchmark(group="codec")
def test_write_a_model(benchmark: BenchmarkFixture) -> None:
    codec: Codec[Order] = Codec(Order)
    assert benchmark(codec.write, ORDER).startswith(b"{")


@pytest.mark.benchmark(group="codec")
def test_read_a_model(benchmark: BenchmarkFixture) -> None:
    codec: Codec[Order] = Codec(Order)
    written = codec.write(ORDER)
    assert benchmark(codec.read, written) == ORDER


@pytest.mark.benchmark(group="events")
def test_make_an_event(benchmark: BenchmarkFixture) -> None:
    assert benchmark(Event, "shop/order.placed", PLAIN).name == "shop/order.placed"


@pytest.mark.benchmark(group="events")
def test_make_a_typed_event(benchmark: BenchmarkFixture) -> None:
    placed = EventType("shop/order.placed", Order)
    assert benchmark(placed, ORDER).data == ORDER


@pytest.mark.benchmark(group="events")
def test_encode_a_batch_of_500(benchmark: BenchmarkFixture) -> None:
    events = [Event("shop/order.placed", PLAIN) for _ in range(500)]
    assert len(benchmark(encode_events, events)) == 500


@pytest.mark.benchmark(group="durations")
def test_read_a_duration(benchmark: BenchmarkFixture) -> None:
    assert benchmark(to_ms, "1h30m") == 5_400_000
