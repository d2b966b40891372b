"""What unit tests of serving share: calls as a server makes them."""

from __future__ import annotations

from typing import Any

import orjson

import durable
from durable._serving.exchange import Reply, Request
from durable._serving.names import hash_of


URL = "http://127.0.0.1:8000/api/durable"
RUN = "01M80PMN50QVNRV8B5HVP6E000"


def body(steps: dict[str, Any] | None = None, **about: Any) -> bytes:
    """A call's body; `steps` by their names, in the order of recording."""
    memos = {hash_of(name): memo for name, memo in (steps or {}).items()}
    event = {
        "name": "shop/placed",
        "data": {"n": 1},
        "id": "e1",
        "ts": 7,
        "user": {},
    }
    event |= about.pop("event", {})
    ctx: dict[str, Any] = {"run_id": RUN, "attempt": 0, "max_attempts": 3}
    ctx |= {"stack": {"stack": list(memos), "current": len(memos)}, **about}
    return orjson.dumps(
        {"ctx": ctx, "event": event, "events": [event], "steps": memos, "version": 2}
    )


def request(method: str = "POST", **given: Any) -> Request:
    """A request; a call of `shop-work` where nothing else is said."""
    fields: dict[str, Any] = {
        "url": URL,
        "query": {"fnId": "shop-work", "stepId": "step"},
        "headers": {},
        "body": body() if method == "POST" else b"",
        "framework": "test",
    }
    return Request(method=method, **(fields | given))


def endpoint_of(handler: Any, *, on: Any = "shop/placed", **settings: Any) -> Any:
    """An endpoint with one function, `work`, for a server that nobody asks."""
    app = durable.App("shop")
    app.function("work", on=on, **settings)(handler)
    return durable.serve(app, server="http://127.0.0.1:1", is_dev=True)


def ops_of(reply: Reply) -> list[tuple[Any, ...]]:
    """What is asked for: each op's word, its step, and its data where it has any."""
    assert reply.status == 206, reply.body
    return [
        (op["op"], op.get("displayName"), *([op["data"]] if "data" in op else []))
        for op in orjson.loads(reply.body)
    ]
