"""How far a handler may go on before the results of its steps are on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ._duration import Duration
from ._setting import Place


#: No run has more steps.
MAX_BUFFERED_STEPS: Final = 1_000

_FORMS: Final = "Checkpointing(...), as in Checkpointing(buffered_steps=10)"
_SHORTEST: Final = "1ms"
_LONGEST: Final = "1d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointing:
    """A handler goes on before the results of its steps are on disk, for so many steps, so long.

    By default it waits for each. Results are recorded in any case, in order and without delay; what changes is that the
    code does not wait for that. What this risks: where a process dies, or the function is paused, up to
    `buffered_steps` steps whose results the code had gone on with are executed again, beside the one that executed
    at that moment. They may give other results then, and what the code and its steps did with the first ones has
    happened. So a step may be called again behind its `await`, and code hears up to `buffered_steps` steps later
    that its run was called off. What the engine does for a run is never ahead of the disk: a sleep, a wait, an
    invoke, steps in parallel, `step.send_event`, `ctx.publish` and the run's end come about once all before
    them is on disk, or together with it. It is for quick steps one after the other that may be repeated.

    It concerns steps that are awaited alone; those in parallel have slots of their own, and wait as ever. With
    `replay="always"` it counts as `buffered_steps=0`.

    Attributes:
        buffered_steps: with so many results that are not on disk the code goes on, 0 to 1,000; 0 by default.
        max_interval: a result that has waited for the disk for so long (1 ms to 1 day) holds up the code at its next
            step; by default it may wait for as long as it takes.
        max_runtime: after going on for so long (1 ms to 1 day) the code waits until all is on disk, and begins to
            count anew; also where a stretch begins, as after a sleep. By default it never needs to.

    Raises:
        ConfigError: out of `app.function`, naming the function, where something of this does not hold.
    """

    buffered_steps: int = 0
    max_interval: Duration | None = None
    max_runtime: Duration | None = None


class Leeway(NamedTuple):
    """A `Checkpointing`, checked; lengths in seconds, infinite where there is no limit."""

    steps: int
    interval_s: float
    runtime_s: float


def read_checkpointing(place: Place, given: Any) -> Leeway | None:
    """How far a handler may go on; nothing where it is to wait for each step.

    Raises:
        ConfigError: a setting is wrong, or means nothing.
    """
    if given is None:
        return None
    it = place.instance(given, Checkpointing, _FORMS)
    within = place.within("buffered_steps")
    steps = within.whole_number(it.buffered_steps, 0, MAX_BUFFERED_STEPS)
    interval_s = _seconds(place.within("max_interval"), it.max_interval)
    runtime_s = _seconds(place.within("max_runtime"), it.max_runtime)
    if steps > 0:
        return Leeway(steps, interval_s, runtime_s)
    if min(interval_s, runtime_s) < math.inf:
        reason = "limits nothing: the handler waits for each step"
        accepted = "buffered_steps of 1 or more beside max_interval and max_runtime"
        raise within.error(it.buffered_steps, reason, accepted)
    return None


def _seconds(place: Place, given: Duration | None) -> float:
    if given is None:
        return math.inf
    return place.duration_between_ms(given, _SHORTEST, _LONGEST) / 1000
