"""What a run is told whose code, changed meanwhile, no longer fits what is remembered of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from ._errors import NonDeterminismError


if TYPE_CHECKING:
    from ._function import Function


#: Kinds of steps, as the engine calls them, in the words of who writes them.
_WRITTEN: Final = {
    "run": "calls a function (as `step.run` does)",
    "sleep": "sleeps (`step.sleep`, `step.sleep_until`)",
    "wait_for_signal": "waits for a signal (`step.wait_for_signal`)",
    "wait_for_event": "waits for an event (`step.wait_for_event`)",
    "invoke": "invokes a function (`step.invoke`)",
}


class Owner(Protocol):
    """The run that the step belongs to."""

    id: str
    function: Function[Any, Any]


class Call(Protocol):
    """The step that the code comes to."""

    kind: ClassVar[str]
    name: str

    @property
    def run(self) -> Owner: ...
    def where(self) -> str: ...


def error_of_kind(call: Call, recorded: str) -> NonDeterminismError:
    """The step is one of another kind now."""
    was, now = _WRITTEN.get(recorded, recorded), _WRITTEN.get(call.kind, call.kind)
    return _error(
        call,
        f"it was recorded as a step that {was}; the code now has a step that {now}",
        "Give the new step an id of its own, or make it again what it was",
    )


def error_of_type(call: Call, misfit: NonDeterminismError) -> NonDeterminismError:
    """What is recorded of the step does not fit what the code expects; `misfit` says what of it."""
    makers = call.run.function.stack.makers()
    if makers:
        return _error(
            call,
            str(misfit),
            f"{makers}: let it keep the type, or turn it back in `transform_input`. Where it is the code that has changed: "
            "make the declared type take what was recorded too, or give the step another id",
        )
    return _error(
        call,
        str(misfit),
        "Make the declared type take what was recorded too (a default for a new field, a union of both), or "
        "give the step another id, so that it executes again",
    )


def _error(call: Call, what: str, remedy: str) -> NonDeterminismError:
    run = call.run
    text = (
        f"the code of function '{run.function.id}' no longer fits what is remembered of this run. Step "
        f"'{call.name}' ({call.where()}): {what}. {remedy}; then repeat this run from there: "
        f"durable runs rerun {run.id} --from-step '{call.name}'"
    )
    return NonDeterminismError(text)


def error_of_other_step(call: Call, recorded: str) -> NonDeterminismError:
    """The same code, called again at once, has come to another step: it would come to a new one at each replay."""
    text = (
        f"function '{call.run.function.id}' came to step '{call.name}' ({call.where()}) where its last call, a moment before, "
        f"came to step '{recorded}', which is recorded: the handler is called again after a restart, and a step is found by its "
        "id. Let an id depend on the event and on what steps have returned, not on a count, the time or the order of a set"
    )
    return NonDeterminismError(text)
