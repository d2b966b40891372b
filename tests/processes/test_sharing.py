"""Several processes on one store: one owns it, and the others do all they would do with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from .conftest import DEADLINE_S, Member, Place, until


pytestmark = pytest.mark.slow

SEND = 'await engine.send(durable.Event("order", {{"key": "{}"}}))'


def roles(members: list[Member]) -> tuple[Member, list[Member]]:
    owners = [member for member in members if member.is_owner()]
    assert len(owners) == 1
    return owners[0], [member for member in members if member is not owners[0]]


def test_of_those_that_open_a_new_store_at_once_one_owns_it(place: Place) -> None:
    members = place.members(6)
    owner, others = roles(members)
    assert place.holder() == owner.process.pid
    for number, member in enumerate(members):
        (event,) = member.ask(SEND.format(number))
        (run,) = member.ask(f'[run.id for run in await engine.events.runs("{event}")]')
        ended = member.ask(f'(await engine.runs.wait("{run}")).result')
        assert ended == str(number)
    for member in [*others, owner]:
        member.close()
    called = [
        line
        for line in place.notes.read_text().splitlines()
        if not line.startswith("recorded")
    ]
    steps = [f"{step} {n}" for n in range(6) for step in ("charge", "send")]
    assert sorted(called) == sorted(steps), "each once, by the owner"
    assert not list(place.store.glob("owner*"))


#: Each is asked of the owner and of another one, when all is quiet.
READS = [
    "await engine.runs.list()",
    "await engine.runs.list(status='completed', function='fulfil', limit=1)",
    "await engine.events.list()",
    "await engine.events.list(name='order')",
    "await engine.functions.list()",
    "await engine.functions.limits('fulfil')",
    "await engine.schedules.list()",
    "engine.stats()['functions']",
    "[await engine.runs.get(run.id) for run in await engine.runs.list()]",
    "[await engine.events.get(event.id) for event in await engine.events.list()]",
    "[await engine.events.runs(event.id) for event in await engine.events.list()]",
    "await engine.source_position('file')",
    "await anext(engine.subscribe('news'))",
    "await engine.join()",
    "await engine.invoke('fulfil', {'key': 'again'})",
    "await engine.runs.get('nothing')",
    "await engine.runs.wait('nothing')",
    "await engine.events.get('nothing')",
    "await engine.events.cancel('nothing')",
    "await engine.runs.cancel('nothing')",
    "await engine.runs.rerun('nothing')",
    "await engine.runs.cancel_many(function='nothing')",
    "await engine.runs.rerun_many()",
    "await engine.schedules.get('nothing')",
    "await engine.schedules.create('s', 'nothing', every='1h')",
    "await engine.functions.pause('nothing')",
    "await engine.invoke('nothing')",
    "await engine.invoke('fulfil', {})",
    "await engine.signal('nothing')",
    "await engine.send(durable.Event('durable/own'))",
    "await engine.send(durable.Event('a', {'b': 'c' * 5_000_000}))",
    "await engine.publish('a', 'b', 'c' * 600_000)",
]


def said(told: dict[str, Any]) -> str:
    """Without the ids of what a call has made."""
    words = json.dumps(told).split()
    return " ".join(word for word in words if "01" not in word)


def test_what_it_gives_is_the_same_everywhere(place: Place) -> None:
    owner, (other,) = roles(place.members(2))
    for number in range(3):
        other.ask(SEND.format(number))
    other.ask("await engine.send_from('file', 7, [])")
    other.ask("await engine.publish('news', 'a', {'b': 1})")
    other.ask("await engine.schedules.create('s', 'fulfil', every='1h')")
    owner.ask("await engine.join()")
    for read in READS:
        owner.say(read)
        given = owner.hear()
        other.say(read)
        assert said(other.hear()) == said(given), read


def test_signals_and_messages_cross_processes(place: Place) -> None:
    _, (one, other) = roles(place.members(3))
    one.ask('await engine.send(durable.Event("wait", {"signal": "s"}))')
    one.ask("await engine.join()")
    one.say("(await engine.runs.wait((await engine.runs.list())[0].id)).result")
    assert other.ask("await engine.signal('s', {'a': 1})")
    assert one.hear() == {"value": {"signal": "s", "data": {"a": 1}}}
    one.say("(await anext(engine.subscribe('news'))).data")
    other.ask("await engine.publish('news', 'a', 5)")
    assert one.hear() == {"value": 5}


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_another_takes_over_and_the_rest_follow(place: Place, way: int) -> None:
    owner, others = roles(place.members(4))
    others[0].ask('await engine.send(durable.Event("wait", {"signal": "s"}))')
    run = others[0].ask("(await engine.runs.list())[0].id")
    others[0].ask("await engine.join()")
    others[0].say(f"(await engine.runs.wait('{run}')).result")
    owner.process.send_signal(way)
    owner.process.wait(DEADLINE_S)
    until(lambda: place.holder() != owner.process.pid)
    for number, other in enumerate(others[1:]):
        assert other.ask(SEND.format(number))
    assert others[1].ask("await engine.signal('s', 1)")
    assert others[0].hear() == {"value": {"signal": "s", "data": 1}}
    assert place.holder() in [other.process.pid for other in others]


def test_an_owner_that_closes_hands_over_without_an_error(place: Place) -> None:
    members = place.members(4)
    count = 0
    while len(members) > 1:
        owner, others = roles_once_settled(members)
        for other in others:
            other.say(SEND.format(count))
            count += 1
        owner.close()
        for other in others:
            assert len(other.hear()["value"]) == 1
        members = others
    members[0].ask("await engine.join()")
    runs = members[0].ask("[r.result for r in await engine.runs.list(limit=1000)]")
    assert sorted(runs) == sorted(str(n) for n in range(count))


def roles_once_settled(members: list[Member]) -> tuple[Member, list[Member]]:
    until(lambda: any(member.is_owner() for member in members))
    return roles(members)


def test_a_child_of_a_killed_owner_keeps_nobody_from_the_store(place: Place) -> None:
    """It has inherited the owner's sockets and its lock."""
    owner, (other,) = roles(place.members(2))
    child = owner.ask("os.fork() or __import__('time').sleep(60) or os._exit(0)")
    try:
        owner.process.kill()
        until(other.is_owner)
    finally:
        os.kill(child, signal.SIGKILL)


