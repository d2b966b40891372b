"""What is promised of signals: one waiter each, given once, never kept, whatever happens to the process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import durable


pytestmark = pytest.mark.asyncio


def waiting(world: Any, **options: Any) -> list[durable.Signal | None]:
    """A function whose runs wait for a signal named by their event; what each was given."""
    given: list[durable.Signal | None] = []

    async def waiter(ctx: durable.Context) -> Any:
        name = ctx.event.data["signal"]
        settings = {"timeout": "1h", **options, **ctx.event.data.get("options", {})}
        signal = await ctx.step.wait_for_signal("wait", name, **settings)
        given.append(signal)
        return None if signal is None else signal.data

    world.function(waiter, on="test/start", retries=0)
    return given


async def test_a_signal_resumes_its_waiter_with_its_data(world: Any) -> None:
    given = waiting(world)
    engine = await world.open()
    run_id = await world.start(data={"signal": 'go "1"\n'})
    run = await world.get(run_id)
    assert (run.status, run.steps["wait"].status) == ("parked", "waiting")
    assert run.steps["wait"].kind == "wait_for_signal"
    assert await engine.signal('go "1"\n', {"by": "ada", "n": [1, 2.5, None]}) == run_id
    await world.settle()
    run = await world.get(run_id)
    assert run.result == {"by": "ada", "n": [1, 2.5, None]}
    assert given[-1] == durable.Signal('go "1"\n', {"by": "ada", "n": [1, 2.5, None]})
    assert run.steps["wait"].status == "completed"


async def test_a_wait_says_what_it_waits_for_and_until_when(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    run_id = await world.start(data={"signal": "approval/7"})
    (wait,) = (await world.get(run_id)).waiting_on
    assert (wait.on, wait.value, wait.step) == ("signal", "approval/7", "wait")
    assert wait.at is not None
    assert round(wait.at.timestamp() * 1000) == engine.now_ms() + 3_600_000
    assert engine.stats()["functions"]["waiter"]["parked"]["signal"] == 1


async def test_a_wait_ends_at_its_time_out_and_no_earlier(world: Any) -> None:
    given = waiting(world)
    engine = await world.open()
    run_id = await world.start(data={"signal": "late"})
    await engine.advance("59m 59.999s")
    assert (await world.get(run_id)).status == "parked"
    await engine.advance("1ms")
    run = await world.get(run_id)
    assert (run.status, run.result, given[-1]) == ("completed", None, None)
    with pytest.raises(durable.SignalNotFound):
        await engine.signal("late")


async def test_nothing_is_kept_of_a_signal_that_nobody_waits_for(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    with pytest.raises(
        durable.SignalNotFound, match="no run waits for the signal 'go'"
    ):
        await engine.signal("go", 1)
    run_id = await world.start(data={"signal": "go"})
    assert (await world.get(run_id)).status == "parked"
    await engine.signal("go", 2)
    with pytest.raises(durable.SignalNotFound):
        await engine.signal("go", 3)  # it has been given
    await world.settle()
    assert (await world.get(run_id)).result == 2


async def test_a_second_waiter_fails_and_the_first_goes_on_waiting(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    first = await world.start(data={"signal": "go"})
    second = await world.start(data={"signal": "go"})
    failed = await world.get(second)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.name == "SignalConflict"
    assert failed.error.message == f"run {first} waits for the signal 'go' already"
    await engine.signal("go", "yes")
    await world.settle()
    assert (await world.get(first)).result == "yes"


async def test_w8_a_waiter_that_is_replaced_is_given_nothing_at_once_and_takes_nothing_along(
    world: Any,
) -> None:
    waiting(world, on_conflict="replace")
    engine = await world.open()
    first = await world.start(data={"signal": "go"})
    second = await world.start(data={"signal": "go"})
    assert (await world.get(first)).status == "completed"
    assert (await world.get(first)).result is None
    assert (await world.get(second)).status == "parked"
    assert await engine.signal("go", "yes") == second
    await engine.advance("2h")  # the first one's time-out is over as well
    assert (await world.get(second)).result == "yes"


async def test_a_wait_outlives_the_process(world: Any) -> None:
    waiting(world)
    await world.open()
    run_id = await world.start(data={"signal": "go"})
    await world.restart()
    assert (await world.get(run_id)).status == "parked"
    assert await world.engine.signal("go", 1) == run_id
    await world.restart()  # it was on disk when the call returned
    await world.settle()
    assert (await world.get(run_id)).result == 1


async def test_one_signal_of_several_at_once_is_given(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    run_id = await world.start(data={"signal": "go"})
    sent = [engine.signal("go", number) for number in range(8)]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert answers.count(run_id) == 1
    refused = [one for one in answers if isinstance(one, durable.SignalNotFound)]
    assert len(refused) == 7
    await world.settle()
    assert (await world.get(run_id)).result == answers.index(run_id)


async def test_a_cancelled_run_waits_no_longer(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    first = await world.start(data={"signal": "go"})
    await engine.runs.cancel(first)
    second = await world.start(data={"signal": "go"})
    assert await engine.signal("go") == second


async def test_waits_run_beside_steps_and_each_other(world: Any) -> None:
    async def both(ctx: durable.Context) -> list[Any]:
        step = ctx.step
        results = await asyncio.gather(
            step.wait_for_signal("one", "s1", timeout="1h"),
            step.run("work", lambda: "worked"),
            step.wait_for_signal("two", "s2", timeout="2h"),
            step.sleep("rest", "1m"),
        )
        return [one.data if isinstance(one, durable.Signal) else one for one in results]

    world.function(both, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.signal("s2", "second")
    await engine.advance("1h")
    assert (await world.get(run_id)).result == [None, "worked", "second", None]


async def test_a_plain_handler_waits_too(world: Any) -> None:
    def plain(ctx: durable.SyncContext) -> Any:
        signal = ctx.step.wait_for_signal("wait", "go", timeout="1h")
        return signal and signal.data

    world.function(plain, on="test/start")
    engine = await world.open()
    run_id = await world.start()
    await engine.signal("go", "thread")
    await world.settle()
    assert (await world.get(run_id)).result == "thread"


async def test_join_does_not_wait_for_signals(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    await world.start(data={"signal": "go"})
    await engine.join(timeout="10s")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("", {}, "step 'wait': a signal's name is a text that is not empty, not ''"),
        (7, {}, "step 'wait': a signal's name is a text that is not empty, not 7"),
        (
            "x" * 257,
            {},
            f"step 'wait': signal '{'x' * 257}': a name has at most 256 bytes",
        ),
        ("go", {"timeout": "soon"}, "step 'wait': timeout='soon'"),
        (
            "go",
            {"on_conflict": "wait"},
            "on_conflict='wait'; accepted: 'fail' or 'replace'",
        ),
        ("go", {"timeout": "400d"}, "is not between 0 and 366 days"),
    ],
)
async def test_a_wrong_wait_fails_its_run_and_says_why(
    world: Any, name: Any, options: dict[str, Any], message: str
) -> None:
    waiting(world)
    await world.open()
    run_id = await world.start(data={"signal": name, "options": options})
    run = await world.get(run_id)
    assert run.status == "failed"
    assert message in run.error.message


async def test_a_wrong_signal_is_refused_and_says_why(world: Any) -> None:
    waiting(world)
    engine = await world.open()
    run_id = await world.start(data={"signal": "go"})
    with pytest.raises(durable.ConfigError, match="not empty"):
        await engine.signal("")
    with pytest.raises(durable.ConfigError, match="at most 256 bytes"):
        await engine.signal("x" * 257)
    with pytest.raises(durable.SerializationError, match=r"data\.lock"):
        await engine.signal("go", {"lock": object()})
    with pytest.raises(durable.PayloadTooLarge, match="send a reference"):
        await engine.signal("go", "x" * 4_200_000)
    assert await engine.signal("go", "fits") == run_id
