"""What `checkpointing` saves: runs of many steps in a row, with and without going on before the disk.

`python bench/ahead.py [ROUNDS]`: each way in turn, medians of the rounds, steps a second, on a store in a real folder.
"""

import asyncio
import statistics
import sys
import tempfile
import time

import durable


STEPS = 500
AHEAD = (0, 10)
RUNS = (1, 20)


def app_with(buffered_steps: int) -> durable.App:
    """One function of many steps in a row."""
    app = durable.App("ahead")
    ahead = durable.Checkpointing(buffered_steps=buffered_steps)
    settings = {"checkpointing": ahead} if buffered_steps else {}

    @app.function("steps", on="go", **settings)
    async def steps(ctx: durable.Context) -> None:
        for number in range(STEPS):
            await ctx.step.run(f"step {number}", int)

    return app


async def rate(buffered_steps: int, runs: int) -> float:
    """Steps a second, of so many runs at once."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        async with durable.Engine(app_with(buffered_steps), store=folder) as engine:
            begun = time.perf_counter()
            await engine.send([durable.Event("go", {}) for _ in range(runs)])
            await engine.join()
            return STEPS * runs / (time.perf_counter() - begun)


async def main(rounds: int) -> None:
    """Both ways in turn."""
    for runs in RUNS:
        rates: dict[int, list[float]] = {ahead: [] for ahead in AHEAD}
        for _ in range(rounds):
            for ahead in AHEAD:
                rates[ahead].append(await rate(ahead, runs))
        without, with_ahead = (statistics.median(rates[ahead]) for ahead in AHEAD)
        print(
            f"{runs} runs: {without:,.0f} steps/s waiting for each, {with_ahead:,.0f} with 10 ahead: "
            f"{with_ahead / without:.2f} times"
        )


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
