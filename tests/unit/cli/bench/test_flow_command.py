"""`durable bench flow` from the command line: its table, its JSON, its picture, what it refuses."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from durable.cli.failure import CommandError
from durable.cli.root import app


RECORDED = Path(__file__).resolve().parents[5] / "shared/data/commits.jsonl.gz"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", "flow", "--virtual", *arguments])


def told(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def failure(*arguments: str) -> CommandError:
    error = run(*arguments).exception
    assert isinstance(error, CommandError)
    return error


def test_the_json_says_all_of_it() -> None:
    found = told(
        "--count",
        "500",
        "--rate",
        "20",
        "--keys",
        "8",
        "--duration",
        "exp 500ms",
        "--concurrency",
        "1 by event.data.key",
        "--rate-limit",
        "5/1s",
        "--top",
        "3",
    )
    assert set(found) == {
        *("clock", "traffic", "flow", "duration", "capacity", "seed"),
        *("span_ms", "lasted_ms", "took_s", "events_per_s", "times_real_time"),
        *("events", "started", "waiting", "dropped", "wait", "pace"),
        *("most_executing", "most_waiting", "most_executing_of_a_key"),
        *("runs", "by", "key_count", "fairness", "keys"),
    }
    assert found["clock"] == "virtual"
    assert found["by"] == "event.data.key"
    assert found["started"] + sum(found["dropped"].values()) == found["events"] == 500
    assert found["waiting"] == 0
    assert set(found["dropped"]) == {"rate_limit"}
    assert set(found["wait"]) == {
        *("count", "mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")
    }
    assert found["most_executing_of_a_key"] == 1
    assert found["key_count"] == 8
    assert 0 < found["fairness"]["jain_index"] <= 1
    first, *others = (one["key"] for one in found["keys"])
    assert first == "key-1"
    assert len(others) == 2


def test_a_seed_gives_the_same_again() -> None:
    settings = ("--count", "300", "--throttle", "100/1m", "--duration", "exp 1s")
    measured = ("took_s", "events_per_s", "times_real_time")
    one, same, other = (
        {
            name: value
            for name, value in told(*settings, "--seed", seed).items()
            if name not in measured
        }
        for seed in ("7", "7", "8")
    )
    assert one == same
    assert one != other


def test_the_table_names_what_it_shows() -> None:
    shown = run("--count", "200", "--rate-limit", "1/1h by event.data.key").stdout
    for word in ("started", "dropped", "rate_limit", "p99", "event.data.key", "key-1"):
        assert word in shown
    assert "Jain" in shown
    assert "times real time" in shown


def test_waits_are_told_apart_by_another_key() -> None:
    found = told("--count", "50", "--by", "event.data.n % 2 == 0")
    assert {one["key"] for one in found["keys"]} == {"true", "false"}
    error = failure("--by", "event.data..n")
    assert "--by" in error.text
    assert "^" in error.text


def test_a_bad_option_says_which() -> None:
    for arguments, words in (
        (("--throttle", "10 1m"), "--throttle"),
        (("--duration", "long"), "--duration"),
        (("--rate", "0"), "--rate"),
        (("--store", "x"), "--store"),
        (("--concurrency", "1 by nothing.data"), "--concurrency.key"),
    ):
        error = failure(*arguments)
        assert words in error.text
        assert error.hint or "accepted" in error.text


def test_a_store_must_be_new(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "flow", "--store", str(tmp_path)])
    assert isinstance(done.exception, CommandError)
    assert "is there already" in done.exception.text


def test_an_event_that_the_engine_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"name": "durable/mine", "data": {}, "ts": 1}\n')
    error = failure("--events", str(path))
    assert error.error_code == "DUR-0504"
    assert "event 1" in error.text


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    error = failure("--count", "5", "--plot", str(tmp_path / "x.png"))
    assert "pip install matplotlib" in error.hint


class Anything:
    """Answers every call with itself, and writes a file where it is told to save one."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self

    def __getitem__(self, _: object) -> Anything:
        return self

    def savefig(self, path: Path, **_: Any) -> None:
        path.write_bytes(b"a picture")


def test_the_picture_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = ModuleType("matplotlib.figure")
    monkeypatch.setattr(fake, "Figure", Anything, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", ModuleType("matplotlib"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", fake)
    path = tmp_path / "result.png"
    found = told("--count", "50", "--throttle", "1/1s", "--plot", str(path))
    assert found["started"] == 50
    assert path.read_bytes() == b"a picture"
    error = failure("--count", "5", "--plot", str(tmp_path / "absent" / "x.png"))
    assert "cannot be written" in error.text


def test_matplotlib_itself_draws_it(tmp_path: Path) -> None:
    path = tmp_path / "result.png"
    told("--count", "50", "--throttle", "1/1s", "--plot", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


needs_recorded = pytest.mark.skipif(
    not RECORDED.exists(), reason="the recorded commits are not here"
)


@pytest.fixture(scope="module")
def commits() -> list[tuple[int, str]]:
    """Moment (ms) and author of each recorded commit."""
    with gzip.open(RECORDED) as lines:
        events = [json.loads(line) for line in lines]
    return [(event["ts"], event["data"]["author"]) for event in events]


def recorded(*arguments: str) -> Any:
    return told("--events", str(RECORDED), "--top", "0", *arguments)


@pytest.mark.slow
@needs_recorded
def test_ten_years_of_commits() -> None:
    found = recorded(
        "--duration",
        "exp 5m",
        "--concurrency",
        "1 by event.data.author",
        "--throttle",
        "30/1h by event.data.repo",
    )
    assert found["events"] == found["started"] == 57_487
    assert found["key_count"] == 3_137
    assert found["most_executing_of_a_key"] == 1
    assert found["wait"]["max_ms"] > found["wait"]["p50_ms"] >= 0
    assert found["times_real_time"] > 1_000_000


@pytest.mark.slow
@needs_recorded
def test_as_many_are_dropped_as_the_algorithm_says(
    commits: list[tuple[int, str]],
) -> None:
    """GCRA written down once more, in its plainest form: five an hour of each author."""
    interval, dropped = 3_600_000 // 5, 0
    next_arrivals: dict[str, int] = {}
    for now, author in commits:
        expected = next_arrivals.get(author, 0)
        if now < expected - 4 * interval:
            dropped += 1
        else:
            next_arrivals[author] = max(expected, now) + interval
    found = recorded("--rate-limit", "5/1h by event.data.author")
    assert found["dropped"] == {"rate_limit": dropped}


@pytest.mark.slow
@needs_recorded
def test_waits_are_those_of_one_queue_for_each_author(
    commits: list[tuple[int, str]],
) -> None:
    """First come, first served, ten minutes each: every wait by arithmetic."""
    free_at: dict[str, int] = {}
    waits: list[int] = []
    for now, author in commits:
        start = max(free_at.get(author, 0), now)
        free_at[author] = start + 600_000
        waits.append(start - now)
    waits.sort()
    found = recorded("--duration", "10m", "--concurrency", "1 by event.data.author")
    wait = found["wait"]
    assert wait["mean_ms"] == pytest.approx(sum(waits) / len(waits))
    assert wait["p99_ms"] == waits[-(-99 * len(waits) // 100) - 1]
    assert wait["max_ms"] == waits[-1]
