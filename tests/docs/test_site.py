"""The site: it is built without a complaint, every page can be found in it, and its reference has all that is public."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from durable.cli.root import app as command_line

from .pages import DOCS, ROOT, name_of, pages


SETTINGS = ROOT / "mkdocs.yml"
REFERENCE = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))


@pytest.mark.slow
def test_the_site_is_built_without_a_broken_link(tmp_path: Path) -> None:
    """In a copy, so that nothing is left behind."""
    for name in ("docs", "python/durable"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "*.pyc")
        )
    shutil.copy(SETTINGS, tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    for page in pages():
        text = (tmp_path / "site" / _address(page)).read_text()
        assert "::: durable" not in text
        fetched = re.findall(
            r"<(?:script|link|img|iframe)[^>]+https?://[^\"' >]+", text
        )
        assert not fetched, "readers would fetch it from elsewhere"


def _address(page: Path) -> str:
    name = name_of(page).removesuffix(".md")
    return f"{name}.html" if name.endswith("index") else f"{name}/index.html"


def test_every_page_is_in_the_navigation_once() -> None:
    """And nothing else is: the build says nothing of a page that is not there."""
    _, _, listed = SETTINGS.read_text().partition("\nnav:\n")
    assert sorted(re.findall(r"[\w/-]+\.md", listed)) == sorted(map(name_of, pages()))


@pytest.mark.parametrize(
    "module", ["durable", "durable.testing", "durable.middleware", "durable.logging"]
)
def test_all_that_is_public_is_in_the_reference(module: str) -> None:
    found = importlib.import_module(module)
    shown = set(re.findall(r"^::: ([\w.]+)", REFERENCE, re.MULTILINE))
    missing = {f"{module}.{name}" for name in _public(found)} - shown
    assert missing <= {"durable.middleware.Middleware"}  # shown as durable.Middleware


def _public(module: Any) -> Iterator[str]:
    """What a module has of the package's own; one that is no package has what is made in it."""
    places = getattr(module, "_PLACES", None)
    made_in = "durable" if hasattr(module, "__path__") else module.__name__
    for name in dir(module) if places is None else places:
        is_ours = getattr(getattr(module, name), "__module__", "").startswith(made_in)
        if not name.startswith("_") and is_ours:
            yield name


def test_every_command_and_option_is_on_its_page() -> None:
    page = (DOCS / "reference/command-line.md").read_text()
    for words, options in _commands(typer.main.get_command(command_line), ["durable"]):
        assert f"`{words}" in page
        for option in options:
            assert option in page, words


def _commands(command: Any, words: list[str]) -> Iterator[tuple[str, list[str]]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _commands(inner, [*words, name])
        return
    options = [text for option in command.params for text in option.opts]
    yield " ".join(words), [text for text in options if text.startswith("--")]
