"""Every exception a user can meet, each with a stable code that `durable explain` describes.

DurableError
├── ConfigError                 a decorator's or the engine's setting is wrong
├── UsageError                  the handler's code uses steps in a way that cannot work
│   ├── NestedStepError         a step inside a step
│   └── StepNotAwaitedError     a step was made and never awaited
├── NonDeterminismError         the code, called again, no longer fits what is remembered
├── SerializationError          a value is not JSON, or JSON does not fit its type
├── DecryptionError             what is encrypted was moved or changed, or its key is missing
├── PayloadTooLarge             an event or a result exceeds its limit
├── NonRetriableError           raised by users: do not try again
├── RetryAfterError             raised by users: try again after so long
├── ProviderError               a model's provider refused, failed or did not answer
├── StepError                   a step has used up its tries
├── InvokeError                 an invoked run did not complete
│   ├── InvokeTimeoutError      it did not end in time; it goes on
│   └── RunCancelled            it was called off
├── NotFoundError               there is no such run, event or function
│   └── SignalNotFound          nobody waits for this signal
├── EventRefused                the engine does not accept this event
├── EngineClosed                the engine is not open, or no longer
├── ForkedEngineError           an engine opened before a fork was used after it
├── EngineFailed                the engine met a broken invariant and has stopped
└── StoreError                  the store cannot be opened, read or written
    ├── StoreLocked             another process has it open
    └── OwnerLost               the process that has it open ended before it answered, or is not reached
"""

# ruff: noqa: N818  # the names are those of the API page

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from ._duration import ACCEPTED, Duration, DurationError, to_seconds_within


if TYPE_CHECKING:
    from collections.abc import Iterator


#: What the names of our own files begin with: no line of theirs is where a user's mistake is.
OWN: Final = str(Path(__file__).parent) + os.sep
#: What is logged as a warning has a code as well.
BLOCKED_LOOP: Final = "DUR-0800"
PAST_MOMENT: Final = "DUR-0801"
LATE_FUNCTION: Final = "DUR-0802"


class DurableError(Exception):
    """What every error of this package derives from."""

    code: ClassVar[str] = "DUR-0001"


class ConfigError(DurableError, ValueError):
    """A setting is wrong: its message names the function, the argument and the accepted forms."""

    code = "DUR-0100"


class UsageError(DurableError):
    """A handler uses steps in a way that cannot work. Trying again would not help, so nothing is."""

    code = "DUR-0200"


class NestedStepError(UsageError):
    """A step was used inside the function of another step.

    The inner one could not be remembered on its own: call its function directly, or move it out.
    """

    code = "DUR-0201"


class StepNotAwaitedError(UsageError):
    """A handler returned although a step it made was never awaited, so its function never ran."""

    code = "DUR-0202"


class NonDeterminismError(DurableError):
    """A handler, called again, no longer fits what is remembered of its run.

    Its code changed while the run slept, or it decides by something outside of steps (time, chance, a
    global). What is remembered is found by step id, so inserting, removing and reordering steps is no such
    thing. It is where what a step has recorded does not fit the type that the step's function declares
    now, where a step of this id was of another kind (a sleep is a function now, or the other way round), and
    where a step that was about to be tried is no longer there. With `replay="always"` also where the handler's
    own code calls `time.time`, `random.random`, `uuid4` or the like between its steps.

    The run fails at once and alone; its handler cannot catch it. The message names the function, the step
    and its line, what was recorded, what the code expects now, and the path within the value.
    """

    code = "DUR-0203"


class SerializationError(DurableError, TypeError):
    """A value cannot be written as JSON, or JSON cannot be read as the type that was declared.

    The message has the path to the value, as in `result.items[3].lock`.
    """

    code = "DUR-0300"

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def of_function(self, function_id: str) -> SerializationError:
        """The same error, with the function whose step or handler it came from."""
        return self.within(f"function '{function_id}'")

    def within(self, whose: str) -> SerializationError:
        """The same error, with what the value belongs to, as `event 'shop/order.placed'`."""
        self.args = (f"{whose}: {self}", *self.args[1:])
        return self


class DecryptionError(DurableError):
    """What `durable.middleware.Encryption` is to decrypt was moved or changed, or its key is not among those given."""

    code = "DUR-0302"


class PayloadTooLarge(DurableError, ValueError):
    """An event, a step's output or a run's state exceeds its limit: store it elsewhere, pass a reference."""

    code = "DUR-0301"


class NonRetriableError(DurableError):
    """Raise it in a step or a handler to say that trying again would not help."""

    code = "DUR-0400"


