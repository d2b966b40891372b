"""What the tests of flow control share: work that says how much of it executes at one instant."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest


if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Gauge:
    """Counts what executes, by any word, and what the most was."""

    def __init__(self) -> None:
        self.now: Counter[Any] = Counter()
        self.most: Counter[Any] = Counter()
        self.total: Counter[Any] = Counter()
        self.order: list[Any] = []

    @asynccontextmanager
    async def count(self, *words: Any) -> AsyncIterator[None]:
        """Executes for some passes of the loop, counted under each of these words."""
        self.order.append(words[0] if len(words) == 1 else words)
        for word in words:
            self.now[word] += 1
            self.total[word] += 1
            self.most[word] = max(self.most[word], self.now[word])
        for _ in range(10):
            await asyncio.sleep(0)  # noqa: TID251  # a pass of the loop
        yield
        for word in words:
            self.now[word] -= 1


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()
