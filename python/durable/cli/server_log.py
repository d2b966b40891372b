"""What an application in a server's own process logs: as text, or as the server's own lines, an object each."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from typing_extensions import override

from durable.logging import RunFilter


_OF_RUN = ("run_id", "function_id", "step_id", "attempt")


class JsonLines(logging.Formatter):
    """An object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """`level`, `message` and `logger`, and of which run and step it is, where it is of one."""
        line: dict[str, Any] = {
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        for name in _OF_RUN:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def log_application(form: str) -> None:
    """Let failures be logged, which commands with a screen of their own show there; an application that says how it logs is heeded."""
    for name in ("durable.failures", "durable.notices"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root = logging.getLogger()
    if form == "json" and not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        handler.addFilter(RunFilter())
        root.addHandler(handler)
