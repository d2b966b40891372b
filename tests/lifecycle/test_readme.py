"""The README's program does what the README says."""

import re
from pathlib import Path
from types import ModuleType

import pytest

import durable


README = Path(__file__).parents[2] / "README.md"


@pytest.mark.asyncio
async def test_the_program_on_the_first_screen_works() -> None:
    """Its card is charged once, and it ships an hour later."""
    assert "asyncio.run(main())" in README.read_text()
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    module = ModuleType(
        "readme"
    )  # imported, as the command line does, it only declares
    exec(compile(found[1], str(README), "exec"), module.__dict__)  # noqa: S102  # our own text
    order = module.order_placed(order_id="o1", customer_id="c1", total_cents=4200)
    async with durable.Engine(
        module.app, store="memory:", clock="virtual:auto"
    ) as engine:
        await engine.send(order)
        await engine.join()
        (listed,) = await engine.runs.list()
        run = await engine.runs.get(listed.id)
    assert run.result == "shipped after charge of o1"
    assert [step.attempts for step in run.steps.values() if step.kind == "run"] == [1]


@pytest.mark.asyncio
async def test_the_program_that_waits_for_a_signal_works() -> None:
    found = re.search(
        r"```python\n(@app.function\(on=\"shop/refund.*?)```",
        README.read_text(),
        re.DOTALL,
    )
    assert found is not None
    paid: list[str] = []
    app = durable.App("readme")
    names = {"app": app, "durable": durable, "pay_back": paid.append}
    exec(compile(found[1], str(README), "exec"), names)  # noqa: S102  # our own text
    async with durable.Engine(app, store="memory:", clock="virtual") as engine:
        asked = durable.Event("shop/refund.asked", {"order_id": "o1"})
        await engine.send(asked)
        await engine.join()
        run_id = await engine.signal("refund/o1", {"ok": True})
        run = await engine.runs.wait(run_id)
        assert (run.status, paid) == ("completed", ["o1"])
        with pytest.raises(durable.SignalNotFound):
            await engine.signal("refund/o1", {"ok": True})


@pytest.mark.parametrize(
    "name",
    [
        "ARCHITECTURE.md",
        "LICENSE",
        "bench/README.md",
        "docs/index.md",
        "docs/tutorial.md",
        "docs/guides/failures.md",
        "docs/guides/middleware.md",
        "docs/reliability.md",
        "examples/order_fulfilment.py",
    ],
)
def test_what_the_readme_points_to_is_there(name: str) -> None:
    assert (README.parent / name).is_file()
    assert name in README.read_text() or name == "LICENSE"
