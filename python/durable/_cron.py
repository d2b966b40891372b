"""Crons as users write them: the trigger `Cron`, and what crosses the border of it and of schedules."""

from __future__ import annotations

import re
from typing import (
    TYPE_CHECKING,
    Final,
    Literal,
    TypeAlias,
    TypedDict,
    TypeGuard,
    cast,
    get_args,
)

from typing_extensions import override

from ._bridge import check_cron
from ._duration import Duration


if TYPE_CHECKING:
    from ._setting import Place

CatchUp: TypeAlias = Literal["last", "all", "none"]
"""What becomes of ticks that were missed: the latest is made up, each is, or none."""

_CATCH_UPS: Final = get_args(CatchUp)
_CRON_LIKE: Final = re.compile(r"@[a-z]+|[\d*/,-]+( +[\w*/,?#-]+){4,5}")
_JITTERS: Final = ("1s", "5m")
_TEXTS: Final = (
    'five fields, as in "0 9 * * 1-5" (minute, hour, day of month, month, day of week), or @yearly, @monthly, '
    "@weekly, @daily or @hourly"
)
_ZONES: Final = 'an IANA name, as in "Europe/Paris" or "UTC"'


class CronFields(TypedDict):
    """A `Cron` as it crosses the border."""

    text: str
    tz: str
    jitter_ms: int
    catch_up: CatchUp


class Cron:
    """A trigger: one run at each moment that the expression names, by the clocks of a time zone.

    A local time that is skipped when clocks go forward is due once, at the first moment behind the gap; one that
    comes twice when they go back is due once, at the first. The run's event is `durable/scheduled.timer`, with
    `data` of `cron`, `scheduledAt` and `fireAt`.

    Args:
        expression: minute, hour, day of month, month, day of week, as in `"0 9 * * 1-5"`; names of months and days;
            or `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`.
        tz: the time zone's IANA name.
        jitter: 1 s to 5 min: each run comes so much later at most, the same one always as late, and before the next.
        catch_up: of ticks for which no engine was there: `"last"` makes the latest up when one is, `"all"` each,
            `"none"` none.

    Raises:
        ConfigError: out of `app.function`, naming the function and the place in the text, where one of them is wrong
            or the cron can never be due.
    """

    __slots__ = ("catch_up", "expression", "jitter", "tz")

    def __init__(
        self,
        expression: str,
        *,
        tz: str = "UTC",
        jitter: Duration | None = None,
        catch_up: CatchUp = "last",
    ) -> None:
        self.expression = expression
        self.tz = tz
        self.jitter = jitter
        self.catch_up: CatchUp = catch_up

    @override
    def __repr__(self) -> str:
        return f"Cron({self.expression!r}, tz={self.tz!r})"


def looks_like_cron(text: str) -> bool:
    """True for a text that was meant as a cron, right or wrong: `@daily`, or five fields."""
    return _CRON_LIKE.fullmatch(text) is not None


def is_cron(given: object) -> TypeGuard[Cron]:
    """True for a `Cron`."""
    return isinstance(given, Cron)


def read_crons(place: Place, given: object) -> list[CronFields]:
    """The crons among a decorator's triggers.

    Raises:
        ConfigError: one is wrong, or stands there twice.
    """
    if is_cron(given):
        return [read_cron(place, given)]
    crons: list[CronFields] = []
    for index, one in enumerate(given if _is_list(given) else []):
        if not is_cron(one):
            continue
        fields = read_cron(place.item(index), one)
        if any(_moments(known) == _moments(fields) for known in crons):
            reason = "stands there twice"
            raise place.item(index).error(one, reason, "each cron once")
        crons.append(fields)
    return crons


def read_cron(place: Place, cron: Cron) -> CronFields:
    """What a cron means.

    Raises:
        ConfigError: its text, its time zone or another setting is wrong.
    """
    check_text(
        (place.within("expression"), cron.expression), (place.within("tz"), cron.tz)
    )
    return {
        "text": cron.expression,
        "tz": cron.tz,
        "jitter_ms": read_jitter(place.within("jitter"), cron.jitter),
        "catch_up": read_catch_up(place.within("catch_up"), cron.catch_up),
    }


def check_text(text: tuple[Place, object], tz: tuple[Place, object]) -> None:
    """That a cron, and its time zone, can be read and that it is due at some time; each with where it stands.

    Raises:
        ConfigError: it is not; the place in its text is shown.
    """
    expression = text[0].instance(text[1], str, _TEXTS)
    zone = tz[0].instance(tz[1], str, _ZONES)
    wrong = check_cron(expression, zone)
    if wrong is None:
        return
    is_zone, why, position, _length = wrong
    if is_zone:
        raise tz[0].error(zone, why, _ZONES)
    raise text[0].error(expression, why, _TEXTS, position=position)


def read_jitter(place: Place, jitter: Duration | None) -> int:
    """Milliseconds of a jitter; 0 where there is none.

    Raises:
        ConfigError: it is no duration, or not from 1 s to 5 min.
    """
    return 0 if jitter is None else place.duration_between_ms(jitter, *_JITTERS)


def read_catch_up(place: Place, catch_up: object) -> CatchUp:
    """What becomes of missed ticks.

    Raises:
        ConfigError: it is none of the words.
    """
    accepted = ", ".join(f'"{one}"' for one in _CATCH_UPS)
    word = place.instance(catch_up, str, accepted)
    if word not in _CATCH_UPS:
        reason = "is not known"
        raise place.error(word, reason, accepted)
    return cast("CatchUp", word)


def _is_list(given: object) -> TypeGuard[list[object]]:
    return isinstance(given, list)


def _moments(fields: CronFields) -> tuple[str, str]:
    return fields["text"], fields["tz"]
