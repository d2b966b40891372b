"""FastAPI and durable functions in one process: `uvicorn fastapi_app:web`."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from shop import Order, engine, placed, state_of


web = FastAPI(lifespan=engine.lifespan)


@web.post("/orders", status_code=202)
async def place(order: Order) -> dict[str, str]:
    """Take an order: it is on disk when this answers."""
    (event_id,) = await engine.send(placed(order))
    return {"order": event_id}


@web.get("/orders/{event_id}")
async def look(event_id: str) -> dict[str, object]:
    """How far an order is."""
    state = await state_of(event_id)
    if state is None:
        raise HTTPException(404, f"there is no order {event_id}")
    return state
