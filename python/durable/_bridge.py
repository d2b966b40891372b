"""The native module as the rest of the package sees it: its names, its tags, its errors made public."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from durable._core import (
    Core as Core,
    CoreError as CoreError,
    HttpServer as HttpServer,
    __version__ as __version__,
    check_cron as check_cron,
    check_expression as check_expression,
    expression_keys as expression_keys,
    expression_paths as expression_paths,
    rehearse as rehearse,
    store_backup as store_backup,
    store_check as store_check,
    store_restore as store_restore,
)

from ._errors import (
    ConfigError,
    DurableError,
    EngineClosed,
    EngineFailed,
    EventRefused,
    ForkedEngineError,
    InvokeError,
    NotFoundError,
    OwnerLost,
    PayloadTooLarge,
    SignalNotFound,
    StoreError,
    StoreLocked,
)


if TYPE_CHECKING:
    from collections.abc import Generator

    from durable._core import (
        EventTuple as EventTuple,
        Function as Function,
        FunctionTuple as FunctionTuple,
        Item as Item,
        MemoTuple as MemoTuple,
        MessagePage as MessagePage,
        NewEvent as NewEvent,
        Op as Op,
        Report as Report,
        RunTuple as RunTuple,
        ScheduleTuple as ScheduleTuple,
        StepTuple as StepTuple,
        StoredEvent as StoredEvent,
    )

# What an item's first member says.
ACCEPTED: Final = 0
REFUSED: Final = 1
STARTED: Final = 2
WORK: Final = 3
MEMOS: Final = 4
CONFIRM: Final = 5
ABANDON: Final = 6
ENDED: Final = 7
POISONED: Final = 8
ROOM: Final = 9
IDLE: Final = 10
UNKNOWN: Final = 11
FINISHED: Final = 12
SIGNALLED: Final = 13
STIRRED: Final = 20
PUBLISHED: Final = 21

# What an op's first member says.
STEP_RUN: Final = 0
STEP_ERROR: Final = 1
STEP_PLANNED: Final = 2
SLEEP: Final = 3
SLEEP_UNTIL: Final = 4
RUN_COMPLETE: Final = 5
RUN_ERROR: Final = 6
WAIT_FOR_SIGNAL: Final = 7
WAIT_FOR_EVENT: Final = 8
INVOKE: Final = 9

#: The value of an op's `retry` for an error that is not to be tried again.
NEVER: Final = -1


#: Every kind that is not here is about the store.
_PUBLIC: Final[dict[str, type[DurableError]]] = {
    "broken": EngineFailed,
    "closed": EngineClosed,
    "event": EventRefused,
    "forked": ForkedEngineError,
    "invalid": ConfigError,
    "location": ConfigError,
    "locked": StoreLocked,
    "no_waiter": SignalNotFound,
    "not_found": NotFoundError,
    "poisoned": EngineFailed,
    "skipped": InvokeError,
    "too_large": PayloadTooLarge,
    "unanswered": OwnerLost,
    "unknown_function": NotFoundError,
}


def public_error(kind: str, text: str) -> DurableError:
    """The exception a user sees for an error of the native module."""
    return _PUBLIC.get(kind, StoreError)(text)


def kind_of(error: DurableError) -> str:
    """A kind that `public_error` makes such an exception of."""
    kinds = (kind for kind, public in _PUBLIC.items() if public is type(error))
    return next(kinds, "io")


@contextmanager
def public_errors() -> "Generator[None]":
    """Raise the public exception for a `CoreError` raised inside, and for a text that has no bytes."""
    try:
        yield
    except CoreError as error:
        raise public_error(error.kind, error.text) from None
    except UnicodeEncodeError as error:
        raise ConfigError(no_utf8(error)) from None


def no_utf8(error: UnicodeEncodeError) -> str:
    """What is wrong with half of a surrogate pair."""
    return f"{error.object!r} has no UTF-8: {error.reason}"
