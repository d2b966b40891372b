"""What docs/guides/middleware.md declares does what the page says, beside that `tests/docs` executes its blocks."""

from collections.abc import Iterator
from typing import Any

import pytest

import durable

from ..docs.pages import DOCS
from ..docs.reading import Reading


PAGE = DOCS / "guides/middleware.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with Reading(PAGE, tmp_path_factory.mktemp("page")) as reading:
        reading.execute_all()
        yield reading.names


async def one_run(app: durable.App, event: durable.Event[Any]) -> Any:
    async with durable.Engine(app, store="memory:", clock="virtual:auto") as engine:
        (event_id,) = await engine.send(event)
        await engine.join()
        (run,) = await engine.events.runs(event_id)
        return run, (await engine.events.get(event_id)).event.data


@pytest.mark.asyncio
async def test_hooks_of_ones_own(page: dict[str, Any]) -> None:
    event = durable.Event("shop/order.placed", {"order_id": "o1"})
    run, _ = await one_run(page["app"], event)
    assert run.status == "failed"
    assert "a card was refused" in run.error.message
    assert "4111" not in str(run.steps["pay"].error)
    assert page["slow"] == ["charge/pay"]


@pytest.mark.asyncio
async def test_encryption(page: dict[str, Any]) -> None:
    event = durable.Event("vault/card.given", {"customer_id": "c1", "number": "4111"})
    run, stored = await one_run(page["vault"], event)
    assert run.result == "token of 4111"
    assert stored["customer_id"] == "c1"
    assert "4111" not in str(stored)


@pytest.mark.asyncio
async def test_dependencies(page: dict[str, Any]) -> None:
    run, _ = await one_run(
        page["bank"], durable.Event("bank/greet", {"customer_id": 7})
    )
    assert run.result == "hello, customer 7"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["traced", "watched"])
async def test_the_others_are_accepted(page: dict[str, Any], name: str) -> None:
    app = page[name]

    @app.function("any", on="test/start")
    async def any_handler(ctx: durable.Context) -> str:
        return ctx.run_id

    run, _ = await one_run(app, durable.Event("test/start"))
    assert run.result == run.id


def test_logging(page: dict[str, Any]) -> None:
    import logging  # noqa: PLC0415  # the page's is its own

    record = logging.LogRecord("a", logging.INFO, "", 1, "hello", (), None)
    assert page["handler"].filter(record)
    assert page["handler"].format(record) == "None None None hello"
