"""What steps are called: an id may be used again."""

from __future__ import annotations


class StepNames:
    """The names of a run's steps: an id used again gets a counter, in order of use."""

    __slots__ = ("_counts", "_taken")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._taken: set[str] | None = None  # made when an id is used again

    def next(self, step_id: str) -> str:
        """The name of the next use of this id: `id`, `id:1`, `id:2`."""
        count = self._counts.get(step_id, 0)
        self._counts[step_id] = count + 1
        if self._taken is None:
            if count == 0:
                return step_id
            self._taken = {*self._counts}
        name = f"{step_id}:{count}" if count else step_id
        while name in self._taken:
            count += 1
            name = f"{step_id}:{count}"
        self._taken.add(name)
        return name

    def __contains__(self, name: str) -> bool:
        """Whether the code has made a step of this name."""
        return name in (self._counts if self._taken is None else self._taken)
