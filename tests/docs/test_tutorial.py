"""`"tutorial.md"`, followed from an empty folder: its files written, its commands typed, its program killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .pages import DOCS, blocks
from .reading import Reading
from .shell import commands


PAGE = DOCS / "tutorial.md"
MOST_S = 5 * 60


@pytest.mark.slow
def test_the_tutorial_works_from_an_empty_folder_in_five_minutes(
    tmp_path: Path,
) -> None:
    """With a virtual environment of its own, as a reader has it; `pip install` takes the package from here."""
    began = time.monotonic()
    with Reading(PAGE, tmp_path) as reading:
        reading.execute_all()
    assert time.monotonic() - began < MOST_S
    assert (tmp_path / ".venv/bin/activate").is_file()
    assert (tmp_path / "state").is_dir()


def test_it_is_killed_in_the_middle_and_every_file_of_it_is_used() -> None:
    found = blocks(PAGE)
    typed = "".join(block.text for block in found if block.language == "console")
    assert "Killed\n" in typed
    files = [block.file for block in found if block.language == "python"]
    assert None not in files
    for name in files:
        assert any(f" {name}" in command for command, _ in commands(typed))
