"""`engine.schedules` checks what it is asked before it asks the store."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

import durable
from durable._schedules import Schedules


pytestmark = pytest.mark.asyncio

ROW = ("s", "f", ("@daily", "UTC", None), b'{"k":1}', 0, "last", False, 1, None, 5, 7)


class Core:
    """Takes what is asked, and has one schedule."""

    def __init__(self) -> None:
        self.put: tuple[Any, ...] = ()
        self.changed: list[tuple[str, str]] = []

    def put_schedule(self, *given: Any) -> None:
        self.put = given

    def change_schedule(self, schedule: str, change: str) -> str | None:
        self.changed.append((schedule, change))
        return "RUN" if change == "trigger" else None

    def schedule(self, schedule: str) -> Any:
        return ROW if schedule == "s" else None

    def schedules(self, **asked: Any) -> Any:
        assert asked == {"function": "f", "limit": 7, "cursor": "r"}
        return [ROW], "s"


class Opened:
    """An engine that is open on it."""

    def __init__(self) -> None:
        self.session: Any = self
        self.core = Core()


async def test_a_schedule_crosses_the_border_as_the_core_reads_it() -> None:
    opened: Any = Opened()
    schedules = Schedules(opened)
    made = await schedules.create(
        "s", "f", cron="@daily", tz="Asia/Tokyo", jitter="2s", data={"k": 1}
    )
    schedule, function, spec, data = opened.core.put
    assert (schedule, function, data) == ("s", "f", b'{"k":1}')
    assert orjson.loads(spec) == {
        "rhythm": {"cron": {"text": "@daily", "tz": "Asia/Tokyo"}},
        "jitter_ms": 2_000,
        "catch_up": "last",
    }
    assert (made.id, made.data, made.cron) == ("s", {"k": 1}, "@daily")
    await schedules.create("s", "f", every="90s", catch_up="all")
    spec = orjson.loads(opened.core.put[2])
    assert (spec["rhythm"], spec["catch_up"]) == ({"every": {"ms": 90_000}}, "all")


async def test_changes_and_reads_ask_for_what_they_say() -> None:
    opened: Any = Opened()
    schedules = Schedules(opened)
    await schedules.pause("s")
    await schedules.resume("s")
    await schedules.delete("s")
    assert await schedules.trigger("s") == "RUN"
    changes = ["pause", "resume", "delete", "trigger"]
    assert opened.core.changed == [("s", change) for change in changes]
    page = await schedules.list(function="f", limit=7, cursor="r")
    assert ([one.id for one in page], page.cursor) == (["s"], "s")
    with pytest.raises(durable.NotFoundError, match=r"schedules\.create"):
        await schedules.get("t")


@pytest.mark.parametrize("name", ["", "x" * 257, 7])
async def test_a_wrong_id_is_refused(name: Any) -> None:
    opened: Any = Opened()
    with pytest.raises(durable.ConfigError, match=r"schedules\.create"):
        await Schedules(opened).create(name, "f", every="1h")


async def test_data_that_is_no_json_is_refused_with_its_schedule_and_place() -> None:
    schedules: Any = Schedules(Opened())
    says = r"^schedule 'daily': data\.lock is a builtins\.object"
    with pytest.raises(durable.SerializationError, match=says):
        await schedules.create("daily", "f", every="1h", data={"lock": object()})
