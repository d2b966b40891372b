"""Litestar and durable functions in one process: `uvicorn litestar_app:web`."""

from litestar import Litestar, get, post
from shop import Order, engine, placed


@post("/orders", status_code=202)
async def place(data: Order) -> dict[str, str]:
    """Take an order: it is on disk when this answers."""
    (event_id,) = await engine.send(placed(data))
    return {"order": event_id}


@get("/orders/{event_id:str}")
async def look(event_id: str) -> dict[str, object]:
    """How far an order is."""
    (run,) = await engine.events.runs(event_id)
    return {"status": run.status, "result": run.result}


web = Litestar([place, look], lifespan=[engine.lifespan])
