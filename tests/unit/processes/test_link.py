"""What is asked of an owner that goes is asked of the next one, but for what must not be done twice."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from durable._bridge import CoreError
from durable._processes.asked import (
    ASK,
    BYE,
    DROP,
    ERROR,
    LISTEN,
    SEND,
    STIRRED,
    VALUE,
    WATCH,
)
from durable._processes.frames import encode, receive
from durable._processes.link import Link, Question
from durable._processes.opening import Welcome


def telling(answer: Future[Any]) -> Callable[[str, Any], None]:
    def told(kind: str, value: Any) -> None:
        answer.set_result((kind, value))

    return told


class World:
    """A link, and the ends of its connections: each belongs to another owner."""

    def __init__(self) -> None:
        self.owners: list[socket.socket] = []
        self.next: Future[Welcome | None] = Future()
        self.link = Link(self.welcome(), self.find)
        self.link.open()

    def welcome(self) -> Welcome:
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        self.owners.append(theirs)
        return Welcome(ours, 1, frozenset(), 100_000)

    def find(self, stopped: threading.Event) -> Welcome | None:
        while not stopped.is_set():
            try:
                found = self.next.result(0.01)
            except TimeoutError:
                continue
            self.next = Future()
            return found
        return None

    def ask(self, name: str, *args: Any, limit_s: float | None = 10) -> Future[Any]:
        answer: Future[Any] = Future()
        self.link.ask(Question(name, args, {}, telling(answer), limit_s))
        return answer

    def hear(self) -> Any:
        return receive(self.owners[-1])

    def say(self, *what: Any) -> None:
        self.owners[-1].sendall(encode(what))

    def lose(self) -> None:
        self.owners[-1].close()

    def succeed(self) -> None:
        self.next.set_result(self.welcome())


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.link.close()
    for owner in made.owners:
        owner.close()


def test_answers_find_who_asked(world: World) -> None:
    one, other = world.ask("run", "a"), world.ask("run", "b")
    (first, *asked), (second, *_) = world.hear(), world.hear()
    assert asked == ["run", ("a",), {}]
    world.say(second, ERROR, ("io", "text"))
    world.say(first, VALUE, "x")
    assert one.result(10) == (VALUE, "x")
    assert other.result(10) == (ERROR, ("io", "text"))


def test_the_next_owner_is_asked_again_in_the_same_order(world: World) -> None:
    answers = [world.ask("run", str(n)) for n in range(3)]
    tickets = [world.hear()[0] for _ in answers]
    world.lose()
    later = world.ask("run", "later")
    world.succeed()
    assert [world.hear()[2] for _ in range(4)] == [("0",), ("1",), ("2",), ("later",)]
    world.say(tickets[1], VALUE, 5)
    assert answers[1].result(10) == (VALUE, 5)
    assert not later.done()


def test_what_is_asked_where_nothing_can_be_sent_is_kept_for_the_next_owner(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the connection it is known already, though nobody has read its end."""
    world.ask("run", "first")
    world.hear()
    writer = world.link._writer
    assert writer is not None
    later: list[Future[Any]] = []
    is_asked = threading.Event()

    def ask_many() -> None:
        writer.transport.abort()
        for n in range(10):
            later.append(Future())
            told = telling(later[-1])
            question = Question("cancel_event", (str(n),), {}, told, None)
            question.ticket = 100 + n
            question.write()
            world.link._take(question)
        is_asked.set()

    world.link._loop.call_soon_threadsafe(ask_many)
    assert is_asked.wait(10)
    world.succeed()
    asked = [world.hear() for _ in range(11)]
    assert [args for _, _, args, _ in asked[1:]] == [(str(n),) for n in range(10)]
    assert not any(one.done() for one in later), "it was never sent"
    assert "socket.send()" not in caplog.text


def test_events_are_sent_again_with_the_moment_of_the_first_time(world: World) -> None:
    world.ask(SEND, ["e"], ("s", 1), None)
    assert world.hear()[2] == (["e"], ("s", 1), None)
    world.lose()
    world.ask(SEND, ["f"], ("s", 2), None)
    world.succeed()
    _, _, (events, source, since_ms), _ = world.hear()
    assert (events, source) == (["e"], ("s", 1))
    assert 95_000 <= since_ms < 100_000, "by the owner's clock, and a little before"
    assert world.hear()[2][:2] == (["f"], ("s", 2))
    world.lose()
    world.succeed()
    assert world.hear()[2][2] == since_ms


