"""Durable functions on events: steps that are remembered, inside your own process.

Everything is loaded when it is first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from . import ai as ai, logging as logging, middleware as middleware
    from ._app import App as App
    from ._bridge import __version__ as __version__
    from ._bulk import BulkResult as BulkResult
    from ._checkpointing import Checkpointing as Checkpointing
    from ._context import Context as Context, SyncContext as SyncContext
    from ._cron import Cron as Cron
    from ._decorator import step as step
    from ._depends import Depends as Depends
    from ._engine import Engine as Engine
    from ._errors import (
        ConfigError as ConfigError,
        DecryptionError as DecryptionError,
        DurableError as DurableError,
        EngineClosed as EngineClosed,
        EngineFailed as EngineFailed,
        EventRefused as EventRefused,
        ForkedEngineError as ForkedEngineError,
        InvokeError as InvokeError,
        InvokeTimeoutError as InvokeTimeoutError,
        NestedStepError as NestedStepError,
        NonDeterminismError as NonDeterminismError,
        NonRetriableError as NonRetriableError,
        NotFoundError as NotFoundError,
        OwnerLost as OwnerLost,
        PayloadTooLarge as PayloadTooLarge,
        ProviderError as ProviderError,
        RetryAfterError as RetryAfterError,
        RunCancelled as RunCancelled,
        SerializationError as SerializationError,
        SignalNotFound as SignalNotFound,
        StepError as StepError,
        StepNotAwaitedError as StepNotAwaitedError,
        StoreError as StoreError,
        StoreLocked as StoreLocked,
        UsageError as UsageError,
    )
    from ._events import Event as Event, EventType as EventType, On as On
    from ._fetch import FetchResponse as FetchResponse
    from ._flow import (
        Backoff as Backoff,
        Batch as Batch,
        CancelOn as CancelOn,
        Concurrency as Concurrency,
        Debounce as Debounce,
        Priority as Priority,
        RateLimit as RateLimit,
        Retries as Retries,
        Singleton as Singleton,
        Throttle as Throttle,
        Timeouts as Timeouts,
    )
    from ._function import Function as Function
    from ._limits import Limit as Limit, WaitingOn as WaitingOn
    from ._messages import Message as Message
    from ._middleware import Middleware as Middleware
    from ._serving.endpoint import serve as serve
    from ._settings import Settings as Settings
    from ._signals import Signal as Signal
    from ._usage import Usage as Usage
    from ._views import (
        ErrorInfo as ErrorInfo,
        FunctionInfo as FunctionInfo,
        ReceivedEvent as ReceivedEvent,
        Run as Run,
        Schedule as Schedule,
        Step as Step,
    )

_PLACES: Final = {
    "__version__": "_bridge",
    "App": "_app",
    "Backoff": "_flow",
    "Batch": "_flow",
    "BulkResult": "_bulk",
    "Checkpointing": "_checkpointing",
    "Concurrency": "_flow",
    "ConfigError": "_errors",
    "Context": "_context",
    "Cron": "_cron",
    "Debounce": "_flow",
    "DecryptionError": "_errors",
    "Depends": "_depends",
    "DurableError": "_errors",
    "Engine": "_engine",
    "EngineClosed": "_errors",
    "EngineFailed": "_errors",
    "ErrorInfo": "_views",
    "Event": "_events",
    "EventRefused": "_errors",
    "EventType": "_events",
    "FetchResponse": "_fetch",
    "ForkedEngineError": "_errors",
    "Function": "_function",
    "FunctionInfo": "_views",
    "InvokeError": "_errors",
    "InvokeTimeoutError": "_errors",
    "Limit": "_limits",
    "Message": "_messages",
    "Middleware": "_middleware",
    "NestedStepError": "_errors",
    "NonDeterminismError": "_errors",
    "NonRetriableError": "_errors",
    "NotFoundError": "_errors",
    "On": "_events",
    "OwnerLost": "_errors",
    "PayloadTooLarge": "_errors",
    "Priority": "_flow",
    "ProviderError": "_errors",
    "RateLimit": "_flow",
    "ReceivedEvent": "_views",
    "Retries": "_flow",
    "RetryAfterError": "_errors",
    "Run": "_views",
    "RunCancelled": "_errors",
    "Schedule": "_views",
    "SerializationError": "_errors",
    "Settings": "_settings",
    "Signal": "_signals",
    "SignalNotFound": "_errors",
    "Singleton": "_flow",
    "Step": "_views",
    "StepError": "_errors",
    "StepNotAwaitedError": "_errors",
    "StoreError": "_errors",
    "StoreLocked": "_errors",
    "SyncContext": "_context",
    "Throttle": "_flow",
    "CancelOn": "_flow",
    "Timeouts": "_flow",
    "Usage": "_usage",
    "UsageError": "_errors",
    "WaitingOn": "_limits",
    "serve": "_serving.endpoint",
    "step": "_decorator",
}
_MODULES: Final = frozenset({"ai", "logging", "middleware"})


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    place = _PLACES.get(name)
    if place is None:
        text = f"module 'durable' has no attribute {name!r}"
        raise AttributeError(text)
    value = globals()[name] = getattr(import_module(f"._{place[1:]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})
