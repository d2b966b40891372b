"""Durable functions on events: steps that are remembered, inside your own process."""

from ._app import App as App
from ._context import Context as Context, SyncContext as SyncContext
from ._decorator import step as step
from ._engine import Engine as Engine
from ._errors import (
    ConfigError as ConfigError,
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
    PayloadTooLarge as PayloadTooLarge,
    RetryAfterError as RetryAfterError,
    RunCancelled as RunCancelled,
    SerializationError as SerializationError,
    StepError as StepError,
    StepNotAwaitedError as StepNotAwaitedError,
    StoreError as StoreError,
    StoreLocked as StoreLocked,
    UsageError as UsageError,
)
from ._events import Event as Event, EventType as EventType, On as On
from ._flow import Backoff as Backoff, Retries as Retries
from ._function import Function as Function
from ._views import (
    ErrorInfo as ErrorInfo,
    FunctionInfo as FunctionInfo,
    ReceivedEvent as ReceivedEvent,
    Run as Run,
    Step as Step,
)