NEVER_LEFT = """
import asyncio, durable, sys
loop = asyncio.new_event_loop()
engine = durable.Engine(durable.App("a"), store=sys.argv[1])
loop.run_until_complete(engine.__aenter__())
print(engine.is_owner(), flush=True)
input()
sys.exit(7)
"""


@pytest.mark.parametrize("is_killed", [False, True])
def test_an_engine_never_left_does_not_hinder_the_exit(
    place: Place, *, is_killed: bool
) -> None:
    (owner,) = place.members(1)
    with subprocess.Popen(
        [sys.executable, "-c", NEVER_LEFT, str(place.store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "False\n"
        if is_killed:
            owner.process.kill()
            owner.process.wait()
        other.communicate("\n", timeout=DEADLINE_S)
    assert other.returncode == 7


def test_the_command_line_looks_at_a_store_that_is_open(place: Place) -> None:
    (member,) = place.members(1)
    (event,) = member.ask(SEND.format("k"))
    member.ask("await engine.join()")
    (run,) = command(place, "runs", "list")["runs"]
    assert (run["event_ids"], run["result"]) == ([event], "k")
    assert command(place, "runs", "show", run["id"])["steps"][0]["name"] == "charge"
    assert command(place, "events", "list")["events"][0]["id"] == event
    assert len(command(place, "functions", "list")["functions"]) == 2
    again = command(place, "runs", "rerun", run["id"])
    assert member.ask("(await engine.runs.list())[0].rerun_of") == run["id"], again
    said = printed(place, "runs", "rerun", run["id"])
    assert f"executed by process {member.process.pid}, which has" in said
    assert member.is_owner()


def command(place: Place, *words: str) -> Any:
    return json.loads(printed(place, *words, "--json"))


def printed(place: Place, *words: str) -> str:
    ran = subprocess.run(  # ourselves
        [sys.executable, "-m", "durable", *words, "--store", place.store],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


HOLD = "import sys, durable._core as c; core = c.Core.open(sys.argv[1]); print(flush=True); input()"


def test_a_store_that_cannot_be_shared_says_who_has_it(place: Place) -> None:
    """Somebody has the lock and lets nobody in, as `durable store check`."""
    with subprocess.Popen(  # ourselves
        [sys.executable, "-c", HOLD, str(place.store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        lock = (place.store / "lock").read_text()
        ran = subprocess.run(  # ourselves
            [sys.executable, "-m", "durable", "runs", "list", "--store", place.store],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        holder.communicate("\n")
    assert ran.returncode == 3
    assert ran.stderr.splitlines()[0] == (
        f"error[DUR-0701]: the store {place.store} is open in another process ({lock}), and for 5 s that one was not "
        "reached: it lets no others in (a `durable store` command, a virtual clock, an earlier version), or is only "
        "opening it; stop that one first, or use another folder"
    )
