"""Ctrl-C and SIGTERM: what is said while things end, and how to go on afterwards."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .failure import CommandError, ExitCode
from .options import folder_of
from .output import count, messages


if TYPE_CHECKING:
    from collections.abc import Generator

    from .session import Progress


@contextmanager
def told_when_stopped(store: str) -> Generator[None, None, None]:
    """Say how to go on where Ctrl-C comes while a store opens, or a second time.

    Raises:
        CommandError: it came.
    """
    try:
        yield
    except KeyboardInterrupt:
        text = f"Stopped. What was accepted is in {store}."
        hint = f"Go on with: {this_command()}"
        raise CommandError(text, hint, exit_code=ExitCode.STOPPED) from None


def say_what_is_waited_for(progress: Progress, grace_s: float) -> None:
    """After the first Ctrl-C: steps that execute are let finish."""
    running = progress.counts.total.running
    if progress.is_stopped and running:
        messages().print(
            f"Stopping: {count(running, 'run')} in the middle of something get up to "
            f"{grace_s:.0f} s. Ctrl-C again to not wait for them.",
            style="yellow",
        )


def stopped(progress: Progress, store: str) -> CommandError:
    """After it has ended: what is kept, and how to go on."""
    live = count(progress.counts.total.live, "run")
    if folder_of(store) is None:
        return CommandError(
            f"Stopped. The store was in memory: {live} are gone with it.",
            "Give --store PATH to be able to go on.",
            exit_code=ExitCode.STOPPED,
        )
    return CommandError(
        f"Stopped: {live} not yet ended. Nothing is lost; they are in {store}.",
        f"Go on with: {this_command()}",
        exit_code=ExitCode.STOPPED,
    )


def this_command() -> str:
    """The command that runs, as it was typed."""
    return shlex.join(["durable", *sys.argv[1:]])
