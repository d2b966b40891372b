"""What is promised of the engine itself: opening, closing, sending, invoking, reading; loops, threads, forks."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import durable


pytestmark = pytest.mark.asyncio


class Order(BaseModel):
    """An order."""

    cents: int


order_placed = durable.EventType("shop/order.placed", Order)


async def double(ctx: durable.Context[Order]) -> int:
    return await ctx.step.run("double", lambda: ctx.event.data.cents * 2)


async def test_invoke_waits_for_the_typed_result(world: Any) -> None:
    function = world.function(double, on=order_placed)
    engine = await world.open()
    assert await engine.invoke(function, Order(cents=21)) == 42
    assert await engine.invoke("double", {"cents": 1}) == 2


async def test_invoke_raises_what_the_run_ended_with(world: Any) -> None:
    async def fail(ctx: durable.Context) -> None:
        del ctx
        msg = "no such order"
        raise durable.NonRetriableError(msg)

    function = world.function(fail)
    engine = await world.open()
    with pytest.raises(durable.InvokeError, match="no such order") as caught:
        await engine.invoke(function)
    assert caught.value.name == "NonRetriableError"
    assert (await engine.runs.get(caught.value.run_id)).status == "failed"


async def test_invoke_gives_up_waiting_and_the_run_goes_on(world: Any) -> None:
    async def slow(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        return "done"

    function = world.function(slow)
    engine = await world.open()
    with pytest.raises(durable.InvokeTimeoutError) as caught:
        await engine.invoke(function, timeout="1ms")
    with pytest.raises(durable.InvokeTimeoutError):
        await engine.runs.wait(caught.value.run_id, timeout="1ms")
    with pytest.raises(TimeoutError):
        await engine.join(timeout="1ms")
    assert engine.session.worker._watched == {}
    assert engine.session.worker._tickets == {}
    await world.settle()
    await engine.advance("1h")
    assert (await engine.runs.wait(caught.value.run_id)).result == "done"


async def test_data_that_does_not_fit_its_type_fails_the_run_with_the_place(
    world: Any,
) -> None:
    function = world.function(double, on=order_placed)
    engine = await world.open()
    with pytest.raises(durable.InvokeError, match=r"data\.cents"):
        await engine.invoke(function, {"cents": "many"})


async def test_an_unknown_function_cannot_be_invoked(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.NotFoundError):
        await engine.invoke("nobody")


async def test_what_is_not_there_is_not_found(world: Any) -> None:
    engine = await world.open()
    nowhere = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for read in (engine.runs.get, engine.events.get, engine.runs.wait):
        with pytest.raises(durable.NotFoundError):
            await read(nowhere)


async def test_runs_are_listed_newest_first_page_by_page(world: Any) -> None:
    world.function(double, on=order_placed)
    engine = await world.open()
    await world.send(*(order_placed(cents=n) for n in range(5)))
    first = await engine.runs.list(limit=3, status="completed")
    second = await engine.runs.list(limit=3, cursor=first.cursor)
    assert [run.result for run in [*first, *second]] == [8, 6, 4, 2, 0]
    assert await engine.runs.list(status=["failed", "cancelled"]) == []
    with pytest.raises(durable.ConfigError):
        await engine.runs.list(status="finished")
    with pytest.raises(durable.ConfigError):
        await engine.runs.list(limit=0)


async def test_a_listed_run_says_where_its_steps_are(world: Any) -> None:
    function = world.function(double, on=order_placed)
    engine = await world.open()
    await engine.invoke(function, Order(cents=1))
    (listed,) = await engine.runs.list()
    with pytest.raises(durable.UsageError, match=r"await engine\.runs\.get") as told:
        _ = listed.steps["double"]
    assert listed.id in str(told.value)
    with pytest.raises(durable.UsageError, match=r"run\.waiting_on"):
        _ = [*listed.waiting_on]
    assert [*(await engine.runs.get(listed.id)).steps] == ["double"]


async def test_functions_are_listed_as_they_were_registered(world: Any) -> None:
    world.function(double, on=order_placed, retries=2, concurrency=3)
    engine = await world.open()
    (info,) = await engine.functions.list()
    assert (info.id, info.app, info.triggers) == (
        "double",
        "world",
        ("shop/order.placed",),
    )
    assert (info.retries, info.concurrency, info.is_archived) == (2, 3, False)


async def test_stats_count_runs_and_commits(world: Any) -> None:
    world.function(double, on=order_placed)
    engine = await world.open()
    await world.send(order_placed(cents=1))
    stats = engine.stats()
    assert stats["functions"]["double"]["completed"] == 1
    assert stats["commits"]["count"] > 0


async def test_stats_say_what_parked_runs_wait_for(world: Any) -> None:
    async def waits(ctx: durable.Context[Order]) -> None:
        if ctx.event.data.cents:
            await ctx.step.sleep("rest", "1h")
        raise durable.RetryAfterError("later", "1h")

    world.function(waits, on=order_placed)
    engine = await world.open()
    await world.send(order_placed(cents=0))
    await world.send(order_placed(cents=1), order_placed(cents=2))
    assert engine.stats()["functions"]["waits"]["parked"] == {
        "signal": 0,
        "wait": 0,
        "invoke": 0,
        "sleep": 2,
        "retry": 1,
        "events": 0,
    }


async def test_join_returns_when_nothing_is_left_to_do(world: Any) -> None:
    world.function(double, on=order_placed)
    engine = await world.open()
    await engine.send([order_placed(cents=n) for n in range(50)])
    await engine.join(timeout="10s")
    assert {run.status for run in await engine.runs.list(limit=50)} == {"completed"}


async def test_join_gives_up_after_its_timeout(world: Any) -> None:
    async def slow(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    world.function(slow, on="test/start")
    engine = await world.open()
    await world.start()
    with pytest.raises(TimeoutError):
        await engine.join(timeout="1ms")


async def test_apps_and_other_loops_and_threads_may_send(world: Any) -> None:
    world.function(double, on=order_placed)
    engine = await world.open()
    ids = await world.app.send(order_placed(cents=1))
    ids += await asyncio.to_thread(engine.send_sync, order_placed(cents=2))
    ids += await asyncio.to_thread(
        lambda: asyncio.run(engine.send(order_placed(cents=3)))
    )
    with pytest.raises(durable.UsageError, match="await engine"):
        engine.send_sync(order_placed(cents=4))
    assert await engine.send() == []
    await world.settle()
    assert [(await world.run_of(one)).result for one in ids] == [2, 4, 6]


async def test_a_closed_engine_says_so(world: Any) -> None:
    engine = await world.open()
    with pytest.raises(durable.UsageError, match="open already"):
        await engine.__aenter__()
    await world.close()
    for call in (engine.send(durable.Event("a")), engine.join(), engine.runs.list()):
        with pytest.raises(durable.EngineClosed):
            await call
    await engine.close()


async def test_an_app_belongs_to_one_open_engine(world: Any) -> None:
    await world.open()
    with pytest.raises(durable.UsageError, match="open engine already"):
        async with durable.Engine(world.app, store="memory:"):
            pass


async def test_callers_are_told_when_the_engine_closes_before_it_answers(
    world: Any,
) -> None:
    async def slow(ctx: durable.Context) -> None:
        await ctx.step.sleep("rest", "1h")

    function = world.function(slow)
    engine = await world.open()
    waiting = asyncio.ensure_future(engine.invoke(function))
    await world.settle()
    await world.close()
    with pytest.raises(durable.EngineClosed):
        await waiting


async def test_steps_that_execute_are_waited_for_when_the_engine_closes(
    world: Any,
) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()
    calls: list[int] = []

    async def work() -> str:
        calls.append(1)
        begun.set()
        await gate.wait()
        return "kept"

    async def handler(ctx: durable.Context) -> str:
        kept = await ctx.step.run("work", work)
        await ctx.step.sleep("rest", "1h")
        return kept

    world.function(handler, on="test/start")
    engine = await world.open(grace="10s")
    (event_id,) = await engine.send(durable.Event("test/start"))
    await begun.wait()
    asyncio.get_running_loop().call_soon(gate.set)
    await world.restart()
    await world.settle()
    await world.engine.advance("1h")
    assert (await world.run_of(event_id)).result == "kept"
    assert calls == [1]


async def test_a_step_cut_off_by_the_end_is_executed_again(world: Any) -> None:
    begun = asyncio.Event()
    attempts: list[int] = []

    async def handler(ctx: durable.Context) -> str:
        async def work() -> str:
            attempts.append(ctx.attempt)
            begun.set()
            if len(attempts) == 1:
                await asyncio.Event().wait()
            return "done"

        return await ctx.step.run("work", work)

    world.function(handler, on="test/start")
    engine = await world.open(grace=0)
    (event_id,) = await engine.send(durable.Event("test/start"))
    await begun.wait()
    await world.restart()
    await world.settle()
    assert (await world.run_of(event_id)).result == "done"
    assert attempts == [0, 1]


async def test_a_function_that_is_gone_keeps_its_runs_until_it_returns(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(ctx: durable.Context) -> str:
        await ctx.step.sleep("rest", "1h")
        return "done"

    world.function(slow, on="test/start")
    await world.open()
    run_id = await world.start()
    del world.app.functions["slow"]
    await world.restart()
    await world.engine.advance("2h")
    assert (await world.get(run_id)).status != "completed"
    assert "function 'slow' has unfinished runs (1), and no app" in caplog.text
    world.function(slow, on="test/start")
    await world.restart()
    await world.settle()
    assert (await world.get(run_id)).result == "done"


async def test_lifespan_opens_and_closes(world: Any) -> None:
    engine = durable.Engine(world.app, store=world.store)
    async with engine.lifespan(object()) as state:
        assert state == {}
        await engine.send(durable.Event("a"))
    with pytest.raises(durable.EngineClosed):
        await engine.send(durable.Event("a"))


async def test_a_store_opened_twice_says_who_has_it(world: Any) -> None:
    await world.open()
    with pytest.raises(durable.StoreLocked, match=str(os.getpid())):
        async with durable.Engine(store=world.store):
            pass


@pytest.mark.parametrize(
    "settings",
    [
        {"store": ""},
        {"sync": "sometimes"},
        {"hot_runs": 0},
        {"max_in_flight": 0},
        {"grace": "soon"},
        {"clock": "sundial"},
    ],
)
async def test_a_wrong_setting_is_told(settings: dict[str, Any]) -> None:
    with pytest.raises(durable.ConfigError):
        async with durable.Engine(**{"store": "memory:", **settings}):
            pass


async def test_the_store_may_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLE_STORE", str(tmp_path / "here"))
    async with durable.Engine() as engine:
        await engine.send(durable.Event("a"))
    assert (tmp_path / "here").is_dir()


async def test_a_child_of_a_fork_is_told_what_to_do(world: Any) -> None:
    engine = await world.open()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            engine.send_sync.__self__.session.core.stats()
        except durable.DurableError as error:
            os.write(writing, type(error).__name__.encode())
        except Exception as error:  # noqa: BLE001  # told to the parent
            os.write(writing, repr(error).encode())
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    assert b"fork" in os.read(reading, 1000).lower()
    assert engine.stats()["live"] == 0


async def test_opening_and_closing_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208  # not files of ours
    for _ in range(10):
        async with durable.Engine(store=str(tmp_path / "store")) as engine:
            await engine.send(durable.Event("a"))
    gc.collect()
    assert threading.active_count() <= before + 8, "only the loop's own pool"
    assert len(os.listdir("/proc/self/task")) <= threads + 8  # noqa: PTH208  # as above


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


PROGRAM = """
    import asyncio, durable, sys
    app = durable.App("t")

    @app.function(on="a")
    async def f(ctx):
        one = await ctx.step.run("one", lambda: 1)
        await ctx.step.sleep("rest", "5ms")
        two, three = await asyncio.gather(
            ctx.step.run("two", lambda: 2), ctx.step.run("three", lambda: 3))
        return one + two + three

    async def main():
        async with durable.Engine(app, store="./store") as engine:
            ids = await engine.send([durable.Event("a") for _ in range(100)])
            await engine.join()
            runs = await engine.runs.list(limit=100)
            print({run.result for run in runs}, len(runs))
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_it_runs_on_asyncio_and_on_uvloop(tmp_path: Path, loop: str) -> None:
    pytest.importorskip(loop)
    ran = run_python(f"{PROGRAM}\n    import {loop}; {loop}.run(main())", tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "{6} 100\n", "")


