"""`MODULE:APP` finds an application, or says why not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.cli.application import find_app
from durable.cli.failure import CommandError


GOOD = """
import durable
app = durable.App("shop")
empty = durable.App("empty")
number = 5

@app.function(on="shop/order.placed")
async def fulfil(ctx):
    return 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {*sys.modules, "durable"}
    (tmp_path / "cli_good.py").write_text(GOOD)
    (tmp_path / "cli_raises.py").write_text("raise RuntimeError('no database')\n")
    (tmp_path / "cli_lacks.py").write_text("import not_installed_anywhere\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if not name.startswith("durable."):  # others have what is in them
            del sys.modules[name]


@pytest.mark.parametrize(
    "named", ["cli_good:app", "cli_good.py:app", "./cli_good.py:app"]
)
def test_an_application_in_the_working_folder_is_found(
    folder: Path, named: str
) -> None:
    assert folder.exists()
    assert find_app(named).name == "shop"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("named", "told", "hint"),
    [
        ("cli_good", "does not name an application", "MODULE:APP"),
        (":app", "does not name an application", "MODULE:APP"),
        ("cli_good:", "does not name an application", "MODULE:APP"),
        ("cli_absent:app", "no module 'cli_absent'", "installed packages"),
        ("cli_good:other", "has no 'other'", "cli_good:app"),
        ("cli_good:number", "is a int, not a durable.App", "cli_good:app"),
        ("cli_good:empty", "has no functions", "@app.function"),
        ("cli_raises:app", "RuntimeError: no database", "import cli_raises"),
        ("cli_lacks:app", "not_installed_anywhere", "import cli_lacks"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    named: str, told: str, hint: str
) -> None:
    with pytest.raises(CommandError) as caught:
        find_app(named)
    assert told in caught.value.text
    assert hint in caught.value.hint


@pytest.mark.usefixtures("folder")
def test_a_module_that_raises_is_told_with_its_line() -> None:
    with pytest.raises(CommandError) as caught:
        find_app("cli_raises:app")
    assert "cli_raises.py:1" in caught.value.text
