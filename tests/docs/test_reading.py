"""What is wrong in a page is seen: the reader of the pages is not one who nods at everything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from . import shell
from .pages import blocks, same
from .reading import Reading
from .shell import commands


FENCE = "```"


def read(folder: Path, *parts: str) -> None:
    """A page of blocks, each its first line (language and title) and its text."""
    page = folder / "page.md"
    page.write_text("\n".join(f"{FENCE}{part}\n{FENCE}\n" for part in parts))
    with Reading(page, folder) as reading:
        reading.execute_all()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(["python\nprint('a')", "text\nb"], id="another output"),
        pytest.param(["python\nprint('a\\nb')", "text\na"], id="less output"),
        pytest.param(["text\na"], id="an output of nothing"),
        pytest.param(["python\nassert False"], id="a program that fails"),
        pytest.param(["ruby\nputs 1"], id="a language that nobody knows"),
        pytest.param(["\nwhat?"], id="no language"),
        pytest.param(['python title="Java"\n1'], id="a title that is no file"),
        pytest.param(["console\n$ echo a\nb"], id="another output of a command"),
        pytest.param(["console\n$ false"], id="a command that fails"),
        pytest.param(["sh\ntrue\nfalse\ntrue"], id="a script that fails"),
        pytest.param(["console\n$ pip install durable"], id="no such package"),
        pytest.param(
            ["console\n$ pip install durable-engine[tea]"], id="no such extra"
        ),
        pytest.param(["console\n$ make tea"], id="no such target"),
        pytest.param(
            ['python title="test_a.py"\ndef test_a(): assert False'], id="a failed test"
        ),
    ],
)
def test_what_is_wrong_is_seen(tmp_path: Path, parts: list[str]) -> None:
    with pytest.raises(AssertionError) as caught:
        read(tmp_path, *parts)
    assert "in the block at page.md:" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "part", ['python title="Celery"\nfor', "toml\n[a", "json\n{", "jsonl\n{}\n{"]
)
def test_what_cannot_be_read_is_seen(tmp_path: Path, part: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        read(tmp_path, part)


def test_blocks_build_on_each_other(tmp_path: Path) -> None:
    read(
        tmp_path,
        'python title="shop.py"\nprice = 3',
        "python\nfrom shop import price",
        "python\nimport asyncio\nawait asyncio.sleep(0)\nprint(price)",
        "text\n3",
        'python title="test_shop.py"\nfrom shop import price\ndef test_it(): assert price == 3',
        "sh\n# who\nexport \\\n  WHO=me\n\ntrue",
        "console\n$ echo $WHO && cat shop.py\nme\nprice = 3",
    )


def test_nothing_of_a_page_stays(tmp_path: Path) -> None:
    """Neither what it has made nor what it has imported: other pages have a `shop`, too."""
    read(
        tmp_path,
        'python title="aisle.py"\nprice = 3',
        "python\nimport aisle",
        'python title="till.py"\nsum = 4',
        "python\nimport till\nprint(till.sum)",
        "console\n$ cat till.py\nsum = 4",
    )
    assert not {"aisle", "till", "page"} & set(sys.modules)
    assert str(tmp_path) not in sys.path
    assert Path.cwd() != tmp_path


def test_a_program_is_killed_where_the_page_says(tmp_path: Path) -> None:
    read(
        tmp_path,
        'python title="go.py"\nimport time\nprint("a")\ntime.sleep(60)\nprint("b")',
        "console\n$ python go.py\na\nKilled\n$ echo still here\nstill here",
    )


def test_a_command_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "MOST_S", 0.2)
    for block in ("$ sleep 100", "$ sleep 100\nnever said\nKilled"):
        with pytest.raises(AssertionError, match="took too long"):
            read(tmp_path, f"console\n{block}")


def test_blocks_are_found_wherever_they_are_indented(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"- so:\n\n  {FENCE}python\n  if 1:\n      a = 1\n  {FENCE}\n")
    (block,) = blocks(page)
    assert (block.text, block.line) == ("if 1:\n    a = 1\n", 3)
    page.write_text(f"{FENCE}python\nno end\n")
    with pytest.raises(AssertionError):
        blocks(page)


def test_what_varies_is_the_same_and_nothing_else() -> None:
    assert same("run 01M80K39HNRNPE9X8CGKJ60000", "run 01M80KV528YFR3Y1KB98G4G001")
    assert same("created 2026-11-22 02:59:20.757", "created 2027-01-02 03:04:05")
    assert same("a\n...\nd", "a\nb\nc\nd")
    assert same("a ... c", "a b c")
    assert not same("a\n...\nd", "a\nb\nc")
    assert not same("charge 2", "charge 3")


def test_a_console_has_commands() -> None:
    assert commands("$ a\nb\nc\n$ d\n") == [("a", "b\nc\n"), ("d", "")]
    with pytest.raises(AssertionError):
        commands("a\n")
