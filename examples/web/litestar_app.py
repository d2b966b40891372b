"""Litestar and durable functions in one process: `uvicorn litestar_app:web`."""

from litestar import Litestar, get, post
from litestar.exceptions import NotFoundException
from shop import Order, engine, placed, state_of


@post("/orders", status_code=202)
async def place(data: Order) -> dict[str, str]:
    """Take an order: it is on disk when this answers."""
    (event_id,) = await engine.send(placed(data))
    return {"order": event_id}


@get("/orders/{event_id:str}")
async def look(event_id: str) -> dict[str, object]:
    """How far an order is."""
    state = await state_of(event_id)
    if state is None:
        text = f"there is no order {event_id}"
        raise NotFoundException(text)
    return state


web = Litestar([place, look], lifespan=[engine.lifespan])
