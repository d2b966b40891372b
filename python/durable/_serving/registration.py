"""What an application tells a server of its functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import orjson

from .._errors import ConfigError
from .names import event_for_wire, length


if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._cron import CronFields
    from .._function import Function
    from .names import Slugs

Fields = dict[str, Any]

_UTC: Final = "UTC"


def configs_of(
    functions: Iterable[Function[Any, Any]], slugs: Slugs, url: str
) -> list[Fields]:
    """All functions as a server wants to know them; `url` is where they are called.

    Raises:
        ConfigError: a setting cannot be said in the protocol.
    """
    listed = list(functions)
    owners = {one.on_failure.id: one for one in listed if one.on_failure is not None}
    return [config_of(one, slugs, url, owners.get(one.id)) for one in listed]


def config_of(  # noqa: PLR0917  # each is one thing the caller has at hand
    function: Function[Any, Any],
    slugs: Slugs,
    url: str,
    owner: Function[Any, Any] | None = None,
) -> Fields:
    """One function; `owner` is the one whose `on_failure` it is.

    Raises:
        ConfigError: a setting cannot be said in the protocol.
    """
    slug = slugs.of(function.id)
    conditions = dict(function.conditions)
    if owner is not None:  # by the id that the server knows it under
        known_as = orjson.dumps(slugs.of(owner.id)).decode()
        own = f"event.data.function_id == {known_as}"
        conditions = dict.fromkeys(conditions, own)
    runtime = {"type": "http", "url": f"{url}?fnId={quote(slug, safe='')}&stepId=step"}
    step = {
        "id": "step",
        "name": "step",
        "runtime": runtime,
        "retries": {"attempts": function.retries.count},
    }
    events = [
        _without_none(event=event_for_wire(name), expression=conditions.get(name))
        for name in function.triggers
    ]
    crons = [_cron(function, cron) for cron in function.crons]
    return {
        "id": slug,
        "name": function.id,
        "triggers": [*events, *crons],
        "steps": {"step": step},
        **_flow(function),
    }


def _cron(function: Function[Any, Any], cron: CronFields) -> Fields:
    if cron["catch_up"] != "last":
        what = f"Cron(catch_up={cron['catch_up']!r})"
        raise _unsaid(function, what, 'the default, catch_up="last"')
    tz = "" if cron["tz"] == _UTC else f"TZ={cron['tz']} "
    jitter = length(cron["jitter_ms"]) if cron["jitter_ms"] else None
    return _without_none(cron=f"{tz}{cron['text']}", jitter=jitter)


def _flow(function: Function[Any, Any]) -> Fields:
    given = cast("dict[str, Any]", function.flow)
    said = {_NAMES[name]: _said(value) for name, value in given.items()}
    if "priority" in given:
        said["priority"] = {"run": given["priority"]}
    if "run_concurrency" in given:
        steps = said.get("concurrency", [])
        said["concurrency"] = {"step": steps, "fn": [said.pop("run_concurrency")]}
    for cancel in said.get("cancel", ()):
        cancel["event"] = event_for_wire(cancel["event"])
    if "rateLimit" in said:
        limit = said["rateLimit"]
        if limit.pop("burst") != limit["limit"] - 1:
            raise _unsaid(function, "RateLimit(burst=...)", "the default burst")
    return said


_NAMES: Final = {
    "batch": "batchEvents",
    "cancel_on": "cancel",
    "concurrency": "concurrency",
    "debounce": "debounce",
    "idempotency": "idempotency",
    "priority": "priority",
    "rate_limit": "rateLimit",
    "run_concurrency": "run_concurrency",
    "singleton": "singleton",
    "throttle": "throttle",
    "timeouts": "timeouts",
}


def _said(value: Any) -> Any:
    """Flow control in the protocol's spelling: camel case, lengths as texts, without what is absent."""
    if isinstance(value, list):
        return [_said(one) for one in cast("Any", value)]
    if not isinstance(value, dict):
        return value
    said: Fields = {}
    for name, one in cast("Fields", value).items():
        if one is None:
            continue
        if name.endswith("_ms"):
            said[name.removesuffix("_ms")] = length(one)
        else:
            said["maxSize" if name == "max_size" else name] = one
    return said


def _without_none(**fields: object) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _unsaid(function: Function[Any, Any], what: str, instead: str) -> ConfigError:
    text = (
        f"function '{function.id}': {what} cannot be said to a server over HTTP\n"
        f"  accepted: {instead}; or an engine in this process"
    )
    return ConfigError(text)
