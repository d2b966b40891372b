"""What can go wrong in a command: words for its reader, an exit code for scripts."""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from durable._errors import (
    ConfigError,
    DurableError,
    EngineFailed,
    NotFoundError,
    OwnerLost,
    StoreError,
    StoreLocked,
)

from .output import messages


if TYPE_CHECKING:
    from collections.abc import Generator


class ExitCode(IntEnum):
    """How a command ended. Each is documented in `durable --help`."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    STORE_LOCKED = 3
    STORE_BROKEN = 4
    STOPPED = 130


EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "it ended, and something in it failed: a run, an engine, a lookup",
    ExitCode.BAD_INPUT: "bad input: an option, a module, a file, an event",
    ExitCode.STORE_LOCKED: "another process has the store open, and lets no other in",
    ExitCode.STORE_BROKEN: "the store cannot be opened, read or written, or is damaged",
    ExitCode.STOPPED: "stopped with Ctrl-C or SIGTERM; the same command goes on",
}
"""Each exit code in words."""


class CommandError(Exception):
    """A command cannot do what it was asked: what is wrong, and what to do about it.

    Attributes:
        text: what is wrong.
        hint: what to do; may be empty.
        exit_code: how the process ends.
        error_code: the code that `durable explain` describes, where there is one.
    """

    def __init__(
        self,
        text: str,
        hint: str = "",
        *,
        exit_code: ExitCode = ExitCode.BAD_INPUT,
        error_code: str = "",
    ) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.exit_code = exit_code
        self.error_code = error_code


@contextmanager
def told_plainly() -> Generator[None, None, None]:
    """Raise what the engine raises inside as a `CommandError`, which is shown without a traceback."""
    try:
        yield
    except DurableError as error:
        raise as_command_error(error) from error


def as_command_error(error: DurableError) -> CommandError:
    """An error of the package in the words of the command line."""
    return CommandError(
        str(error) or type(error).__name__,
        _HINTS.get(type(error), ""),
        exit_code=_exit_code(error),
        error_code=error.code,
    )


def report(error: CommandError) -> int:
    """Say on stderr what went wrong; the exit code."""
    code = f"\\[{error.error_code}]" if error.error_code else ""
    screen = messages()
    if error.exit_code is ExitCode.STOPPED:
        screen.print(Text(error.text, style="yellow"), soft_wrap=True)
    else:
        screen.print(f"[bold red]error{code}[/]: {escape(error.text)}", soft_wrap=True)
    if error.hint:
        screen.print(Text(error.hint), soft_wrap=True)
    if error.error_code:
        screen.print(
            f"[dim]more: durable explain {error.error_code}[/]", soft_wrap=True
        )
    return int(error.exit_code)


def _exit_code(error: DurableError) -> ExitCode:
    match error:
        case StoreLocked():
            return ExitCode.STORE_LOCKED
        case StoreError() if not isinstance(error, OwnerLost):
            return ExitCode.STORE_BROKEN
        case ConfigError():
            return ExitCode.BAD_INPUT
        case _:
            return ExitCode.FAILED


_HINTS: dict[type[DurableError], str] = {
    StoreLocked: "Wait until that process has ended, or give another store with --store PATH.",
    EngineFailed: "Start the same command again: the store is verified when it opens.",
    NotFoundError: "durable runs list and durable events list show what is there (--store PATH).",
}
