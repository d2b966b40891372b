"""Ctrl-C and SIGTERM as the end of what a command waits for."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from durable.cli.signals import stops


pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_ends_what_is_waited_for(
    number: signal.Signals,
) -> None:
    work = asyncio.ensure_future(asyncio.Event().wait())
    before = signal.getsignal(number)
    with stops(work):
        os.kill(os.getpid(), number)
        await asyncio.wait({work})
        assert signal.getsignal(number) == before, "the second ends the process"
    assert work.cancelled()


async def test_afterwards_signals_mean_what_they_meant() -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    work = asyncio.ensure_future(asyncio.Event().wait())
    with stops(work):
        assert not work.done()
    work.cancel()
    assert before == [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
