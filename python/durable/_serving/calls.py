"""What a server says when it calls a function: its events, its memos, and what is to execute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from .._codec import write_plain
from .names import event_from_wire, id_of_slug


if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._bridge import EventTuple, MemoTuple
    from .names import Slugs

#: What a call says that means the code between steps, where it could name a step.
DISCOVERY: Final = "step"

# The shapes of memos: which kind of step one is of is known once the code comes to it.
NULL: Final = "null"
DATA: Final = "data"
ERROR: Final = "error"
EVENT: Final = "event"

#: What only servers say in an event's data.
_OF_SERVERS: Final = "_inngest"


class CallRefused(ValueError):  # noqa: N818  # as the others
    """What was sent is no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One call.

    Attributes:
        run_id: the run.
        step: the hash of the step that is to execute; `None`: the code between steps.
        attempt: which try, from 0.
        max_attempts: how many there are.
        plans_only: steps that the code asks for are planned, since others are outstanding.
        events: the run's.
        memos: by the hashes of their steps, in the order of recording, with their shapes as kinds.
    """

    run_id: str
    step: str | None
    attempt: int
    max_attempts: int
    plans_only: bool
    events: tuple[EventTuple, ...]
    memos: list[MemoTuple]

    def settled(self) -> MemoTuple | None:
        """The memo of the step that is to execute, where it has one: it was planned again while it ended."""
        return next((memo for memo in self.memos if memo[0] == self.step), None)


class _Stack(BaseModel):
    stack: list[str] | None = None


class _About(BaseModel):
    run_id: str
    fn_id: str = ""
    step_id: str | None = None
    attempt: int = 0
    max_attempts: int | None = None
    disable_immediate_execution: bool = False
    use_api: bool = False
    stack: _Stack = Field(default_factory=_Stack)


class _SentEvent(BaseModel):
    name: str
    data: dict[str, Any] | None = None
    id: str | None = None
    ts: int | None = None
    v: str | None = None
    user: dict[str, Any] | None = None


class Body(BaseModel):
    """A call's body, as it is sent.

    Attributes:
        ctx: what it is about.
        event: the first of the run's events.
        events: all of them.
        steps: what is remembered, by the steps' hashes.
        use_api: events and memos are too large, and are to be asked for.
    """

    ctx: _About
    event: _SentEvent | None = None
    events: list[_SentEvent] = Field(default_factory=list[_SentEvent])
    steps: dict[str, Any] = Field(default_factory=dict[str, Any])
    use_api: bool = False

    @property
    def is_partial(self) -> bool:
        """True where events and memos are to be asked for."""
        return self.use_api or self.ctx.use_api


_EVENTS: Final = TypeAdapter(list[_SentEvent])
_STEPS: Final = TypeAdapter(dict[str, Any])


def read_body(body: bytes) -> Body:
    """Reads a call's body.

    Raises:
        CallRefused: it is none.
    """
    try:
        return Body.model_validate(orjson.loads(body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        text = f"the request's body is no call of a function: {_beginning(error)}"
        raise CallRefused(text) from None


def check_addressee(body: Body, slugs: Slugs, *, slug: str, step: str) -> None:
    """The address of a call is not signed, its body is: what that names must be what is called.

    Servers that are not `durable` have ids of their own, of which nothing is known.

    Raises:
        CallRefused: the body was made for another function or step.
    """
    about = body.ctx
    is_ours = about.fn_id == id_of_slug(slug)
    other_step = is_ours and about.step_id not in {None, step}
    if other_step or slugs.is_of_another(about.fn_id, slug):
        text = f"run {about.run_id}: the request's address names '{slug}' and step '{step}', its body others"
        raise CallRefused(text)


def completed(body: Body, events: bytes, steps: bytes) -> Body:
    """A call with what was asked for.

    Raises:
        CallRefused: that is something else.
    """
    try:
        found = {
            "events": _EVENTS.validate_python(orjson.loads(events)),
            "steps": _STEPS.validate_python(orjson.loads(steps)),
        }
    except (orjson.JSONDecodeError, ValidationError) as error:
        text = f"the server's answer is no run's state: {_beginning(error)}"
        raise CallRefused(text) from None
    return body.model_copy(update=found)


def read_call(body: Body, step: str, most_attempts: int) -> Called:
    """A call; `step` is what its address names.

    Raises:
        CallRefused: it has no event, or a memo of an unknown shape.
    """
    about = body.ctx
    sent = body.events or ([body.event] if body.event is not None else [])
    if not sent:
        text = f"run {about.run_id} is called without an event"
        raise CallRefused(text)
    return Called(
        run_id=about.run_id,
        step=None if step == DISCOVERY else step,
        attempt=about.attempt,
        max_attempts=about.max_attempts or most_attempts,
        plans_only=about.disable_immediate_execution,
        events=tuple(_read_event(one) for one in sent),
        memos=_read_memos(body.steps, about.stack.stack or ()),
    )


def _read_event(sent: _SentEvent) -> EventTuple:
    data = sent.data or {}
    data = {name: value for name, value in data.items() if name != _OF_SERVERS}
    at = sent.ts or 0
    user = orjson.dumps(sent.user) if sent.user else None
    name = event_from_wire(sent.name)
    json = write_plain(data, "data")
    return (sent.id or "", name, json, at, at, None, sent.v, user)


def _read_memos(steps: dict[str, Any], order: Sequence[str]) -> list[MemoTuple]:
    known = dict.fromkeys(step for step in order if step in steps)
    return [_read_memo(step, steps[step]) for step in known | dict.fromkeys(steps)]


def _read_memo(step: str, memo: Any) -> MemoTuple:
    if memo is None:
        return step, NULL, False, b"null"
    if _is_object(memo):
        if "name" in memo and "data" in memo:
            return step, EVENT, False, write_plain(memo, "data")
        if memo.get("error") is not None:
            return step, ERROR, True, write_plain(memo["error"], "error")
        if "data" in memo:
            return step, DATA, False, write_plain(memo["data"], "data")
    text = (
        f"step {step} is remembered in a form that functions of durable cannot take up: {memo!r:.100}. "
        "A rerun with another input is one: rerun it from an earlier step"
    )
    raise CallRefused(text)


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _beginning(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
