"""The demo's own data: a table of commits in SQLite, as an application would have one.

Steps run at least once until they are remembered, so every change here may come twice: rows are keyed by
the commit, and writing one again changes nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final


DEFAULT_PATH: Final = Path(".durable-demo/ledger.sqlite3")

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS commits (
  id TEXT PRIMARY KEY, repo TEXT, author TEXT, hour INTEGER, kind TEXT, lines INTEGER, risk REAL
);
CREATE INDEX IF NOT EXISTS author_hours ON commits (author, hour);
CREATE TABLE IF NOT EXISTS digests (author TEXT, hour INTEGER, text TEXT, PRIMARY KEY (author, hour));
"""


@dataclass(frozen=True, slots=True)
class KindLine:
    """What the summary says of one kind of commits."""

    kind: str
    commit_count: int
    line_count: int
    mean_risk: float


class Ledger:
    """Commits as they were classified and scored, and digests as they were sent."""

    def __init__(self, path: Path | str = DEFAULT_PATH) -> None:
        self.path = path
        self._open: sqlite3.Connection | None = None

    def enter(
        self, commit: str, *, repo: str, author: str, hour: int, kind: str, lines: int
    ) -> None:
        """Write down a commit."""
        self._write(
            "INSERT INTO commits (id, repo, author, hour, kind, lines) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET repo = excluded.repo, author = excluded.author, "
            "hour = excluded.hour, kind = excluded.kind, lines = excluded.lines",
            (commit, repo, author, hour, kind, lines),
        )

    def score(self, commit: str, risk: float) -> None:
        """Write down how risky a commit is."""
        self._write(
            "INSERT INTO commits (id, risk) VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET risk = excluded.risk",
            (commit, risk),
        )

    def hour_of(self, author: str, hour: int) -> tuple[int, int]:
        """How many commits an author made in an hour, and of how many lines."""
        found = self._connection.execute(
            "SELECT count(*), coalesce(sum(lines), 0) FROM commits WHERE author = ? AND hour = ?",
            (author, hour),
        ).fetchone()
        return int(found[0]), int(found[1])

    def send_digest(self, author: str, hour: int, text: str) -> None:
        """Write down a digest; this is where mail would leave."""
        self._write(
            "INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (author, hour, text)
        )

    def by_kind(self) -> list[KindLine]:
        """The summary, kind by kind, the most frequent first."""
        found = self._connection.execute(
            "SELECT coalesce(kind, 'not yet known'), count(*), coalesce(sum(lines), 0), "
            "coalesce(avg(risk), 0) FROM commits GROUP BY kind ORDER BY count(*) DESC, kind",
        ).fetchall()
        return [KindLine(*row) for row in found]

    def digest_count(self) -> int:
        """How many digests were sent."""
        return int(
            self._connection.execute("SELECT count(*) FROM digests").fetchone()[0]
        )

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            if self.path != ":memory:":
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self.path, isolation_level=None)
            self._open.execute("PRAGMA journal_mode = WAL")
            self._open.execute("PRAGMA synchronous = NORMAL")
            self._open.executescript(_TABLES)
        return self._open

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        self._connection.execute(statement, values)
