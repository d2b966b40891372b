"""What is drawn by chance has the means it is said to have, and a seed gives the same again."""

from collections import Counter

import pytest

from durable.cli.bench.chance import moments_us, read_lengths, read_rate, skewed_keys
from durable.cli.failure import CommandError


COUNT = 20_000


def test_a_fixed_length_is_always_the_same() -> None:
    assert read_lengths("1m30s").many_us(3, 0) == [90_000_000] * 3


def test_lengths_have_their_mean_and_their_bounds() -> None:
    drawn = read_lengths("exp 2s").many_us(COUNT, 1)
    assert sum(drawn) / COUNT == pytest.approx(2_000_000, rel=0.03)
    assert min(drawn) >= 1
    even = read_lengths("uniform 0.5s..3s").many_us(COUNT, 1)
    assert 500_000 <= min(even) < 510_000
    assert 2_990_000 < max(even) <= 3_000_000


def test_nothing_takes_no_time_at_all() -> None:
    assert read_lengths("0s").many_us(1, 0) == read_lengths("exp 0s").many_us(1, 0)
    assert read_lengths("0s").many_us(1, 0) == [1]


def test_the_same_seed_draws_the_same() -> None:
    lengths = read_lengths("exp 2s")
    assert lengths.many_us(9, 3) == lengths.many_us(9, 3)
    assert lengths.many_us(9, 3) != lengths.many_us(9, 4)


def test_events_come_at_the_rate() -> None:
    moments = moments_us(COUNT, read_rate("600/1m"), 0)
    assert moments[0] == 0
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(COUNT * 100_000, rel=0.03)


def test_the_first_key_comes_most() -> None:
    counted = Counter(skewed_keys(COUNT, (10, 1.0), 0))
    assert counted[1] / counted[10] == pytest.approx(10, rel=0.2)
    even = Counter(skewed_keys(COUNT, (10, 0.0), 0))
    assert even[1] / even[10] == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("text", ["", "exp", "gauss 2s", "uniform 3s..1s", "2s 3s"])
def test_a_wrong_duration_names_its_option(text: str) -> None:
    with pytest.raises(CommandError, match="--duration"):
        read_lengths(text)


@pytest.mark.parametrize("text", ["", "fast", "0", "5/0s", "5/", "5 x"])
def test_a_wrong_rate_names_its_option(text: str) -> None:
    with pytest.raises(CommandError, match="--rate"):
        read_rate(text)
