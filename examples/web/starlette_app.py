"""Starlette and durable functions in one process: `uvicorn starlette_app:web`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shop import Order, engine, placed, state_of
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route


if TYPE_CHECKING:
    from starlette.requests import Request


async def place(request: Request) -> JSONResponse:
    """Take an order: it is on disk when this answers."""
    order = Order.model_validate_json(await request.body())
    (event_id,) = await engine.send(placed(order))
    return JSONResponse({"order": event_id}, status_code=202)


async def look(request: Request) -> JSONResponse:
    """How far an order is."""
    event_id = request.path_params["event_id"]
    state = await state_of(event_id)
    if state is None:
        raise HTTPException(404, f"there is no order {event_id}")
    return JSONResponse(state)


web = Starlette(
    routes=[
        Route("/orders", place, methods=["POST"]),
        Route("/orders/{event_id}", look),
    ],
    lifespan=engine.lifespan,
)
