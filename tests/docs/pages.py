"""The pages of the documentation, cut into the blocks that are executed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Whose programs are shown beside ours. They are compiled only: what they need is not installed.
OTHERS = frozenset({"Celery", "DBOS", "Inngest", "Temporal"})

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
#: What is another one each time: what it becomes before it is compared.
_VARYING = (
    (re.compile(r"\b01[0-9A-HJKMNP-TV-Z]{24}\b"), "ID"),
    (re.compile(r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d(?::\d\d)?(?:\.\d+)?"), "MOMENT"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|[smhd])\b(?: \d+ [smh]\b)*"), "TIME"),
    (re.compile(r"(?:╷\w* *)+|[▏░▒▓█╌]+"), ""),  # of a run's picture
    (re.compile(r" +"), " "),
)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: its text without its indentation, and whether only blank lines part it from the one before."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    follows: bool

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it is, where its title names one."""
        title = self.title or ""
        return title if re.fullmatch(r"[\w/]+\.\w+", title) else None


def pages() -> list[Path]:
    """Every page there is, also those that nobody has listed."""
    return sorted(DOCS.rglob("*.md"))


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: tuple[int, str, str, str] | None = None
    lines: list[str] = []
    follows = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = (number, fence[1], fence[2], fence[3].strip()), []
            elif line.strip():
                follows = False
        elif fence and fence[2] == opened[2] and not fence[3].strip():
            found.append(_block(page, opened, lines, follows=follows))
            opened, follows = None, True
        else:
            lines.append(line.removeprefix(opened[1]))
    assert opened is None, f"{page.name}:{opened and opened[0]}: a block without an end"
    return found


def _block(
    page: Path, opened: tuple[int, str, str, str], lines: list[str], *, follows: bool
) -> Block:
    number, _, _, info = opened
    title = _TITLE.search(info)
    language = info.split(maxsplit=1)[0] if info else ""
    text = "".join(f"{line}\n" for line in lines)
    return Block(page, number, language, title and title[1], text, follows)


def plain(text: str) -> str:
    """Without ids, moments, lengths of time, and how wide something is."""
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


def same(shown: str, real: str) -> bool:
    """Whether it is what the page shows; `...` stands for any text, on a line of its own for any lines."""
    pattern = ""
    for line in plain(shown).splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, plain(real)) is not None
