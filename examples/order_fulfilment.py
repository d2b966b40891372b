"""A shop that fulfils orders, with what real life does to them.

    python examples/order_fulfilment.py [STORE]

Eight orders come in. One is paid and delivered, one is so large that Grace has to approve it, one has a card
that is declined, one is never paid, two are withdrawn, and so on. A day passes in two seconds, the whole story
takes a few. Kill it at any moment (kill -9) and start it again: it goes on where it was, and no card is charged twice.

Read it from the top: the functions first, then what they do outside, then the people of the story.
"""

import asyncio
import contextlib
import logging
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

import durable


app = durable.App("shop")

LARGE_CENTS = 100_000  # from here on a person has to say yes


class Order(BaseModel):
    """What `shop/order.placed` says."""

    order_id: str
    total_cents: int
    card: str = "good"
    address: str = "1 Main Street"


class OrderId(BaseModel):
    """What the events say that come later in an order's life."""

    order_id: str


class Approval(BaseModel):
    """What Grace says of a large order."""

    by: str
    ok: bool


order_placed = durable.EventType("shop/order.placed", Order)
payment_authorised = durable.EventType("shop/payment.authorised", OrderId)
order_withdrawn = durable.EventType("shop/order.withdrawn", OrderId)

withdrawn = durable.CancelOn(order_withdrawn, match="data.order_id")

AnyContext: TypeAlias = durable.Context[Any]


# --- the functions -------------------------------------------------------------------------------------


async def put_right(ctx: durable.Context) -> None:
    """Called once for each order that has failed: what was done for it is undone."""
    failure = ctx.event.data
    order_id = failure["event"]["data"]["order_id"]
    ctx.logger.info("%s  failed: %s", order_id, failure["error"]["message"])
    await undo(ctx, order_id, "failed")


@app.function(on=order_placed, cancel_on=withdrawn, on_failure=put_right)
async def fulfil(ctx: durable.Context[Order]) -> str:
    """Takes an order from the click to the door."""
    order = ctx.event.data
    await ctx.step.run("open the file", open_file, ctx, order)

    if order.total_cents >= LARGE_CENTS:
        ctx.logger.info("%s  is large: waits for Grace", order.order_id)
        answer = await ctx.step.wait_for_signal(
            "approval", f"approve/{order.order_id}", timeout="3d"
        )
        if answer is None or not answer.data["ok"]:
            return await ctx.step.run("close", close, ctx, order.order_id, "refused")

    # `since="run"`: a payment that comes while Grace still thinks is not missed.
    paid = await ctx.step.wait_for_event(
        "payment", payment_authorised, match="data.order_id", timeout="2d", since="run"
    )
    if paid is None:
        return await ctx.step.run("close", close, ctx, order.order_id, "expired")

    # At once; and both have ended, well or not, before anything is undone.
    done = await asyncio.gather(
        ctx.step.run("reserve", reserve, ctx, order),
        ctx.step.run("charge", charge, ctx, order),
        return_exceptions=True,
    )
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome

    parcel = await ctx.step.invoke("ship", ship, order)
    ctx.logger.info("%s  has arrived as %s", order.order_id, parcel)
    return await ctx.step.run("close", close, ctx, order.order_id, "delivered")


@app.function(cancel_on=withdrawn)
async def ship(ctx: durable.Context) -> str:
    """Brings a parcel to the door; `fulfil` invokes it and waits."""
    order = Order.model_validate(ctx.event.data)
    parcel = await ctx.step.run("book the carrier", book_carrier, ctx, order)
    await ctx.step.sleep("on the road", "30d" if order.address == "the moon" else "8h")
    await ctx.step.run("knock", knock, ctx, order)
    return parcel


@app.function(
    on=durable.On(
        "durable/function.cancelled", if_="event.data.function_id == 'fulfil'"
    )
)
async def take_back(ctx: durable.Context) -> None:
    """Called once for each order that was withdrawn: what was done for it is undone."""
    order_id = ctx.event.data["event"]["data"]["order_id"]
    await undo(ctx, order_id, "withdrawn")


async def undo(ctx: AnyContext, order_id: str, ending: str) -> None:
    """The compensation: steps as any other, so each is done once, whatever is killed."""
    await ctx.step.run("release", release, ctx, order_id)
    await ctx.step.run("refund", refund, ctx, order_id)
    await ctx.step.run("close", close, ctx, order_id, ending)


