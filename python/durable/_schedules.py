"""`engine.schedules`: what starts functions by the clock, made and changed while the engine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from ._codec import write_object
from ._cron import CatchUp, check_text, read_catch_up, read_jitter
from ._duration import Duration
from ._errors import NotFoundError
from ._reading import Reader, check_limit, name_of
from ._setting import Place, wrong_id
from ._views import Page, Schedule, read_schedule


if TYPE_CHECKING:
    from ._function import Function

_UTC: Final = "UTC"
_RHYTHMS: Final = 'one of cron="0 9 * * 1-5" and every="1h"'


class Schedules(Reader):
    """`engine.schedules`: one for each customer, say; each has a record and a timer of its own."""

    __slots__ = ()

    async def create(  # settings, all by name  # noqa: PLR0913
        self,
        id: str,  # the word users know  # noqa: A002  # the word users know
        function: str | Function[Any, Any],
        *,
        cron: str | None = None,
        every: Duration | None = None,
        data: object = None,
        tz: str = _UTC,
        jitter: Duration | None = None,
        catch_up: CatchUp = "last",
    ) -> Schedule:
        """Start runs of a function by the clock from now on; on disk when it returns.

        What has this id already is replaced; the same once more changes nothing. A paused one stays paused.

        Args:
            id: the schedule's id, 1 to 256 bytes.
            function: the function, or its id.
            cron: when, as in `durable.Cron`.
            every: or the time between two ticks, from 1 s to 366 days; the first comes so long after this.
            data: fields of the data of its events beside `cron` or `everyMs`, `scheduledAt`, `fireAt` and
                `schedule`: an object of at most 64 KB.
            tz: the time zone of `cron`, by its IANA name.
            jitter: 1 s to 5 min: each run comes so much later at most.
            catch_up: what becomes of ticks for which no engine was there: `"last"`, `"all"` or `"none"`.

        Raises:
            ConfigError: a setting is wrong.
            NotFoundError: there is no such function in the store.
            SerializationError: the data is not JSON.
        """
        place = _place(id)
        spec = orjson.dumps(
            {
                "rhythm": _read_rhythm(place, (cron, every), tz),
                "jitter_ms": read_jitter(place.at("jitter"), jitter),
                "catch_up": read_catch_up(place.at("catch_up"), catch_up),
            }
        )
        json = write_object({} if data is None else data, "data", f"schedule '{id}'")
        name = name_of(function)
        await self._read(lambda core: core.put_schedule(id, name, spec, json))
        return await self.get(id)

    async def get(self, id: str) -> Schedule:  # the word users know  # noqa: A002
        """One schedule.

        Raises:
            NotFoundError: there is none of this id.
        """
        row = await self._read(lambda core: core.schedule(id))
        if row is None:
            text = (
                f"there is no schedule '{id}' in this store: schedules.list() shows those there are, "
                "schedules.create() makes one"
            )
            raise NotFoundError(text)
        return read_schedule(row)

    async def list(
        self,
        *,
        function: str | Function[Any, Any] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Schedule]:
        """Schedules by their ids. Crons among functions' triggers are with the functions: `functions.list()`."""
        name = None if function is None else name_of(function)
        most = check_limit(limit)
        rows, following = await self._read(
            lambda core: core.schedules(function=name, limit=most, cursor=cursor)
        )
        return Page((read_schedule(row) for row in rows), following)

    async def pause(self, id: str) -> None:  # the word users know  # noqa: A002
        """Let its ticks pass by until `resume`, also over a restart.

        Raises:
            NotFoundError: there is none of this id.
        """
        await self._read(lambda core: core.change_schedule(id, "pause"))

    async def resume(self, id: str) -> None:  # the word users know  # noqa: A002
        """Let a paused schedule go on, with its first tick from now.

        Raises:
            NotFoundError: there is none of this id.
        """
        await self._read(lambda core: core.change_schedule(id, "resume"))

    async def delete(self, id: str) -> None:  # the word users know  # noqa: A002
        """Let it be no more; its runs go on.

        Raises:
            NotFoundError: there is none of this id.
        """
        await self._read(lambda core: core.change_schedule(id, "delete"))

    async def trigger(self, id: str) -> str:  # the word users know  # noqa: A002
        """Start one run at once, beside its ticks, also of a paused schedule.

        Returns:
            The run's id.

        Raises:
            NotFoundError: there is none of this id.
            InvokeError: flow control let the run not be started.
        """
        run_id = await self._read(lambda core: core.change_schedule(id, "trigger"))
        return cast("str", run_id)


def _place(schedule_id: object) -> Place:
    place = Place("schedules.create", "id")
    given = place.instance(schedule_id, str, "a text of 1 to 256 bytes")
    reason = "is empty" if not given else wrong_id("schedule", "an id", given)
    if reason is not None:
        raise place.error(given, reason, "a text of 1 to 256 bytes")
    return Place(f"schedule '{given}'", "id")


def _read_rhythm(
    place: Place, rhythm: tuple[str | None, Duration | None], tz: str
) -> dict[str, object]:
    cron, every = rhythm
    if (cron is None) == (every is None):
        reason = "has no time" if cron is None else "has two times"
        raise place.at("cron").error(cron, reason, _RHYTHMS)
    if every is not None:
        if tz != _UTC:
            reason = "has no meaning with `every`: the time between two ticks is the same everywhere"
            raise place.at("tz").error(tz, reason, "a time zone with `cron`")
        ms = place.at("every").duration_between_ms(every, "1s", "366d")
        return {"every": {"ms": ms}}
    check_text((place.at("cron"), cron), (place.at("tz"), tz))
    return {"cron": {"text": cron, "tz": tz}}
