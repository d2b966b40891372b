"""How much a worker takes on in one pass of its loop: as much as a pass of 50 ms has room for.

What a pass has done is handed over at its end, so a process that dies in it repeats it. Slow code gets short
passes: then a process that dies again and again at the same place has still kept what came before.
"""

from __future__ import annotations

import time
from typing import Final


_PASS_S: Final = 0.05
_FIRST_COST_S: Final = 0.001
_MOST: Final = 1024
_FORGETTING: Final = 0.75  # of a costly piece of work, in each pass


class Pace:
    """The size of the next pass, from what the pieces of work before have cost.

    Attributes:
        limit: how many pieces the next pass may have.
        done: how many this pass has had.
    """

    __slots__ = ("_began_at", "_cost_s", "done", "limit")

    def __init__(self) -> None:
        self._began_at = 0.0
        self._cost_s = _FIRST_COST_S
        self.limit = int(_PASS_S / _FIRST_COST_S)
        self.done = 0

    def begin(self, *, follows: bool) -> None:
        """A pass begins; it `follows` the last one where the loop did not wait between them."""
        now = time.monotonic()
        if follows and self.done:
            cost_s = (now - self._began_at) / self.done
            self._cost_s = max(cost_s, self._cost_s * _FORGETTING, _PASS_S / _MOST)
            self.limit = max(1, int(_PASS_S / self._cost_s))
        self._began_at = now
        self.done = 0
