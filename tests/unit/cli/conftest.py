"""What the unit tests of the command line share: output as a pipe has it, whatever the tests' own terminal says of its width."""

from __future__ import annotations

import pytest

from durable.cli import output


@pytest.fixture(autouse=True)
def _as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output.results.cache_clear()
