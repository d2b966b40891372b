"""What runs wait for that neither execute nor are about to, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .output import count, moment


if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable import Engine

#: So many runs are looked at for the first moment.
_MOST_READ: Final = 50
_SAID: Final = {
    "sleep": ("sleeps", "sleep"),
    "retry": ("waits for its next try", "wait for their next try"),
    "events": ("gathers events", "gather events"),
}


def waits_of(parked: Mapping[str, int]) -> str:
    """As in `2 runs sleep, 1 run waits for its next try`; empty where none waits for what comes by itself."""
    return ", ".join(
        f"{count(parked[kind], 'run')} {one if parked[kind] == 1 else many}"
        for kind, (one, many) in _SAID.items()
        if parked.get(kind)
    )


async def what_is_waited_for(engine: Engine) -> str:
    """The same of all of an engine's runs, with the moment at which the first goes on where they are few; empty while something executes."""
    functions = engine.stats()["functions"].values()
    if any(one["queued"] or one["running"] for one in functions):
        return ""
    parked = {kind: sum(one["parked"][kind] for one in functions) for kind in _SAID}
    line = waits_of(parked)
    parked_count = sum(sum(one["parked"].values()) for one in functions)
    if not line or parked_count > _MOST_READ:
        return line
    listed = await engine.runs.list(status="parked", limit=_MOST_READ)
    runs = [await engine.runs.get(one.id) for one in listed]
    timed = ("sleep", "retry", "event", "debounce", "batch")
    waits = [one for run in runs for one in run.waiting_on]
    moments = [one.at for one in waits if one.at is not None and one.on in timed]
    return f"{line}, the first until {moment(min(moments))}" if moments else line
