"""What is odd is told once, and not without bound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from durable._noticed import Noticed


def run(data: Any = None, of: str = "f") -> Any:
    function = SimpleNamespace(id=of, cancel_matches=[("stop", "data.id")])
    return SimpleNamespace(id="R", function=function, own_data=lambda: data)


def test_each_step_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    noticed = Noticed()
    noticed.look_at_steps(run(), ["a", "b"], ["c"])
    noticed.look_at_steps(run(), ["b", "d"], [])
    noticed.look_at_steps(run(), ["a", "d"], [])
    first, second = [record.getMessage() for record in caplog.records]
    assert "'a', 'b'; it came to 'c' anew" in first
    assert "without coming to: 'd'. A step" in second


def test_many_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    noticed = Noticed()
    noticed.look_at_steps(run(), [str(n) for n in range(8)], [])
    assert "'4' and 3 more" in caplog.text
    noticed.look_at_steps(run(), [str(n) for n in range(5000)], [])
    caplog.clear()
    noticed.look_at_steps(run(), ["new"], [])
    assert caplog.text == ""


def test_a_field_that_is_there_is_no_oddity(caplog: pytest.LogCaptureFixture) -> None:
    noticed = Noticed()
    noticed.look_at_matches(run({"id": None}))
    assert caplog.text == ""
    noticed.look_at_matches(run({}))
    noticed.look_at_matches(run({}))
    assert len(caplog.records) == 1


def test_one_function_does_not_silence_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    noticed = Noticed()
    for number in range(1_200):
        noticed.look_at_steps(run(), [f"old-{number}"], [])
    assert len(caplog.records) == 5
    caplog.clear()
    noticed.look_at_steps(run(of="g"), ["old"], [])
    noticed.look_at_matches(run({}, of="g"))
    assert len(caplog.records) == 2


def test_only_the_first_runs_of_a_function_are_read() -> None:
    reads: list[int] = []
    noticed = Noticed()
    for number in range(200):
        one = run()
        one.own_data = lambda number=number: reads.append(number) or {"id": 1}
        noticed.look_at_matches(one)
    assert reads == list(range(100))


@pytest.mark.parametrize(
    ("ahead_ms", "is_told"), [(0, True), (59_999, True), (60_000, False)]
)
def test_a_moment_is_told_by_the_clock_that_users_read(
    ahead_ms: int,
    is_told: bool,  # noqa: FBT001  # a case
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event came at the engine's time, which may be ahead of it."""
    noticed = Noticed(lambda: ahead_ms)
    sleeper = run()
    sleeper.event_tuples = [("E", "go", b"{}", 0, 100_000)]
    call: Any = SimpleNamespace(name="rest", run=sleeper, where=lambda: "shop.py:12")
    noticed.look_at_moment(call, 40_000)
    assert ("DUR-0801" in caplog.text) is is_told
