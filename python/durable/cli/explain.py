"""`durable explain CODE`: what an error means and what to do, for every code of the package."""

from __future__ import annotations

import difflib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durable._errors import BLOCKED_LOOP, LATE_FUNCTION, PAST_MOMENT, all_errors

from .failure import CommandError


if TYPE_CHECKING:
    from durable._errors import DurableError


@dataclass(frozen=True, slots=True)
class Explanation:
    """One error in words.

    Attributes:
        code: its code, which never changes; empty for what only the engine gives a run.
        name: its class in Python, or the name a run's error carries.
        meaning: what has happened.
        remedy: what to do.
    """

    code: str
    name: str
    meaning: str
    remedy: str


def explain(asked: str) -> Explanation:
    """The error of this code or name, in any letter case.

    Raises:
        CommandError: there is none.
    """
    known = explanations()
    wanted = asked.strip().upper()
    for one in known:
        if wanted in {one.code, one.name.upper(), one.code.removeprefix("DUR-")} - {""}:
            return one
    names = [one.code for one in known if one.code] + [
        one.name.upper() for one in known
    ]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    hint = f"Near it: {', '.join(near)}. " if near else ""
    text = f"there is no error {asked!r}"
    raise CommandError(text, f"{hint}`durable explain` lists them all.")


def explanations() -> list[Explanation]:
    """Every error, by code."""
    ours = sorted((_of(error) for error in all_errors()), key=lambda one: one.code)
    return [*ours, *WARNINGS, *ENGINE_ERRORS]


def engine_error(name: str) -> str | None:
    """The name itself, where the engine gives runs errors of this name."""
    return name if any(one.name == name for one in ENGINE_ERRORS) else None


def _of(error: type[DurableError]) -> Explanation:
    meaning = inspect.cleandoc(error.__doc__ or "").split("\nAttributes:")[0].strip()
    meaning = re.sub(r"(?<!\n)\n(?!\n)", " ", meaning)  # the screen breaks lines
    return Explanation(
        error.code, error.__name__, meaning, REMEDIES.get(error.code, "")
    )


REMEDIES = {
    "DUR-0001": "The class of the error that was raised says more: catch `durable.DurableError` to catch "
    "all of them.",
    "DUR-0100": "The message names the function, the argument and what it accepts. Settings are checked "
    "when the decorator runs, so the traceback ends at the line to change.",
    "DUR-0200": "The message says what is accepted in place of a wrong id, name or length. Otherwise: change the "
    "handler so that each step is made by the handler itself and awaited there.",
    "DUR-0201": "Call the inner function directly (it is then a part of the outer step), or move the "
    "inner step out of the outer one's function.",
    "DUR-0202": "Write `await` before the step that the message names, or hand it to asyncio.gather.",
    "DUR-0203": "Put what decides (the time, chance, a global, a request) into a step, so that its "
    "result is remembered. After a change of the code: let the declared type take what was "
    "recorded too (a default for a new field, a union of old and new), or give a step whose result has another "
    "shape, or which is of another kind now, another id; keep a step that is being tried until its runs have ended. "
    "Then `durable runs rerun RUN_ID --from-step STEP` repeats the run from the step that the message "
    "names: what came before it stays as it is.",
    "DUR-0300": "Return what JSON can say: dict, list, str, int, float, bool, None, or a pydantic model "
    "or dataclass with a return annotation. The path in the message leads to the value that is not.",
    "DUR-0301": "Store what is large elsewhere (a file, a bucket, a table) and pass a reference to it. "
    "Limits: 4 MB an event, 4 MB a step's output, 32 MB a run's state.",
    "DUR-0302": "Where a key is missing, give `Encryption` that key too, behind the first. Where something was moved or "
    "changed, somebody has written into the store: restore it, or repeat the run with `durable runs rerun RUN_ID`.",
    "DUR-0400": "Nothing, if it was meant: the run fails at once. Raise another exception where trying "
    "again may help.",
    "DUR-0401": "Nothing: the step is tried again after the time it gave, until its tries are used up.",
    "DUR-0402": "`durable runs show RUN_ID` shows the step's tries and its last error. Catch StepError "
    "at the await to go on without the step; raise `retries` where more tries would help. Once the cause is mended, "
    "`durable runs rerun RUN_ID` repeats the run, with `--from-step STEP` from the step that failed: what came before it "
    "stays as it is.",
    "DUR-0403": "The message has the provider's words. Of a refusal (a status of 400 to 499): change the body, the model "
    "or the key; an account may be empty. Else raise `retries`, or limit how often models are asked with `throttle` "
    "or `concurrency`.",
    "DUR-0500": "`durable runs show RUN_ID` shows how the invoked run ended.",
    "DUR-0501": "The run goes on: wait further with `engine.runs.wait(run_id)`, or give a longer timeout.",
    "DUR-0502": "Somebody called the run off. Invoke it again if it is still wanted.",
    "DUR-0503": "Look at the id and the store (`--store PATH`, DURABLE_STORE). Ended runs are deleted "
    "after their retention.",
    "DUR-0504": "Names that begin with durable/ or inngest/ are the engine's own; a name has 1 to 256 "
    "bytes; data is a JSON object at most 64 deep.",
    "DUR-0505": "`durable runs list --status parked` shows who waits. Send the signal again once its waiter has "
    "come to `wait_for_signal`: it is not kept for later; an event is.",
    "DUR-0600": "Use the engine inside `async with durable.Engine(app) as engine:`, on the loop that "
    "opened it.",
    "DUR-0601": "Open the engine after the fork: in gunicorn's post_fork hook, in the worker's start-up, "
    "or use multiprocessing's spawn method.",
    "DUR-0602": "Start the process again. Nothing that was acknowledged is lost; the message says what "
    "failed. Where the store is the reason, run `durable store check PATH` first.",
    "DUR-0700": "The message names the file. Free some space, or repair rights or mount; then "
    "`durable store check PATH`. A damaged store is made new from a backup: `durable store restore`.",
    "DUR-0701": "One process owns a store, and others reach it through that one, of the same version. The message says "
    "why this one could not: stop the process that it names, or give this one a store of its own with --store PATH.",
    "DUR-0702": "Look whether it was done (`durable runs list`, `durable schedules list`), then ask again. Where nobody owns "
    "the store any more, the next process that opens it does.",
}
"""What to do, by code."""

