"""What web applications open an engine by, and what is told where they do not."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from ._errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

#: How each takes the engine's lifespan, by its module: the first of those that are imported counts.
_FRAMEWORKS: Final = {
    "litestar": "Litestar(..., lifespan=[engine.lifespan])",
    "fastapi": "FastAPI(lifespan=engine.lifespan)",
    "starlette": "Starlette(..., lifespan=engine.lifespan)",
}
_FASTAPI: Final = _FRAMEWORKS["fastapi"]


class Lifespan(contextlib.AbstractAsyncContextManager[dict[str, Any]]):
    """An engine that is open while a web application is."""

    __slots__ = ("_engine",)

    def __init__(self, engine: contextlib.AbstractAsyncContextManager[object]) -> None:
        self._engine = engine

    @override
    async def __aenter__(self) -> dict[str, Any]:
        await self._engine.__aenter__()
        return {}

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._engine.__aexit__(kind, error, traceback)

    if not TYPE_CHECKING:  # checkers refuse it

        def __call__(self, *_given: object) -> None:
            text = f"engine.lifespan is given as it is, without (): {_FASTAPI}"
            raise UsageError(text)


def why_called() -> str:
    """What to tell of an engine that is called."""
    return f"an engine is not called; a web application takes its lifespan: {_FASTAPI}"


def why_closed(modules: Mapping[str, object] = sys.modules) -> str:
    """What to tell of an engine that is not open; `modules`: what is imported."""
    text = "the engine is not open: use it inside `async with Engine(...)`"
    used = [way for name, way in _FRAMEWORKS.items() if name in modules]
    if not used:
        return text
    return (
        f"{text}. In a web application: {used[0]}, and in its tests `with TestClient(...) as client`, without "
        "which no lifespan begins"
    )
