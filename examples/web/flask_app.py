"""Flask and durable functions in one process: `python flask_app.py [PORT]`.

Flask's views are plain functions on threads. The engine lives on a loop of its own in another thread, which anyio's
portal starts and calls.
"""

from __future__ import annotations

import sys

from anyio.from_thread import BlockingPortal, start_blocking_portal
from flask import Flask, abort, request
from shop import Order, engine, placed, state_of


web = Flask(__name__)
portals: list[BlockingPortal] = []


@web.post("/orders")
def place() -> tuple[dict[str, str], int]:
    """Take an order: it is on disk when this answers."""
    (event_id,) = engine.send_sync(placed(Order.model_validate(request.get_json())))
    return {"order": event_id}, 202


@web.get("/orders/<event_id>")
def look(event_id: str) -> dict[str, object]:
    """How far an order is."""
    state = portals[0].call(state_of, event_id)
    if state is None:
        abort(404, f"there is no order {event_id}")
    return state


if __name__ == "__main__":
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(engine):
        portals.append(portal)
        web.run(port=int(sys.argv[1]) if sys.argv[1:] else 8000)
