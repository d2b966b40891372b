"""What one process may ask of the owner of a store, and what of it can be asked twice: the words of both sides."""

from __future__ import annotations

from typing import Final


#: Raised with each change of what goes over the socket.
PROTOCOL: Final = 1

#: Calls of `Core` that change nothing, or nothing more the second time.
REPEATABLE: Final = frozenset(
    {
        "cancel",
        "event",
        "events",
        "functions",
        "limits",
        "messages",
        "now_ms",
        "pause",
        "put_schedule",
        "run",
        "runs",
        "schedule",
        "schedules",
        "select",
        "source_position",
        "stats",
        "waiting_on",
    }
)
#: Calls of `Core` after which it matters whether they were done once or twice.
ONCE: Final = frozenset(
    {
        "cancel_event",
        "cancel_many",
        "change_schedule",
        "rerun",
        "rerun_many",
    }
)
#: Of `REPEATABLE`, what gives a page of at most `limit` and a cursor.
PAGED: Final = frozenset({"events", "runs", "schedules"})
#: A message, whose number is the answer; `ONCE` as well, but in the order in which one process asks.
PUBLISH: Final = "publish_wait"
#: Events, which count once by their source and position.
SEND: Final = "send"
#: What the source of another process's events begins with: its positions only rise.
CLIENT_SOURCE: Final = "durable/client/"
#: A run of a function, or a signal.
ASK: Final = "ask"
#: What may come at any time, or never: a run's end, nothing left to do, something new on a channel.
WATCH: Final = "watch"
JOIN: Final = "join"
LISTEN: Final = "listen"
WAITS: Final = frozenset({WATCH, JOIN, LISTEN})

#: The first thing that is asked; what it says and what answers it stays as it is for ever.
HELLO: Final = "hello"
#: Nobody waits for an answer any more.
DROP: Final = "drop"

#: Kinds of errors after which an engine does nothing any more.
FAILED: Final = frozenset({"broken", "closed", "poisoned"})

#: What an answer is.
VALUE: Final = "value"
ERROR: Final = "error"
STIRRED: Final = "stirred"
BYE: Final = "bye"
