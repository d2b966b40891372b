"""An application whose runs end well, fail, wait, and stand in line."""

from __future__ import annotations

from typing import Any

import durable


app = durable.App("shop")


@app.function(on="shop/order.placed")
async def fulfil(ctx: durable.Context) -> dict[str, Any]:
    data = ctx.event.data
    await ctx.step.run("reserve", lambda: {"item": data.get("item"), "count": 1})
    charged = await ctx.step.run("charge", lambda: "charge 17")
    return {"charged": charged}


@app.function(on="shop/order.broken", retries=0)
async def broken(ctx: durable.Context) -> None:
    await ctx.step.run("look", lambda: "there")

    def refuse() -> None:
        raise durable.NonRetriableError("the card was declined")

    await ctx.step.run("charge", refuse)


@app.function(
    on="shop/refund.asked",
    concurrency=durable.Concurrency(2, key="event.data.customer"),
    throttle=durable.Throttle(100, "1m"),
    run_concurrency=1,
)
async def refund(ctx: durable.Context) -> Any:
    await ctx.step.run("ask", lambda: "asked")
    return await ctx.step.wait_for_signal("answer", "refund/answer", timeout="7d")


@app.function(on="mirror", retries=0)
async def mirror(ctx: durable.Context) -> Any:
    """Whatever texts it is sent are ids, results and errors."""
    texts: list[str] = ctx.event.data["texts"]
    for text in texts:
        await ctx.step.run(text[:80], lambda text=text: {text: [text]})
    if ctx.event.data["fails"]:
        raise durable.NonRetriableError("\n".join(texts))
    return texts
