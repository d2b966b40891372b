"""Names of steps: each its own, and the same each time."""

from __future__ import annotations

import pytest

from durable._step_names import StepNames


def test_an_id_used_again_gets_a_counter() -> None:
    names = StepNames()
    assert [names.next("a") for _ in range(3)] == ["a", "a:1", "a:2"]
    assert names.next("b") == "b"


@pytest.mark.parametrize("ids", [["a", "a", "a:1", "a"], ["a:1", "a", "a", "a:1"]])
def test_an_id_that_looks_like_a_counter_gets_a_name_of_its_own(ids: list[str]) -> None:
    names = StepNames()
    given = [names.next(step_id) for step_id in ids]
    assert len(set(given)) == len(given)
    again = StepNames()
    assert [again.next(step_id) for step_id in ids] == given