@app.function(on=durable.Cron("0 0 * * *"))
async def nightly_report(ctx: durable.Context) -> dict[str, int]:
    """Says at midnight how the shop stands, or when somebody invokes it."""
    report = await ctx.step.run("sum up", ledger.sum_up)
    when = ctx.event.data.get("scheduledAt", "at the end")
    ctx.logger.info("--  report, %s: %s", when, report)
    return report


# --- the outside: a file, a warehouse, a bank, a carrier -----------------------------------------------
#
# A step that executes when the process dies is executed again: nobody can know how far it got. So whoever is
# asked is given `ctx.step.token`, which stays the same, and does nothing for a token that it knows.


async def open_file(ctx: AnyContext, order: Order) -> None:
    """Begins the order's file."""
    price = money(order.total_cents)
    await outside(ctx, order.order_id, "placed", f"placed, {price}")


async def reserve(ctx: AnyContext, order: Order) -> None:
    """Asks the warehouse to put the goods aside."""
    await outside(ctx, order.order_id, "reserved", "stock is reserved")


async def charge(ctx: AnyContext, order: Order) -> None:
    """Asks the bank for the money."""
    if order.card == "declined":
        text = "the card was declined"
        raise durable.NonRetriableError(text)
    said = f"card is charged {money(order.total_cents)}"
    await outside(ctx, order.order_id, "charged", said, order.total_cents)


async def book_carrier(ctx: AnyContext, order: Order) -> str:
    """Asks the carrier for a pick-up; the carrier's line is busy the first time."""
    if ctx.attempt == 0:
        say(f"{order.order_id}  the carrier's line is busy: tried again")
        raise ConnectionError
    await outside(ctx, order.order_id, "sent", f"is on its way to {order.address}")
    return f"parcel {order.order_id.upper()}-{ctx.attempt + 1}"


async def knock(ctx: AnyContext, order: Order) -> None:
    """The carrier stands before the door."""
    if order.address == "nowhere":
        text = "there is no such address"
        raise durable.NonRetriableError(text)
    await outside(ctx, order.order_id, "handed over", "is handed over")


async def release(ctx: AnyContext, order_id: str) -> None:
    """Gives the goods back to the shelf, if any were put aside."""
    if ledger.has(order_id, "reserved"):
        await outside(ctx, order_id, "released", "stock is released")


async def refund(ctx: AnyContext, order_id: str) -> None:
    """Gives the money back, if any was taken."""
    if cents := ledger.cents_of(order_id, "charged"):
        said = f"card is given back {money(cents)}"
        await outside(ctx, order_id, "refunded", said, cents)


async def close(ctx: AnyContext, order_id: str, ending: str) -> str:
    """Ends the order's file."""
    await outside(ctx, order_id, f"closed: {ending}", f"closed: {ending}")
    return ending


async def outside(  # noqa: PLR0917  # each is one thing the caller has at hand
    ctx: AnyContext, order_id: str, what: str, said: str, cents: int = 0
) -> None:
    """Somebody outside does something, once for each token, and takes a moment to answer."""
    is_new = ledger.enter(ctx.step.token, order_id, what, cents)
    say(f"{order_id}  {said}" if is_new else f"{order_id}  ({said}: known already)")
    await asyncio.sleep(0.03)


def money(cents: int) -> str:
    """Cents as people write them."""
    return f"{cents / 100:,.2f}"


def say(line: str) -> None:
    """One line of the story."""
    print(line, flush=True)


