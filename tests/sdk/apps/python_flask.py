"""An application with the official Python SDK on Flask, every handler an ordinary function."""

from __future__ import annotations

import datetime
import logging
import os
import time
from typing import Any

import flask
import inngest
import inngest.flask
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


def note(ctx: inngest.ContextSync, what: object) -> None:
    at = int(time.time() * 1000)
    notes.append({"key": ctx.event.data["key"], "what": what, "at": at})


@function("sequence")
def sequence(ctx: inngest.ContextSync) -> object:
    note(ctx, "call")

    def one() -> int:
        note(ctx, "one")
        return 1

    first = ctx.step.run("one", one)
    ctx.step.sleep("nap", datetime.timedelta(milliseconds=200))
    second = ctx.step.run("one", one)
    return {"sum": first + second, "n": ctx.event.data["n"]}


@function("sleep_until")
def sleep_until(ctx: inngest.ContextSync) -> object:
    until = datetime.datetime.fromtimestamp(
        ctx.event.data["until"] / 1000, datetime.UTC
    )
    ctx.step.sleep_until("moment", until)
    return {"woken_at": int(time.time() * 1000)}


def two_groups(ctx: inngest.ContextSync, mode: inngest.ParallelMode) -> object:
    note(ctx, "call")

    def step(name: str) -> str:
        note(ctx, name)
        if name in {"b", "d"}:
            time.sleep(0.15)  # the others have been told of by then
        return name

    def part(name: str) -> Any:
        return lambda: ctx.step.run(name, step, name)

    first = ctx.group.parallel((part("a"), part("b")), parallel_mode=mode)
    second = ctx.group.parallel((part("c"), part("d")), parallel_mode=mode)
    return "".join((*first, *second))


@function("mixed", retries=0)
def mixed(ctx: inngest.ContextSync) -> object:
    def good() -> str:
        return "good"

    def bad() -> str:
        msg = "the step fails"
        raise ValueError(msg)

    step, how = ctx.step, {"how": "returns"}
    go = {"event": f"{APP}/go", "timeout": SECOND}
    nap = datetime.timedelta(milliseconds=100)
    told = ctx.group.parallel(
        (
            lambda: step.run("good", good),
            lambda: step.sleep("nap", nap),
            lambda: step.invoke("call", function=callee, data=how),
            lambda: step.wait_for_event("go", **go, if_exp="async.data.n == 'none'"),
        )
    )
    try:
        ctx.group.parallel((lambda: step.run("bad", bad),))
    except inngest.StepError as error:
        return [*told, error.message]


@function("nested")
def nested(ctx: inngest.ContextSync) -> object:
    def inner() -> int:
        return 1

    def outer() -> int:
        return ctx.step.run("inner", inner)

    return ctx.step.run("outer", outer)


@function("parallel")
def parallel(ctx: inngest.ContextSync) -> object:
    return two_groups(ctx, inngest.ParallelMode.WAIT)


@function("race")
def race(ctx: inngest.ContextSync) -> object:
    return two_groups(ctx, inngest.ParallelMode.RACE)


@function("wait")
def wait(ctx: inngest.ContextSync) -> object:
    found = ctx.step.wait_for_event(
        "go",
        event=f"{APP}/go",
        timeout=ctx.event.data["timeout"] * SECOND,
        if_exp="event.data.key == async.data.key",
    )
    return None if found is None else {"name": found.name, "data": found.data}


@function("callee")
def callee(ctx: inngest.ContextSync) -> object:
    if ctx.event.data["how"] == "fails":
        msg = "the callee fails"
        raise inngest.NonRetriableError(msg)
    if ctx.event.data["how"] == "sleeps":
        ctx.step.sleep("long", HOUR)
    return {"got": ctx.event.data["how"]}


@function("invoke")
def invoke(ctx: inngest.ContextSync) -> object:
    how = ctx.event.data["how"]
    try:
        if how == "unknown":
            return ctx.step.invoke_by_id("call", app_id=APP, function_id="nobody")
        return ctx.step.invoke(
            "call", function=callee, data={"how": how}, timeout=SECOND
        )
    except inngest.StepError as error:
        return {"error": error.message, "name": error.name}


@function("send")
def send(ctx: inngest.ContextSync) -> object:
    data = {"key": ctx.event.data["key"]}
    sent = inngest.Event(name=f"{APP}/sent", data=data)
    return ctx.step.send_event("both", [sent, sent])


@function("sent")
def sent(ctx: inngest.ContextSync) -> object:
    note(ctx, "sent")
    return None


@function("caught", retries=1)
def caught(ctx: inngest.ContextSync) -> object:
    def bad() -> None:
        note(ctx, "try")
        msg = "the step fails"
        raise ValueError(msg)

    try:
        ctx.step.run("bad", bad)
    except inngest.StepError as error:
        return {"message": error.message, "name": error.name}


@function("step_retries", retries=2)
def step_retries(ctx: inngest.ContextSync) -> object:
    def flaky() -> int:
        note(ctx, ctx.attempt)
        if ctx.attempt < 2:
            msg = "not yet"
            raise ValueError(msg)
        return ctx.attempt

    return ctx.step.run("flaky", flaky)


@function("retries", retries=2)
def retries(ctx: inngest.ContextSync) -> object:
    note(ctx, ctx.attempt)
    if ctx.attempt < 2:
        msg = "not yet"
        raise ValueError(msg)
    return ctx.attempt


@function("exhausted", retries=1)
def exhausted(ctx: inngest.ContextSync) -> object:
    note(ctx, ctx.attempt)
    msg = "never"
    raise ValueError(msg)


@function("retry_after", retries=1)
def retry_after(ctx: inngest.ContextSync) -> object:
    note(ctx, ctx.attempt)
    if ctx.attempt == 0:
        msg = "later"
        raise inngest.RetryAfterError(msg, 2 * SECOND)
    return "done"


