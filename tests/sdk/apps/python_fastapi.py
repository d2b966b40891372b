"""An application with the official Python SDK, every handler a coroutine: on FastAPI, or as a worker that dials in."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import threading
import time
from typing import Any

import fastapi
import inngest
import inngest.fast_api
import uvicorn
from inngest.connect import ConnectionState, connect
from inngest.experimental import ai, realtime
from inngest_encryption import EncryptionMiddleware


APP = os.environ["APP"]
SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
OWN_KEY = "event.data.key"

settings: dict[str, Any] = {
    "is_production": os.environ["MODE"] == "production",
    "logger": logging.getLogger("app"),
    "api_base_url": os.environ["SERVER"],
    "event_api_base_url": os.environ["EVENTS"],
}
client = inngest.Inngest(app_id=APP, **settings)
functions: list[inngest.Function[Any]] = []
notes: list[dict[str, Any]] = []


def function(name: str, *triggers: Any, **options: Any) -> Any:
    """Register a handler for the event of its own name, or for these triggers."""
    of = list(triggers) or [inngest.TriggerEvent(event=f"{APP}/{name}")]
    make = client.create_function(fn_id=name, trigger=of, **options)

    def register(handler: Any) -> Any:
        made = make(handler)
        functions.append(made)
        return made

    return register


def note(ctx: inngest.Context, what: object) -> None:
    at = int(time.time() * 1000)
    notes.append({"key": ctx.event.data["key"], "what": what, "at": at})


@function("sequence")
async def sequence(ctx: inngest.Context) -> object:
    note(ctx, "call")

    async def one() -> int:
        note(ctx, "one")
        return 1

    first = await ctx.step.run("one", one)
    await ctx.step.sleep("nap", datetime.timedelta(milliseconds=200))
    second = await ctx.step.run("one", one)
    return {"sum": first + second, "n": ctx.event.data["n"]}


@function("sleep_until")
async def sleep_until(ctx: inngest.Context) -> object:
    until = datetime.datetime.fromtimestamp(
        ctx.event.data["until"] / 1000, datetime.UTC
    )
    await ctx.step.sleep_until("moment", until)
    return {"woken_at": int(time.time() * 1000)}


async def two_groups(ctx: inngest.Context, mode: inngest.ParallelMode) -> object:
    note(ctx, "call")

    async def step(name: str) -> str:
        note(ctx, name)
        if name in {"b", "d"}:
            await asyncio.sleep(0.15)  # the others have been told of by then
        return name

    def part(name: str) -> Any:
        return lambda: ctx.step.run(name, step, name)

    first = await ctx.group.parallel((part("a"), part("b")), parallel_mode=mode)
    second = await ctx.group.parallel((part("c"), part("d")), parallel_mode=mode)
    return "".join((*first, *second))


@function("mixed", retries=0)
async def mixed(ctx: inngest.Context) -> object:
    async def good() -> str:
        return "good"

    async def bad() -> str:
        msg = "the step fails"
        raise ValueError(msg)

    step, how = ctx.step, {"how": "returns"}
    go = {"event": f"{APP}/go", "timeout": SECOND}
    nap = datetime.timedelta(milliseconds=100)
    told = await ctx.group.parallel(
        (
            lambda: step.run("good", good),
            lambda: step.sleep("nap", nap),
            lambda: step.invoke("call", function=callee, data=how),
            lambda: step.wait_for_event("go", **go, if_exp="async.data.n == 'none'"),
        )
    )
    try:
        await ctx.group.parallel((lambda: step.run("bad", bad),))
    except inngest.StepError as error:
        return [*told, error.message]


@function("nested")
async def nested(ctx: inngest.Context) -> object:
    async def inner() -> int:
        return 1

    async def outer() -> int:
        return await ctx.step.run("inner", inner)

    return await ctx.step.run("outer", outer)


@function("parallel")
async def parallel(ctx: inngest.Context) -> object:
    return await two_groups(ctx, inngest.ParallelMode.WAIT)


@function("race")
async def race(ctx: inngest.Context) -> object:
    return await two_groups(ctx, inngest.ParallelMode.RACE)


@function("wait")
async def wait(ctx: inngest.Context) -> object:
    found = await ctx.step.wait_for_event(
        "go",
        event=f"{APP}/go",
        timeout=ctx.event.data["timeout"] * SECOND,
        if_exp="event.data.key == async.data.key",
    )
    return None if found is None else {"name": found.name, "data": found.data}


@function("callee")
async def callee(ctx: inngest.Context) -> object:
    if ctx.event.data["how"] == "fails":
        msg = "the callee fails"
        raise inngest.NonRetriableError(msg)
    if ctx.event.data["how"] == "sleeps":
        await ctx.step.sleep("long", HOUR)
    return {"got": ctx.event.data["how"]}


@function("invoke")
async def invoke(ctx: inngest.Context) -> object:
    how = ctx.event.data["how"]
    try:
        if how == "unknown":
            return await ctx.step.invoke_by_id("call", app_id=APP, function_id="nobody")
        return await ctx.step.invoke(
            "call", function=callee, data={"how": how}, timeout=SECOND
        )
    except inngest.StepError as error:
        return {"error": error.message, "name": error.name}


@function("send")
async def send(ctx: inngest.Context) -> object:
    data = {"key": ctx.event.data["key"]}
    sent = inngest.Event(name=f"{APP}/sent", data=data)
    return await ctx.step.send_event("both", [sent, sent])


@function("sent")
async def sent(ctx: inngest.Context) -> object:
    note(ctx, "sent")
    return None


@function("caught", retries=1)
async def caught(ctx: inngest.Context) -> object:
    async def bad() -> None:
        note(ctx, "try")
        msg = "the step fails"
        raise ValueError(msg)

    try:
        await ctx.step.run("bad", bad)
    except inngest.StepError as error:
        return {"message": error.message, "name": error.name}


@function("step_retries", retries=2)
async def step_retries(ctx: inngest.Context) -> object:
    async def flaky() -> int:
        note(ctx, ctx.attempt)
        if ctx.attempt < 2:
            msg = "not yet"
            raise ValueError(msg)
        return ctx.attempt

    return await ctx.step.run("flaky", flaky)


@function("retries", retries=2)
async def retries(ctx: inngest.Context) -> object:
    note(ctx, ctx.attempt)
    if ctx.attempt < 2:
        msg = "not yet"
        raise ValueError(msg)
    return ctx.attempt


@function("exhausted", retries=1)
async def exhausted(ctx: inngest.Context) -> object:
    note(ctx, ctx.attempt)
    msg = "never"
    raise ValueError(msg)


@function("retry_after", retries=1)
async def retry_after(ctx: inngest.Context) -> object:
    note(ctx, ctx.attempt)
    if ctx.attempt == 0:
        msg = "later"
        raise inngest.RetryAfterError(msg, 2 * SECOND)
    return "done"


@function("non_retriable", retries=3)
async def non_retriable(ctx: inngest.Context) -> object:
    note(ctx, ctx.attempt)
    msg = "no use"
    raise inngest.NonRetriableError(msg)


async def on_failure(ctx: inngest.Context) -> None:
    data: Any = ctx.event.data
    failed = {"run": data["run_id"], "function": data["function_id"]}
    about = {"key": data["event"]["data"]["key"], "at": 0}
    notes.append({**about, "what": {**failed, "message": data["error"]["message"]}})


@function("failing", retries=0, on_failure=on_failure)
async def failing(_: inngest.Context) -> object:
    msg = "it failed"
    raise ValueError(msg)


@function(
    "cancellable",
    cancel=[
        inngest.Cancel(event=f"{APP}/cancel", if_exp="event.data.key == async.data.key")
    ],
)
async def cancellable(ctx: inngest.Context) -> object:
    async def begin() -> None:
        note(ctx, "begun")

    await ctx.step.run("begin", begin)
    await ctx.step.sleep("long", HOUR)
    note(ctx, "went on")
    return None


@function("batch", batch_events=inngest.Batch(max_size=3, timeout=SECOND, key=OWN_KEY))
async def batch(ctx: inngest.Context) -> object:
    return [event.data["n"] for event in ctx.events]


few = inngest.Batch(max_size=2, timeout=SECOND, key=OWN_KEY, if_exp="event.data.n > 0")


@function("batch_if", batch_events=few)
async def batch_if(ctx: inngest.Context) -> object:
    return [event.data["n"] for event in ctx.events]


at_most = inngest.Debounce(period=HOUR, timeout=SECOND, key=OWN_KEY)


@function("debounce_timeout", debounce=at_most)
async def debounce_timeout(ctx: inngest.Context) -> object:
    return ctx.event.data["n"]


@function("debounce", debounce=inngest.Debounce(period=SECOND, key=OWN_KEY))
async def debounce(ctx: inngest.Context) -> object:
    note(ctx, ctx.event.data["n"])
    return ctx.event.data["n"]


@function("rate_limit", rate_limit=inngest.RateLimit(limit=2, period=HOUR, key=OWN_KEY))
async def rate_limit(ctx: inngest.Context) -> object:
    return ctx.event.data["n"]


@function(
    "throttle",
    throttle=inngest.Throttle(limit=1, burst=0, period=SECOND, key=OWN_KEY),
)
async def throttle(ctx: inngest.Context) -> object:
    note(ctx, ctx.event.data["n"])
    return None


async def held(ctx: inngest.Context) -> object:
    async def hold() -> None:
        note(ctx, f"start {ctx.event.data['n']}")
        await asyncio.sleep(ctx.event.data["hold"] / 1000)
        note(ctx, f"end {ctx.event.data['n']}")

    await ctx.step.run("hold", hold)
    return ctx.event.data["n"]


ONE = [inngest.Concurrency(limit=1, key=OWN_KEY)]
function("concurrency", concurrency=ONE)(held)
function(
    "priority", concurrency=ONE, priority=inngest.Priority(run="event.data.priority")
)(held)
function("start_timeout", concurrency=ONE, timeouts=inngest.Timeouts(start=SECOND))(
    held
)
function("idempotent", idempotency=OWN_KEY)(held)
function("plain")(held)
BURST = inngest.Throttle(limit=1, burst=1, period=HOUR, key=OWN_KEY)
function("throttle_burst", throttle=BURST)(held)
SHARED = [
    inngest.Concurrency(limit=9),
    inngest.Concurrency(limit=1, key=OWN_KEY, scope="env"),
]
function("shared_one", concurrency=SHARED)(held)
function("shared_two", concurrency=SHARED)(held)


async def napping(ctx: inngest.Context) -> object:
    await ctx.step.sleep("nap", datetime.timedelta(milliseconds=ctx.event.data["nap"]))
    return ctx.event.data["n"]


function("singleton_skip", singleton=inngest.Singleton(mode="skip", key=OWN_KEY))(
    napping
)
function("singleton_cancel", singleton=inngest.Singleton(mode="cancel", key=OWN_KEY))(
    napping
)
STOP = inngest.Cancel(event=f"{APP}/stop", timeout=SECOND)
function("cancel_timeout", cancel=[STOP])(napping)
function("finish_timeout", timeouts=inngest.Timeouts(finish=SECOND))(napping)


@function(
    "conditional",
    inngest.TriggerEvent(event=f"{APP}/conditional", expression="event.data.n > 3"),
    inngest.TriggerEvent(event=f"{APP}/many/*"),
)
async def conditional(ctx: inngest.Context) -> object:
    return ctx.event.name


@function("parts", retries=0)
async def parts(ctx: inngest.Context) -> object:
    async def part(name: str) -> None:
        note(ctx, name)
        await asyncio.sleep(ctx.event.data["hold"] / 1000 if name == "second" else 0)

    await ctx.step.run("first", part, "first")
    if ctx.event.data.get("waits"):
        await ctx.step.wait_for_event("go", event=f"{APP}/go", timeout=HOUR)
    await ctx.step.run("second", part, "second")
    return "done"


@function("scheduled", inngest.TriggerCron(cron="TZ=Europe/Paris 0 9 * * *"))
async def scheduled(_: inngest.Context) -> object:
    return None


@function("large")
async def large(ctx: inngest.Context) -> object:
    async def part() -> str:
        note(ctx, "part")
        return "x" * 1024 * 1024

    return sum([len(await ctx.step.run(f"part {n}", part)) for n in range(5)])


@function("infer")
async def infer(ctx: inngest.Context) -> object:
    url = f"{ctx.event.data['provider']}/v1"
    model = ai.openai.Adapter(auth_key="secret", base_url=url, model="small")
    try:
        body = {"messages": [{"role": "user", "content": ctx.event.data["say"]}]}
        return await ctx.step.ai.infer("ask", adapter=model, body=body)
    except inngest.StepError as error:
        return {"error": error.name}


@function("encrypted", middleware=[EncryptionMiddleware.factory("a secret of ours")])
async def encrypted(ctx: inngest.Context) -> object:
    async def tell() -> str:
        return "plain words"

    told = await ctx.step.run("tell", tell)
    await ctx.step.sleep("nap", 1)
    return told if ctx.event.data.get("open") else len(told)


@function("publishes")
async def publishes(ctx: inngest.Context) -> object:
    async def tell(n: int) -> None:
        await realtime.publish(client, ctx.event.data["key"], "progress", {"n": n})

    await ctx.step.run("first", tell, 1)
    await ctx.step.wait_for_event("go", event=f"{APP}/go", timeout=HOUR)
    await ctx.step.run("second", tell, 2)
    return "told"


web = fastapi.FastAPI()
DIALS = os.environ.get("CARRIER") == "connect"
if not DIALS:
    inngest.fast_api.serve(web, client, functions)

streamed = inngest.Inngest(app_id=f"{APP}-streamed", **settings)


@streamed.create_function(
    fn_id="slow",
    retries=0,
    trigger=inngest.TriggerEvent(event=f"{APP}-streamed/slow"),
)
async def slow(ctx: inngest.Context) -> object:
    async def work() -> int:
        await asyncio.sleep(ctx.event.data["hold"] / 1000)
        return 7

    done = await ctx.step.run("work", work)
    if ctx.event.data["fails"]:
        msg = "streamed failure"
        raise ValueError(msg)
    return done


inngest.fast_api.serve(
    web,
    streamed,
    [slow],
    serve_path="/api/streamed",
    streaming=inngest.Streaming.FORCE,
)


@web.get("/notes")
def get_notes(key: str) -> list[dict[str, Any]]:
    return [one for one in notes if one["key"] == key]


@web.post("/token")
async def post_token(topics: list[str], channel: str) -> Any:
    return await realtime.get_subscription_token(client, channel, topics)


@web.post("/send")
async def post_send(events: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"ids": await client.send([inngest.Event(**event) for event in events])}
    except Exception as error:  # noqa: BLE001  # what there is is told
        return {"error": str(error), "ids": getattr(error, "ids", [])}


async def dial() -> None:
    """Everything but the calls of functions comes over HTTP here too."""
    worker = connect([(client, functions), (streamed, [slow])])

    @web.put("/api/inngest")
    async def put_inngest() -> None:
        await worker.wait_for_state(ConnectionState.ACTIVE)

    threading.Thread(target=serve, daemon=True).start()
    await worker.start()


def serve() -> None:
    port = int(os.environ["PORT"])
    uvicorn.run(web, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    asyncio.run(dial()) if DIALS else serve()
