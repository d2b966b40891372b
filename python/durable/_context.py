"""What a handler is given: its event, its steps, its place in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from ._codec import read_plain
from ._events import INVOKED, Event, make_event
from ._messages import encode
from ._run_logger import RunLogger
from ._step import CURRENT_STEP, StepOwner, caller
from ._steps import Steps
from ._sync_steps import SyncSteps


if TYPE_CHECKING:
    import logging
    from collections.abc import Coroutine

    from ._bridge import EventTuple


DataT = TypeVar("DataT", default=dict[str, Any])


class _Given(Generic[DataT]):
    """What both kinds of handler are given."""

    __slots__ = ("_events", "_logger", "_run")

    def __init__(self, run: StepOwner) -> None:
        self._run = run
        self._events: tuple[Event[DataT], ...] = ()
        self._logger: RunLogger | None = None

    @property
    def event(self) -> Event[DataT]:
        """The event that started the run, its data as the type that was declared. Of a batch the first.

        Raises:
            SerializationError: the data does not fit that type.
        """
        if not self._events:
            self._events = (read_event(self._run, self._run.event_tuples[0]),)
        return self._events[0]

    @property
    def events(self) -> list[Event[DataT]]:
        """The events that started the run, in order of arrival: those of a batch, else one.

        Raises:
            SerializationError: the data of one does not fit the type that was declared.
        """
        rest = self._run.event_tuples[len(self._events) :]
        self._events += tuple(read_event(self._run, row) for row in rest)
        return list(self._events)

    @property
    def run_id(self) -> str:
        """The run's id, a ULID."""
        return self._run.id

    @property
    def attempt(self) -> int:
        """Which try this is, from 0: of the step inside a step's function, else of the code between.

        It rises with each call, also where a crash cut one off, which costs none of the function's `retries`.
        """
        call = CURRENT_STEP.get()
        return self._run.attempt if call is None else call.attempt

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that is silent while the code is gone through again after a restart."""
        if self._logger is None:
            self._logger = RunLogger(self._run)
        return self._logger


class Context(_Given[DataT]):
    """What an `async def` handler is given. Generic in the event's data: `Context[Order]`.

    Attributes:
        step: its steps, each of which is awaited.
    """

    __slots__ = ("step",)

    def __init__(self, run: StepOwner) -> None:
        super().__init__(run)
        self.step = Steps(run)

    def publish(
        self, channel: str, topic: str, data: object = None
    ) -> Coroutine[Any, Any, str]:
        """Publish a message for whoever subscribes to the channel; its id. See `Engine.publish`.

        Between steps it is a step of its own, named after the topic: published once, and not again when the code is
        gone through again. Inside a step it is a part of that step: each of its tries publishes. A plain function on a
        thread, which cannot await, calls `engine.publish_sync`.
        """
        json, run = encode(channel, topic, data), self._run
        if CURRENT_STEP.get() is not None:
            return run.worker.publish(channel, topic, json)
        return self.step.make_publish((channel, topic, json), caller(1))


class SyncContext(_Given[DataT]):
    """What a plain `def` handler is given: it runs on a thread, and its steps block.

    Attributes:
        step: its steps; each returns when it has been recorded.
    """

    __slots__ = ("step",)

    def __init__(self, run: StepOwner) -> None:
        super().__init__(run)
        self.step = SyncSteps(run)

    def publish(self, channel: str, topic: str, data: object = None) -> str:
        """Publish a message for whoever subscribes to the channel; its id. See `Context.publish`."""
        json, run = encode(channel, topic, data), self._run
        if CURRENT_STEP.get() is not None:
            return run.worker.publish_wait(channel, topic, json)
        call = self.step.make_publish((channel, topic, json), caller(1))
        message_id: str = run.driver.wait_for(call)
        return message_id


def read_event(run: StepOwner, row: EventTuple) -> Event[Any]:
    """An event of a run, its data as the type that its function declares.

    Raises:
        SerializationError: the data does not fit that type.
    """
    event_id, name, json, ts, _received_at, sent_id, version, user = row
    function = run.function
    kind = function.type_for_invoke() if name == INVOKED else function.type_of(name)
    data: Any
    if kind is None:
        data = read_plain(json)
    else:
        data = kind.read_stored(json, f"event '{name}' ({event_id})")
    who = None if user is None else read_plain(user)
    return make_event(name, data, id=sent_id or event_id, ts=ts, v=version, user=who)
