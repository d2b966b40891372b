"""`durable bench flow` on a tiny traffic, policy by policy: what a person with pencil and paper expects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from durable.cli.root import app


if TYPE_CHECKING:
    from pathlib import Path

#: Of two keys: at 0, 1, 2, 3 s of "a", at 0 s of "b".
TRAFFIC = [(0, "a"), (0, "b"), (1, "a"), (2, "a"), (3, "a")]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    lines = [
        json.dumps(
            {"name": "e", "data": {"k": key}, "ts": 1_700_000_000_000 + 1000 * at}
        )
        for at, key in TRAFFIC
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("option", "started", "dropped", "most_ms"),
    [
        (("--run-concurrency", "1 by event.data.k"), 5, {}, 27_000),
        (("--concurrency", "1"), 5, {}, 37_000),
        (("--debounce", "2s by event.data.k"), 2, {"debounced": 3}, 2_000),
        (("--debounce", "9s timeout 10s"), 1, {"debounced": 4}, 7_000),
        (("--batch", "2/5s by event.data.k"), 5, {}, 5_000),
        (("--batch", "9/5s"), 5, {}, 5_000),
        (("--singleton", "skip by event.data.k"), 2, {"singleton": 3}, 0),
        (("--singleton", "cancel"), 4, {"cancelled": 1}, 0),
        (("--idempotency", "event.data.k"), 2, {"idempotency": 3}, 0),
        (("--throttle", "1/1s by event.data.k"), 5, {}, 0),
        (("--rate-limit", "1/2s by event.data.k"), 3, {"rate_limit": 2}, 0),
        (
            ("--run-concurrency", "1", "--timeouts", "start 5s"),
            1,
            {"cancelled": 4},
            0,
        ),
    ],
)
def test_a_policy_does_what_it_says(
    events: Path,
    option: tuple[str, ...],
    started: int,
    dropped: dict[str, int],
    most_ms: float,
) -> None:
    settings = ("--virtual", "--events", str(events), "--duration", "10s", "--json")
    done = CliRunner().invoke(app, ["bench", "flow", *settings, *option])
    assert done.exit_code == 0, done.exception
    found: Any = json.loads(done.stdout)
    assert (found["started"], found["dropped"]) == (started, dropped)
    assert found["waiting"] == 0
    assert found["wait"]["max_ms"] == most_ms
