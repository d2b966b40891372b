"""The demo's ledger may be told anything twice."""

from pathlib import Path
from typing import Any

from durable.demo.ledger import KindLine, Ledger


COMMIT: Any = {
    "repo": "durable",
    "author": "ada",
    "hour": 7,
    "kind": "change",
    "lines": 30,
}


def test_what_is_written_twice_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new folder" / "ledger.sqlite3")
    for _ in range(2):
        ledger.enter("c1", **COMMIT)
        ledger.score("c1", 0.5)
        ledger.send_digest("ada", 7, "one commit")
    assert ledger.hour_of("ada", 7) == (1, 30)
    assert ledger.by_kind() == [KindLine("change", 1, 30, 0.5)]
    assert ledger.digest_count() == 1


def test_a_score_may_come_before_the_commit_is_entered() -> None:
    ledger = Ledger(":memory:")
    ledger.score("c1", 0.5)
    ledger.enter("c1", **COMMIT)
    assert ledger.by_kind() == [KindLine("change", 1, 30, 0.5)]


def test_it_is_there_after_it_was_closed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.score("c1", 0.5)
    ledger.close()
    assert ledger.by_kind() == [KindLine("not yet known", 1, 0, 0.5)]
    ledger.close()