WARNINGS = [
    Explanation(
        BLOCKED_LOOP,
        "BlockedLoop",
        "A warning: a step or a handler did not let the event loop turn for half a second or more, and nothing else of its "
        "process went on meanwhile.",
        "The warning has the line. Let a thread call it (`ctx.step.options(blocking=True).run(...)`, or a plain `def` handler), or "
        "await something that does not block, as httpx in place of requests. `Engine(blocked_after=...)` sets the length; None "
        "turns it off.",
    ),
    Explanation(
        PAST_MOMENT,
        "PastMoment",
        "A warning: a step was to sleep until a moment that had passed before its run's event came, so it did not sleep.",
        "Look at the moment's day and time zone. Where it may well have passed, as a date in an event, do not sleep then.",
    ),
    Explanation(
        LATE_FUNCTION,
        "LateFunction",
        "A warning: a function was added to an application on which an engine was open, which does not execute it.",
        "Define all functions before `async with durable.Engine(app)`, or close the engine and open it again.",
    ),
]
"""What is logged as a warning and fails nothing."""

ENGINE_ERRORS = [
    Explanation(
        "",
        "StepLimitExceeded",
        "A run came upon more steps than a run may have: 1,000 in all, 10,000 waiting at a time.",
        "Do several things in one step, or start a run of its own for each part by sending events.",
    ),
    Explanation(
        "",
        "OutputTooLarge",
        "What a step or a handler returned has more than 4 MB of JSON.",
        "Store it elsewhere and return a reference to it.",
    ),
    Explanation(
        "",
        "StateTooLarge",
        "The results of a run's steps have more than 32 MB of JSON together.",
        "Store them elsewhere and return references, or split the work into several runs.",
    ),
    Explanation(
        "",
        "SleepTooLong",
        "A step wanted to sleep, or to wait, for more than 366 days.",
        "Sleep in parts, or send an event with a `ts` in the future.",
    ),
    Explanation(
        "",
        "SignalConflict",
        "A step wanted to wait for a signal that another run waits for: a signal has one waiter.",
        'Put what tells the runs apart into the signal\'s name, or say `on_conflict="replace"`: then the other '
        "is given None at once.",
    ),
    Explanation(
        "",
        "InvalidSignal",
        "A signal's name is empty or has more than 256 bytes: the engine's own word. In Python a UsageError says so first.",
        "Give it a short name, as in f'approval/{order_id}'.",
    ),
    Explanation(
        "",
        "InvalidStepId",
        "A step's id is empty or has more than 256 bytes.",
        "Give the step a short id; put what varies into its arguments.",
    ),
]
"""What the engine itself fails a run with; `durable runs show` names it."""
