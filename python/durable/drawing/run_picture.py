"""One run as `durable runs show` draws it: what it is, its steps in time, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from .timeline import Bar, draw, legend, style_of
from .words import as_text, clip, length, moment, to_ms


if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from durable._limits import WaitingOn
    from durable._views import ErrorInfo, Run, Step

_RESULT_WIDTH = 400
_SHORT_WAIT_MS = 1
_SHOWN_EVENTS = 3
_SHOWN_FAILURES = 3


def picture_of(
    run: Run,
    now_ms: int,
    width: int,
    *,
    code_of: Callable[[ErrorInfo], str | None] | None = None,
) -> RenderableType:
    """The run, `width` columns wide; `code_of` knows what `durable explain` explains."""
    parts: list[RenderableType] = [_headline(run), _times(run, now_ms), Text()]
    bars = bars_of(run, now_ms)
    if bars:
        lasted = (to_ms(run.created_at) or now_ms, to_ms(run.ended_at))
        parts += [draw(bars, now_ms, width, within=lasted), legend(bars), Text()]
    if run.started_at is not None and run.ended_at is None and not run.steps:
        line = "its handler was called, and no step of it is recorded yet"
        parts.append(Text(line, style="dim"))
    parts += [_failed_step(step) for step in _failed_steps(run)]
    code = None if code_of is None or run.error is None else code_of(run.error)
    parts.append(_outcome(run, code))
    parts += [_wait_line(one, now_ms) for one in run.waiting_on]
    return Group(*parts)


def bars_of(run: Run, now_ms: int) -> list[Bar]:
    """The wait for the handler's first call, then the steps in the order in which they were asked for."""
    created = to_ms(run.created_at) or now_ms
    bars: list[Bar] = []
    started = to_ms(run.started_at)
    ended = started if started is not None else to_ms(run.ended_at)
    if ended is None or ended - created > _SHORT_WAIT_MS:
        bars.append(Bar("(waits for its start)", "wait", "queued", created, ended))
    steps = sorted(run.steps.values(), key=lambda step: to_ms(step.asked_at) or 0)
    bars.extend(_bar_of(step, created) for step in steps)
    return bars


def _bar_of(step: Step, created_ms: int) -> Bar:
    return Bar(
        name=step.name,
        kind=step.kind,
        status=step.status,
        began_at=to_ms(step.asked_at) or created_ms,
        ended_at=to_ms(step.ended_at),
        attempts=step.attempts,
        note=_note(step),
    )


_AWAITED = {
    "wait_for_signal": "a signal",
    "wait_for_event": "an event",
    "invoke": "another run",
}


def _note(step: Step) -> str:
    due = moment(step.due_at)
    notes = {
        "failed": clip(str(step.error), 80),
        "backing_off": f"failed; tried again at {due}",
        "sleeping": f"until {due}",
        "waiting": f"for {_AWAITED.get(step.kind, 'something')}, until {due}",
        "completed": _taken_over(step) or _tokens(step),
    }
    return notes.get(step.status, step.status)


def _taken_over(step: Step) -> str:
    """Said of a function that was called for the run which this one repeats."""
    is_called = step.attempts > 0 or step.kind != "run"
    return "" if is_called else "taken over"


def _tokens(step: Step) -> str:
    usage = step.usage
    if usage is None:
        return ""
    model = "" if usage.model is None else f"{usage.model}: "
    return f"{model}{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"


def _headline(run: Run) -> Text:
    line = Text(f"{run.function} ", style="bold")
    line.append(run.status, style=style_of(run.status))
    line.append(f"  run {run.id}", style="not bold")
    return line


def _times(run: Run, now_ms: int) -> Text:
    created = to_ms(run.created_at) or now_ms
    ended = to_ms(run.ended_at)
    lasted = length((now_ms if ended is None else ended) - created)
    so_far = " so far" if ended is None else ""
    line = f"created {moment(run.created_at, with_ms=True)}, lasted {lasted}{so_far}"
    repeats = "" if run.rerun_of is None else f", repeats run {run.rerun_of}"
    return Text(f"{line}\nstarted by {_events_of(run)}{repeats}", style="dim")


