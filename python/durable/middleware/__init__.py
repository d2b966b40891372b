"""Middleware that comes with the package, and what hooks of your own are given.

Each is loaded when it is first used: what it needs beside (PyNaCl, the Sentry SDK, OpenTelemetry's API) only then.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .._errors import ConfigError


if TYPE_CHECKING:
    from .._middleware import (
        Call as Call,
        Execution as Execution,
        Finished as Finished,
        Input as Input,
        Middleware as Middleware,
        Output as Output,
        RunAbout as RunAbout,
        Sending as Sending,
        StepAbout as StepAbout,
    )
    from .dependencies import Dependencies as Dependencies
    from .encryption import Encryption as Encryption
    from .opentelemetry import OpenTelemetry as OpenTelemetry
    from .sentry import Sentry as Sentry

_PLACES: Final = {
    "Call": ".._middleware",
    "Dependencies": ".dependencies",
    "Encryption": ".encryption",
    "Execution": ".._middleware",
    "Finished": ".._middleware",
    "Input": ".._middleware",
    "Middleware": ".._middleware",
    "OpenTelemetry": ".opentelemetry",
    "Output": ".._middleware",
    "RunAbout": ".._middleware",
    "Sending": ".._middleware",
    "Sentry": ".sentry",
    "StepAbout": ".._middleware",
}
#: What is missing, and the extra that brings it.
_EXTRAS: Final = {
    "nacl": "encryption",
    "opentelemetry": "opentelemetry",
    "sentry_sdk": "sentry",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        text = f"module 'durable.middleware' has no attribute {name!r}"
        raise AttributeError(text)
    try:
        module = import_module(place, __name__)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        text = f"durable.middleware.{name} needs what is not installed: pip install 'durable-engine[{extra}]'"
        raise ConfigError(text) from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
