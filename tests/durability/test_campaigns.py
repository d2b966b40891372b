"""The short form of every campaign; the long ones are commands, see docs/reliability.md."""

import pytest
from campaign import CAMPAIGNS


SEED = 20261121

SHORT = {
    "controls": 12,
    "corruption": 300,
    "disk-full": 3,
    "ext4-cut": 3,
    "engine-errors": 2,
    "engine-power-cut": 2,
    "exits": 8,
    "forks": 10,
    "io-errors": 30,
    "kill-loop": 5,
    "kill-points": 30,
    "power-cut": 60,
    "server-kills": 4,
    "signals": 2,
    "two-openers": 4,
}


def test_every_campaign_has_a_short_form() -> None:
    assert SHORT.keys() == CAMPAIGNS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_nothing_that_was_promised_is_broken(name: str) -> None:
    count = SHORT[name]
    report = CAMPAIGNS[name](count, SEED)
    if report.skipped:
        pytest.skip(f"{name} CANNOT RUN HERE: {report.skipped}")
    assert report.violations == []
    assert report.trials >= (count if name != "controls" else 1)
