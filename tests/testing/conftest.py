"""What tests of the testing kit share: an application to be tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

import durable


Replay = Literal["needed", "always"]


@pytest.fixture(params=["needed", "always"], ids=["live", "replay"])
def replay(request: pytest.FixtureRequest) -> Replay:
    made: Replay = request.param
    return made


class Shop:
    """An application that notes what was done outside."""

    def __init__(self) -> None:
        self.app = durable.App("shop")
        self.done: list[str] = []

    def do(self, what: str) -> str:
        self.done.append(what)
        return f"{what} done"

    def function(self, handler: Callable[..., Any], **settings: Any) -> Any:
        return self.app.function(**settings)(handler)


@pytest.fixture
def shop() -> Shop:
    return Shop()