class RetryAfterError(DurableError):
    """Raise it in a step or a handler to say when to try again (1 s to 24 h; more or less is cut).

    `retry_after` takes every form of a duration: `"30s"`, 30, `timedelta(seconds=30)`. What is no duration
    raises a `ValueError` instead, which is tried again as any other.
    """

    code = "DUR-0401"

    def __init__(self, message: str, retry_after: Duration) -> None:
        super().__init__(message)
        try:
            self.retry_after = to_seconds_within(retry_after, 1.0, 86_400.0)
        except DurationError as error:
            text = f"RetryAfterError: retry_after={retry_after!r} {error}; accepted: {ACCEPTED}"
            raise ValueError(text) from None


class StepError(DurableError):
    """A step has used up its tries, or said that trying again would not help.

    Raised at the step's `await`. Caught, the run goes on; not caught, the run fails.

    Attributes:
        step_id: the step's name, with its counter where its id is used more than once.
        name: the name of the exception that the step's function raised last.
        message: that exception's message.
        stack: its traceback, shortened.
    """

    code = "DUR-0402"

    def __init__(self, step_id: str, name: str, message: str, stack: str = "") -> None:  # noqa: PLR0917  # each is one thing the caller has at hand
        super().__init__(f"step '{step_id}' failed: {name}: {message}")
        self.step_id = step_id
        self.name = name
        self.message = message
        self.stack = stack


class ProviderError(DurableError):
    """The provider of a model refused what `ctx.step.ai.infer` asked, failed, or did not answer.

    A handler sees it as the `name` and `message` of a `StepError`, with the provider's own words.

    Attributes:
        status: the HTTP status, where an answer came.
        is_final: trying again would not help.
        retry_after: in how many seconds to try again, where the provider says so (1 s to 24 h).
    """

    code = "DUR-0403"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        is_final: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_final = is_final
        self.retry_after = retry_after
        if retry_after is not None:
            self.retry_after = min(max(retry_after, 1.0), 86_400.0)


class InvokeError(DurableError):
    """An invoked run did not complete.

    Attributes:
        run_id: the run.
        name: the name of the exception that ended it.
        message: that exception's message.
        reason: of a step that invokes, in one word: `failed`, `cancelled`, `skipped` by flow control,
            `debounced` (a later call took its place), `refused` (no such function, or data it cannot be
            given), or `timeout`.
    """

    code = "DUR-0500"
    #: Set where a step has remembered it: it stays so, however often the code is tried.
    is_final = False

    def __init__(
        self, text: str, *, run_id: str = "", name: str = "", message: str = ""
    ) -> None:
        super().__init__(text)
        self.run_id = run_id
        self.name = name
        self.message = message
        self.reason = ""


class InvokeTimeoutError(InvokeError, TimeoutError):
    """An invoked run did not end in time. It goes on; `engine.runs.wait(run_id)` waits further."""

    code = "DUR-0501"


class RunCancelled(InvokeError):
    """The run that was waited for was called off."""

    code = "DUR-0502"


class NotFoundError(DurableError, LookupError):
    """There is no such run, event or function in this store (ended runs go after their retention)."""

    code = "DUR-0503"


class SignalNotFound(NotFoundError):
    """No run waits for this signal. Signals are not kept: send it again once one does."""

    code = "DUR-0505"


class EventRefused(DurableError, ValueError):
    """The engine does not accept this event: its name is reserved, too long or empty, its data no object, or its `ts` in seconds."""

    code = "DUR-0504"


class EngineClosed(DurableError, RuntimeError):
    """The engine is not open: use it inside `async with Engine(...)`."""

    code = "DUR-0600"


class ForkedEngineError(DurableError, RuntimeError):
    """An engine that was opened before a fork was used in the child.

    Its threads and its lock stayed with the parent. Open the engine after the fork (for gunicorn and
    the like: in the hook that runs in each worker), or use the spawn start method.
    """

    code = "DUR-0601"


class EngineFailed(DurableError, RuntimeError):
    """The engine has stopped: a write failed or an invariant broke. Nothing was acknowledged since.

    Open it again: the store is then verified. What had been acknowledged is there.
    """

    code = "DUR-0602"


class StoreError(DurableError, OSError):
    """The store cannot be opened, read or written. The message says which file and what to do."""

    code = "DUR-0700"


class StoreLocked(StoreError):
    """Another process has the store open, and lets no other in. The message says which, and why."""

    code = "DUR-0701"


class OwnerLost(StoreError):
    """The process that has the store open ended before it answered, or has not answered in time.

    Raised where the question cannot be asked again by itself: what it was to do may have been done or not. The
    message says how to find out. Events that are sent, and all that only reads or waits, go to the process that has
    the store next, and raise it only where there is none for half a minute.
    """

    code = "DUR-0702"


def all_errors() -> Iterator[type[DurableError]]:
    """Every class of the tree above, from the top: not those that a program makes of them."""
    waiting: list[type[DurableError]] = [DurableError]
    while waiting:
        error = waiting.pop(0)
        yield error
        own = [one for one in error.__subclasses__() if one.__module__ == __name__]
        waiting.extend(own)