@pytest.mark.parametrize(
    "asked", [(ASK, "f", b"{}", False), ("rerun", "r"), ("publish_wait", "a", "b", b"")]
)
def test_what_may_have_been_done_is_not_asked_again(
    world: World, asked: tuple[Any, ...]
) -> None:
    answer = world.ask(*asked)
    world.hear()
    world.lose()
    kind, (what, text) = answer.result(10)
    assert (kind, what) == (ERROR, "unanswered")
    assert text.startswith("the process that owned the store ended before it answered")
    assert text.endswith("then ask again")
    unsent = world.ask(*asked)
    world.succeed()
    assert world.hear()[1] == asked[0], "nobody has begun this"
    assert not unsent.done()


def test_an_owner_that_takes_leave_says_what_it_has_begun(world: World) -> None:
    begun, other = world.ask("rerun", "a"), world.ask("rerun", "b")
    ticket, *_ = world.hear()
    world.hear()
    world.say(0, BYE, [ticket])
    assert begun.result(10)[1][0] == "unanswered"
    world.succeed()
    assert world.hear()[2] == ("b",)
    assert not other.done()


def test_an_answer_that_does_not_come_is_given_up(world: World) -> None:
    world.ask("run", "first")
    world.hear()  # it is connected
    slow = world.ask("run", "a", limit_s=0.01)
    kind, (what, text) = slow.result(10)
    assert (kind, what) == (ERROR, "unanswered")
    assert text == (
        "no answer came within 0.01 s: it was sent to process 1, which owns the store; ask again"
    )
    ticket, *_ = world.hear()
    assert world.hear() == (ticket, DROP, (), {}), "it need not be answered any more"
    world.say(ticket, VALUE, 1)  # too late for anybody
    send = world.ask(SEND, [], None, None, limit_s=0.01)
    assert "may be accepted yet: give them ids" in send.result(10)[1][1]
    begun = world.ask("rerun", "b")
    world.lose()
    begun.result(10)
    lost = world.ask("rerun", "a", limit_s=0.01)
    assert lost.result(10)[1][1] == (
        "no answer came within 0.01 s: nobody has taken over from process 1, which owned the store; "
        "look with runs.list() whether the new run is there, then ask again"
    )


def test_a_wait_is_not_given_up_and_may_be_told_often(world: World) -> None:
    told: list[str] = []
    heard = threading.Semaphore(0)

    def tell(kind: str, _: Any) -> None:
        told.append(kind)
        heard.release()

    question = Question(LISTEN, ("c",), {}, tell, None)
    world.link.ask(question)
    for _ in range(2):
        ticket, *_ = world.hear()
        world.say(ticket, STIRRED, None)
        world.say(ticket, STIRRED, None)
        assert heard.acquire(timeout=10)
        assert heard.acquire(timeout=10)
        world.lose()
        world.succeed()
    assert told == [STIRRED] * 4
    assert world.hear()[1] == LISTEN
    world.link.cancel(question)
    assert world.hear() == (ticket, "drop", (), {})


def test_what_is_no_answer_ends_the_connection(world: World) -> None:
    answer = world.ask(WATCH, "r", limit_s=None)
    world.hear()
    world.owners[-1].sendall(b"\0\0\0\1x")
    world.succeed()
    assert world.hear()[1] == WATCH
    assert not answer.done()


def test_connections_that_end_at_once_follow_each_other_slower_and_slower(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def rest(pause_s: float) -> None:
        pauses.append(pause_s)

    monkeypatch.setattr(world.link, "_rest", rest)
    for _ in range(6):
        world.ask("run", "a")
        world.hear()
        world.lose()
        world.succeed()
    world.hear()
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_close_is_not_held_up_by_one_who_reads_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.link._FLUSH_S", 0.01)
    world.ask("run", "a" * 10_000_000)
    began = time.monotonic()
    world.link.close()
    assert time.monotonic() - began < 5
    with pytest.raises(CoreError):
        world.ask("run", "a")


def test_what_is_asked_while_it_closes_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last turn of the loop and its end."""
    late: list[Future[Any]] = []
    shut = world.link._shut

    def shut_and_ask() -> None:
        shut()
        if not world.link._loop.is_running():
            late.append(world.ask("run", "late"))

    monkeypatch.setattr(world.link, "_shut", shut_and_ask)
    world.link.close()
    assert late[0].result(10)[1][0] == "closed"


def test_the_close_tells_all_who_wait(world: World) -> None:
    waiting = world.ask(WATCH, "r", limit_s=None)
    world.hear()
    world.lose()
    world.link.close()
    world.link.close()
    assert waiting.result(10)[1][0] == "closed"
    with pytest.raises(CoreError, match="the engine was closed"):
        world.ask("run", "a")


def test_what_cannot_be_sent_is_refused_where_it_is_asked(world: World) -> None:
    with pytest.raises(CoreError, match="cannot be sent to another process") as caught:
        world.ask("run", object())
    assert caught.value.kind == "invalid"


def test_a_child_of_a_fork_is_told_what_to_do(world: World) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            world.ask("run", "a")
        except CoreError as error:
            status = 0 if error.kind == "forked" else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
