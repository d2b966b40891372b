"""Django and durable functions in one process: `python django_app.py runserver --noreload [PORT]`.

The views are async, but Django runs each on whatever loop it likes. The engine lives on a loop of its own in another
thread, which anyio's portal starts and calls; `engine.send` may be called from any loop.
"""

from __future__ import annotations

import sys

from anyio.from_thread import BlockingPortal, start_blocking_portal
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from shop import Order, engine, placed, state_of


settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
portals: list[BlockingPortal] = []


async def place(request: HttpRequest) -> JsonResponse:
    """Take an order: it is on disk when this answers."""
    (event_id,) = await engine.send(placed(Order.model_validate_json(request.body)))
    return JsonResponse({"order": event_id}, status=202)


def look(_request: HttpRequest, event_id: str) -> JsonResponse:
    """How far an order is."""
    state = portals[0].call(state_of, event_id)
    if state is None:
        return JsonResponse({"detail": f"there is no order {event_id}"}, status=404)
    return JsonResponse(state)


urlpatterns = [path("orders", place), path("orders/<event_id>", look)]


if __name__ == "__main__":
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(engine):
        portals.append(portal)
        execute_from_command_line(sys.argv)