class Ledger:
    """What was done outside: a line for each token, with how often it was asked for."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:")

    def open(self, path: Path) -> None:
        """From now on in this file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS done (token TEXT PRIMARY KEY, order_id TEXT, "
            "what TEXT, cents INTEGER, asked INTEGER DEFAULT 1)"
        )

    def enter(self, token: str, order_id: str, what: str, cents: int) -> bool:  # noqa: PLR0917  # a row
        """Write down what was done; False where it was done for this token before."""
        ((asked,),) = self._database.execute(
            "INSERT INTO done (token, order_id, what, cents) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (token) DO UPDATE SET asked = asked + 1 RETURNING asked",
            (token, order_id, what, cents),
        ).fetchall()
        return bool(asked == 1)

    def has(self, order_id: str, what: str) -> bool:
        """True if that was done for the order."""
        query = "SELECT 1 FROM done WHERE order_id = ? AND what = ?"
        return bool(self._database.execute(query, (order_id, what)).fetchall())

    def cents_of(self, order_id: str, what: str) -> int:
        """How much money that was."""
        query = "SELECT total(cents) FROM done WHERE order_id = ? AND what = ?"
        return int(self._database.execute(query, (order_id, what)).fetchone()[0])

    def sum_up(self) -> dict[str, int]:
        """How many orders are open and how each of the others ended, and the money."""
        query = (
            "SELECT what, count(*), total(cents) FROM done GROUP BY what ORDER BY what"
        )
        found = self._database.execute(query).fetchall()
        counts = {what: count for what, count, _ in found}
        cents = {what: int(sum_) for what, _, sum_ in found}
        endings = {
            what.removeprefix("closed: "): count
            for what, count in counts.items()
            if what.startswith("closed: ")
        }
        earned = cents.get("charged", 0) - cents.get("refunded", 0)
        unfinished = counts.get("placed", 0) - sum(endings.values())
        return {"open": unfinished, **endings, "earned_cents": earned}


ledger = Ledger()


# --- the people: customers, and Grace ------------------------------------------------------------------


def the_day() -> Iterator[tuple[durable.Event[Any], tuple[str, str] | None]]:
    """What customers do, each thing with what they wait for before they do it."""
    yield order_placed(order_id="o1", total_cents=4_200), None
    yield order_placed(order_id="o2", total_cents=189_000), None
    yield payment_authorised(order_id="o1"), None
    yield order_placed(order_id="o3", total_cents=1_500, card="declined"), None
    yield order_placed(order_id="o4", total_cents=2_500), None
    yield payment_authorised(order_id="o2"), None
    yield order_placed(order_id="o5", total_cents=9_900, address="nowhere"), None
    yield payment_authorised(order_id="o3"), None
    yield order_withdrawn(order_id="o4"), ("o4", "placed")
    yield payment_authorised(order_id="o5"), None
    yield order_placed(order_id="o6", total_cents=700), None  # never paid
    yield order_placed(order_id="o7", total_cents=99_000_000), None
    yield order_placed(order_id="o8", total_cents=3_000, address="the moon"), None
    yield payment_authorised(order_id="o8"), None
    yield order_withdrawn(order_id="o8"), ("o8", "sent")


async def play_customers(engine: durable.Engine) -> None:
    """Send the day's events, each accepted once: the store remembers how many it has."""
    begun_at = await engine.source_position("the day") or 0
    for position, (event, after) in enumerate(the_day(), 1):
        if position <= begun_at:
            continue
        while after is not None and not ledger.has(*after):  # noqa: ASYNC110  # people look now and then
            await asyncio.sleep(0.02)
        if event.name == order_withdrawn.name:
            say(f"{event.data.order_id}  is withdrawn by the customer")
        await engine.send_from("the day", position, [event])
        await asyncio.sleep(0.05)


async def play_grace(engine: durable.Engine) -> None:
    """Answer whatever waits for Grace, as on a page where she sees it."""
    while True:
        for run in await engine.runs.list(function=fulfil, status="parked"):
            for wait in (await engine.runs.get(run.id)).waiting_on:
                if wait.on == "signal" and wait.value is not None:
                    answer = Approval(by="Grace", ok=wait.value != "approve/o7")
                    say(f"Grace says {'yes' if answer.ok else 'no'} to {wait.value}")
                    with contextlib.suppress(durable.SignalNotFound):  # too late
                        await engine.signal(wait.value, answer)
        await asyncio.sleep(0.1)


async def main(store: Path) -> None:
    """Play the story, or the rest of it."""
    ledger.open(store / "ledger.sqlite3")
    where = store / "store"
    async with durable.Engine(app, store=where, clock="scaled:43200") as engine:
        if found := await engine.source_position("the day"):
            say(f"Found {found} events of the day in {store}. Going on.")
        async with asyncio.TaskGroup() as people:
            grace = people.create_task(play_grace(engine))
            await play_customers(engine)
            for run in await engine.runs.list(function=fulfil, limit=100):
                await engine.runs.wait(run.id)
            grace.cancel()
        await engine.join()  # what undoes the last of them, too
        await engine.invoke(nightly_report)
    say(f"That was all. Look closer: durable runs list --store {where}")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("durable.run").setLevel(logging.INFO)  # ctx.logger
    logging.getLogger("durable.failures").disabled = True  # the story tells them itself
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1] if sys.argv[1:] else ".durable-shop")))
