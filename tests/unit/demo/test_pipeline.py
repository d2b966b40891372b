"""The demo's rules of thumb."""

import pytest

from durable.demo.pipeline import (
    Commit,
    clock_of,
    kind_of,
    risk_of_churn,
    risk_of_size,
    risk_of_spread,
)


def commit(insertions: int, deletions: int, files: int = 1) -> Commit:
    return Commit(
        repo="r", author="ada", files=files, insertions=insertions, deletions=deletions
    )


@pytest.mark.parametrize(
    ("insertions", "deletions", "kind"),
    [
        (0, 0, "empty"),
        (1, 30, "clean-up"),
        (200, 0, "new code"),
        (10, 2, "change"),
        (300, 200, "rewrite"),
    ],
)
def test_a_commit_has_a_kind(insertions: int, deletions: int, kind: str) -> None:
    assert kind_of(commit(insertions, deletions)) == kind


@pytest.mark.parametrize(
    "one", [commit(0, 0, 0), commit(5, 5), commit(10**9, 10**9, 10**6)]
)
def test_a_risk_is_between_0_and_1(one: Commit) -> None:
    for risk in (risk_of_size(one), risk_of_spread(one), risk_of_churn(one)):
        assert 0 <= risk <= 1


def test_an_hour_is_written_as_people_do() -> None:
    assert clock_of(472_222) == "2023-11-14 22:00"
