"""What is drawn by chance, from a seed: how long runs take, when synthetic events come and about what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from random import Random  # noqa: TID251  # the engine's chance is not asked: this is the traffic's, from --seed
from typing import TYPE_CHECKING, Final

from .text_form import TextForm


if TYPE_CHECKING:
    from collections.abc import Callable

_US: Final = 1_000_000

LENGTH_FORM: Final = "LENGTH, exp MEAN, or uniform LEAST..MOST"
RATE_FORM: Final = "EVENTS a second, or EVENTS/PERIOD"


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long runs take: `words` as given, `draw` one after the other."""

    words: str
    draw: Callable[[Random], float]

    def many_us(self, count: int, seed: int) -> list[int]:
        """So many, in microseconds, none shorter than one."""
        chance = stream("lengths", seed)
        return [max(1, round(self.draw(chance) * _US)) for _ in range(count)]


def stream(what: str, seed: int) -> Random:
    """A source of chance of its own, so that more of one thing changes nothing of another."""
    return Random(f"{what} {seed}")  # noqa: S311  # no secrets


def read_lengths(text: str) -> Lengths:
    """How long a run takes, as `--duration` says it.

    Raises:
        CommandError: it is none of the forms.
    """
    accepted = f'{LENGTH_FORM}, as in --duration "exp 2s"'
    form = TextForm("--duration", text, accepted)
    kind = form.find(r"(exp|uniform)\b")
    if kind == "uniform":
        least = form.seconds(r"(?:(?!\.\.)\S)+")
        form.take(r"\.\.", "'..' and the most, as in uniform 1s..3s")
        most = form.seconds()
        if most < least:
            form.fail("the most is less than the least", 0)
        form.end()
        return Lengths(text, lambda chance: chance.uniform(least, most))
    mean = form.seconds()
    form.end()
    if kind == "exp":
        return Lengths(text, lambda chance: mean * chance.expovariate(1))
    return Lengths(text, lambda _: mean)


def read_rate(text: str) -> float:
    """Events a second, as `--rate` says it.

    Raises:
        CommandError: it is no rate.
    """
    form = TextForm("--rate", text, f"{RATE_FORM}, as in --rate 50 or --rate 200/1h")
    number = float(form.take(r"\d+(\.\d+)?", "a number of events"))
    period = form.seconds() if form.find("/") is not None else 1.0
    form.end()
    if not number or not period:
        form.fail("no event would ever come", 0)
    return number / period


def moments_us(count: int, rate: float, seed: int) -> list[int]:
    """When events come that come by chance, so many a second: a Poisson process from 0."""
    chance = stream("moments", seed)
    gaps = (chance.expovariate(rate) for _ in range(max(count - 1, 0)))
    return [round(at * _US) for at in accumulate(gaps, initial=0.0)][:count]


def skewed_keys(count: int, among: tuple[int, float], seed: int) -> list[int]:
    """For each event one of so many keys, from 1; the n-th with a weight of `1 / n ** skew` (Zipf's law)."""
    key_count, skew = among
    chance = stream("keys", seed)
    weights = list(accumulate(1 / n**skew for n in range(1, key_count + 1)))
    return chance.choices(range(1, key_count + 1), cum_weights=weights, k=count)