def _events_of(run: Run) -> str:
    first, *rest = run.event_ids
    if len(rest) < _SHOWN_EVENTS:
        return f"event {', '.join(run.event_ids)}"
    return f"{len(run.event_ids)} events, the first of them {first}"


def _stack_of(run: Run, error: ErrorInfo) -> str:
    """Where it was raised: inside the step, where a step's error ended the run."""
    step = _step_of(run, error)
    own = "" if step is None or step.error is None else step.error.stack
    return own or error.stack


def _step_of(run: Run, error: ErrorInfo | None) -> Step | None:
    """The step whose error ended the run, as `StepError` says it."""
    for step in reversed([*run.steps.values()]):
        if error is not None and step.error is not None:
            said = f"step '{step.name}' failed: {step.error.name}: {step.error.message}"
            if error.message in {said, step.error.message}:
                return step
    return None


def _failed_steps(run: Run) -> list[Step]:
    """Those whose errors did not end the run, with where they were raised."""
    last = _step_of(run, run.error)
    failed = [step for step in run.steps.values() if step.error is not None]
    told = [one for one in failed if one is not last and one.error and one.error.stack]
    return told[-_SHOWN_FAILURES:]


def _failed_step(step: Step) -> Text:
    text = Text(f"step '{step.name}' failed: {step.error}", style="red")
    stack = "" if step.error is None else step.error.stack.rstrip()
    return text.append(f"\n{stack}\n", style="dim")


def _wait_line(wait: WaitingOn, now_ms: int) -> Text:
    """Why something of it does not go on, as a sentence."""
    who = "it" if wait.step is None else f"step '{wait.step}'"
    line = f"{who} waits {_reason(wait)}"
    if wait.ahead:
        line += f", {wait.ahead} before it"
    if wait.at is not None:
        left = (to_ms(wait.at) or now_ms) - now_ms
        when = f"until {moment(wait.at)}"
        line += f", {when}, {length(left)} from now" if left > 0 else f", {when}"
    return Text(line, style="yellow")


_REASONS = {
    "sleep": "for the end of its sleep",
    "retry": "for its next try",
    "event": "for the moment of its event",
    "debounce": "for its debounce: it must be quiet",
    "batch": "for more events of its batch",
    "paused": "for its function, which is paused",
    "executor": "for a process that executes its function",
    "capacity": "for room: as much executes as max_in_flight allows",
    "turn": "for its turn",
}


def _reason(wait: WaitingOn) -> str:
    if wait.on in _REASONS:
        return _REASONS[wait.on]
    shown = _shown(wait.value)
    whose = "" if wait.key is None else f" for {wait.key} = {shown}"
    named = {
        "signal": f"for the signal {shown!r}",
        "wait_for_event": f"for the event {shown!r}",
        "invoke": f"for run {shown}, which it invoked",
        "throttle": f"for its throttle{whose}",
    }
    return named.get(
        wait.on, f"for {wait.on}{whose}: {wait.taken} of {wait.limit} taken"
    )


def _shown(value: str | None) -> str:
    return "(none)" if value is None else clip(value, 40)


def _outcome(run: Run, code: str | None) -> Text:
    if run.error is not None:
        text = Text(str(run.error), style="red")
        stack = _stack_of(run, run.error)
        if stack:
            text.append(f"\n{stack.rstrip()}", style="dim")
        if code:
            text.append(f"\nmore: durable explain {code}", style="dim")
        return text
    if run.due_at is not None:
        return Text(f"its code is tried again at {moment(run.due_at)}", style="yellow")
    if run.status == "completed":
        return Text(
            f"returned {clip(as_text(run.result), _RESULT_WIDTH)}", style="green"
        )
    return Text()
