"""Events come as they were recorded, faster where that was asked for, or by chance."""

import json
from pathlib import Path
from typing import Any

import pytest

from durable.cli.bench.traffic import Traffic, Wanted, traffic_of
from durable.cli.failure import CommandError


def traffic(file: Path | None = None, **given: Any) -> Traffic:
    settings: dict[str, Any] = {
        "names": (),
        "most": None,
        "rate": None,
        "speed": 1.0,
        "keys": 5,
        "skew": 1.0,
        "seed": 0,
    }
    return traffic_of(Wanted(file=file, **{**settings, **given}))


def written(folder: Path, *events: dict[str, Any]) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def event(name: str, ts: int | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "data": {}, **({} if ts is None else {"ts": ts}), **more}


def test_recorded_events_come_in_order_of_their_moments(tmp_path: Path) -> None:
    path = written(
        tmp_path, event("a/x", 3000), event("a/y", 1000, id="e"), event("a/x", 2000)
    )
    read = traffic(path, speed=10.0)
    assert [(name, known) for name, _, known, *_ in read.events] == [
        ("a/y", "e"),
        ("a/x", "bench-3"),
        ("a/x", "bench-1"),
    ]
    assert read.times_us == [1_000_000, 1_100_000, 1_200_000]
    assert read.span_us == 200_000
    assert read.triggers == ["a/x", "a/y"]
    assert [ts for *_, ts, _, _ in read.events] == [1000, 2000, 3000]


def test_only_the_wanted_names_and_so_many(tmp_path: Path) -> None:
    path = written(
        tmp_path, event("a/x", 1), event("b/x", None), event("a/y", 2), event("a/z", 3)
    )
    assert len(traffic(path, names=["a/*"]).events) == 3
    assert len(traffic(path, names=["a/x", "a/z"]).events) == 2
    assert len(traffic(path, names=["a/*"], most=2).events) == 2
    with pytest.raises(CommandError, match="no event of c/x"):
        traffic(path, names=["c/x"])


def test_an_event_without_a_moment_needs_a_rate(tmp_path: Path) -> None:
    path = written(tmp_path, event("a/x", None), event("a/x", None))
    with pytest.raises(CommandError, match="event 1 has no ts") as caught:
        traffic(path)
    assert "--rate" in caught.value.hint
    assert traffic(path, rate="1").span_us > 0


def test_more_names_than_a_function_has_triggers_are_to_be_chosen_from(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, *[event(f"a/{n}", n) for n in range(11)])
    with pytest.raises(CommandError) as caught:
        traffic(path)
    assert "--on" in caught.value.hint


def test_synthetic_events_are_the_same_for_a_seed() -> None:
    one, same, other = (traffic(most=50, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.times_us != other.times_us
    assert len({known for _, _, known, *_ in one.events}) == 50


def test_time_must_pass() -> None:
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(CommandError, match="--speed"):
            traffic(speed=speed)