async def test_several_loops_one_after_another(tmp_path: Path) -> None:
    ran = run_python(f"{PROGRAM}\n    for _ in range(3): asyncio.run(main())", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == "{6} 100"


async def test_an_engine_never_left_does_not_hinder_the_exit(tmp_path: Path) -> None:
    ran = run_python(
        f"""{PROGRAM}
    async def forget():
        global engine
        engine = await durable.Engine(app, store="./store").__aenter__()
        await engine.send([durable.Event("a") for _ in range(100)])
        print("sent")
    asyncio.run(forget())
    """,
        tmp_path,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "sent\n", "")
    again = run_python(f"{PROGRAM}\n    asyncio.run(main())", tmp_path)
    assert again.returncode == 0, again.stderr


async def test_an_engine_whose_loop_has_ended_makes_room_for_the_next(
    tmp_path: Path,
) -> None:
    ran = run_python(
        f"""{PROGRAM}
    async def forget():
        global engine
        engine = await durable.Engine(app, store="./store").__aenter__()
    asyncio.run(forget())
    asyncio.run(main())
    """,
        tmp_path,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "{6} 100\n", "")


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise KeyboardInterrupt"])
async def test_a_step_that_ends_the_process_is_executed_again(
    tmp_path: Path, end: str
) -> None:
    code = f"""
    import asyncio, durable, sys, pathlib
    app = durable.App("t")
    mark = pathlib.Path("mark")

    def step():
        if not mark.exists():
            mark.touch()
            {end}
        return "done"

    @app.function(on="a")
    async def f(ctx):
        return await ctx.step.run("one", step)

    async def main():
        async with durable.Engine(app, store="./store") as engine:
            if not mark.exists():
                await engine.send(durable.Event("a"))
            await engine.join()
            print([run.result for run in await engine.runs.list()])
    asyncio.run(main())
    """
    first = run_python(code, tmp_path)
    assert first.returncode != 0
    assert first.stdout == ""
    second = run_python(code, tmp_path)
    assert (second.returncode, second.stdout) == (0, "['done']\n")


async def test_importing_is_quick_and_loads_no_command_line(tmp_path: Path) -> None:
    ran = run_python(
        "import sys, durable; print([m for m in ('typer', 'rich') if m in sys.modules])",
        tmp_path,
    )
    assert ran.stdout == "[]\n"
