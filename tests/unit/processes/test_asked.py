"""Both sides speak of calls that the native module has, and each is in one list."""

from durable._bridge import Core
from durable._processes.asked import (
    ASK,
    DROP,
    HELLO,
    ONCE,
    PAGED,
    PUBLISH,
    REPEATABLE,
    SEND,
    WAITS,
)


def test_what_is_asked_is_a_call_of_the_core() -> None:
    for name in REPEATABLE | ONCE:
        assert callable(getattr(Core, name))


def test_what_opens_executes_or_moves_the_clock_is_not_asked() -> None:
    asked = REPEATABLE | ONCE
    mine = {"open", "close", "register", "connect", "drain", "submit", "advance"}
    assert not asked & mine
    assert not asked & {SEND, ASK, DROP, HELLO, *WAITS}
    assert not REPEATABLE & ONCE
    assert REPEATABLE >= PAGED


def test_every_call_is_asked_or_the_owners_own() -> None:
    """A new call of the native module is put on a list, or among those that stay with the owner."""
    answered_later = {"join", "unjoin", "watch", "unwatch", "subscribe", "unsubscribe"}
    own = {"open", "close", "register", "connect", "drain", "drain_executor", "fileno"}
    own |= {"submit", "park", "wake", "advance", "notices", "publish", "send_wait"}
    calls = {name for name in dir(Core) if not name.startswith("_")}
    assert calls == REPEATABLE | ONCE | {PUBLISH} | answered_later | own