@function("non_retriable", retries=3)
def non_retriable(ctx: inngest.ContextSync) -> object:
    note(ctx, ctx.attempt)
    msg = "no use"
    raise inngest.NonRetriableError(msg)


def on_failure(ctx: inngest.ContextSync) -> None:
    data: Any = ctx.event.data
    failed = {"run": data["run_id"], "function": data["function_id"]}
    about = {"key": data["event"]["data"]["key"], "at": 0}
    notes.append({**about, "what": {**failed, "message": data["error"]["message"]}})


@function("failing", retries=0, on_failure=on_failure)
def failing(_: inngest.ContextSync) -> object:
    msg = "it failed"
    raise ValueError(msg)


@function(
    "cancellable",
    cancel=[
        inngest.Cancel(event=f"{APP}/cancel", if_exp="event.data.key == async.data.key")
    ],
)
def cancellable(ctx: inngest.ContextSync) -> object:
    def begin() -> None:
        note(ctx, "begun")

    ctx.step.run("begin", begin)
    ctx.step.sleep("long", HOUR)
    note(ctx, "went on")
    return None


@function("batch", batch_events=inngest.Batch(max_size=3, timeout=SECOND, key=OWN_KEY))
def batch(ctx: inngest.ContextSync) -> object:
    return [event.data["n"] for event in ctx.events]


few = inngest.Batch(max_size=2, timeout=SECOND, key=OWN_KEY, if_exp="event.data.n > 0")


@function("batch_if", batch_events=few)
def batch_if(ctx: inngest.ContextSync) -> object:
    return [event.data["n"] for event in ctx.events]


at_most = inngest.Debounce(period=HOUR, timeout=SECOND, key=OWN_KEY)


@function("debounce_timeout", debounce=at_most)
def debounce_timeout(ctx: inngest.ContextSync) -> object:
    return ctx.event.data["n"]


@function("debounce", debounce=inngest.Debounce(period=SECOND, key=OWN_KEY))
def debounce(ctx: inngest.ContextSync) -> object:
    note(ctx, ctx.event.data["n"])
    return ctx.event.data["n"]


@function("rate_limit", rate_limit=inngest.RateLimit(limit=2, period=HOUR, key=OWN_KEY))
def rate_limit(ctx: inngest.ContextSync) -> object:
    return ctx.event.data["n"]


@function(
    "throttle",
    throttle=inngest.Throttle(limit=1, burst=0, period=SECOND, key=OWN_KEY),
)
def throttle(ctx: inngest.ContextSync) -> object:
    note(ctx, ctx.event.data["n"])
    return None


def held(ctx: inngest.ContextSync) -> object:
    def hold() -> None:
        note(ctx, f"start {ctx.event.data['n']}")
        time.sleep(ctx.event.data["hold"] / 1000)
        note(ctx, f"end {ctx.event.data['n']}")

    ctx.step.run("hold", hold)
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


def napping(ctx: inngest.ContextSync) -> object:
    ctx.step.sleep("nap", datetime.timedelta(milliseconds=ctx.event.data["nap"]))
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
def conditional(ctx: inngest.ContextSync) -> object:
    return ctx.event.name


@function("scheduled", inngest.TriggerCron(cron="TZ=Europe/Paris 0 9 * * *"))
def scheduled(_: inngest.ContextSync) -> object:
    return None


@function("large")
def large(ctx: inngest.ContextSync) -> object:
    def part() -> str:
        note(ctx, "part")
        return "x" * 1024 * 1024

    return sum(len(ctx.step.run(f"part {n}", part)) for n in range(5))


@function("infer")
def infer(ctx: inngest.ContextSync) -> object:
    url = f"{ctx.event.data['provider']}/v1"
    model = ai.openai.Adapter(auth_key="secret", base_url=url, model="small")
    try:
        body = {"messages": [{"role": "user", "content": ctx.event.data["say"]}]}
        return ctx.step.ai.infer("ask", adapter=model, body=body)
    except inngest.StepError as error:
        return {"error": error.name}


@function("encrypted", middleware=[EncryptionMiddleware.factory("a secret of ours")])
def encrypted(ctx: inngest.ContextSync) -> object:
    def tell() -> str:
        return "plain words"

    told = ctx.step.run("tell", tell)
    ctx.step.sleep("nap", 1)
    return told if ctx.event.data.get("open") else len(told)


@function("publishes")
def publishes(ctx: inngest.ContextSync) -> object:
    def tell(n: int) -> None:
        realtime.publish_sync(client, ctx.event.data["key"], "progress", {"n": n})

    ctx.step.run("first", tell, 1)
    ctx.step.wait_for_event("go", event=f"{APP}/go", timeout=HOUR)
    ctx.step.run("second", tell, 2)
    return "told"


web = flask.Flask(__name__)
inngest.flask.serve(web, client, functions)


@web.get("/notes")
def get_notes() -> flask.Response:
    key = flask.request.args["key"]
    return flask.jsonify([one for one in notes if one["key"] == key])


@web.post("/token")
def post_token() -> Any:
    channel, topics = flask.request.args["channel"], flask.request.get_json()
    return realtime.get_subscription_token_sync(client, channel, topics)


@web.post("/send")
def post_send() -> dict[str, Any]:
    events = flask.request.get_json()
    try:
        return {"ids": client.send_sync([inngest.Event(**event) for event in events])}
    except Exception as error:  # noqa: BLE001  # what there is is told
        return {"error": str(error), "ids": getattr(error, "ids", [])}


if __name__ == "__main__":
    web.run(host="127.0.0.1", port=int(os.environ["PORT"]), threaded=True)
