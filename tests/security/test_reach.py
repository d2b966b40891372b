"""T39: whatever a server is told to call, it calls nobody inside: 382 forms of addresses, each registered, led to and fetched.

Short: each form registered and, where it is a name, called; 60 of them as the target of a redirect and of a step's fetch; 20
names that lead elsewhere the second time. Long: all of them everywhere; 500 names. 100 % are blocked, which is seen at
the ports themselves: nobody connects. With `--allow` the same forms get through: it is not that nothing works.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..sdk.running import until
from ..serving.conftest import listening
from .attacked import (
    BEARER,
    SEED,
    Answer,
    Answers,
    Asked,
    Served,
    application,
    count,
    engine_with_keys,
    function,
    registration,
    serving,
    signed,
)


HERE = Path(__file__).parent
FORMS: dict[str, list[str]] = json.loads((HERE / "inside.json").read_text())
ALL = [form for forms in FORMS.values() for form in forms]

#: Why something is not called, in the server's words.
WHYS = (
    "is no address of the public network",
    "has no user's name in it",
    "is neither http nor https",
    "that is no address",
)
STATUSES = (301, 302, 303, 307, 308)


class Victim:
    """Ports of this machine that nobody must come to: one number at all of its addresses."""

    def __init__(self) -> None:
        self.came = 0
        first = socket.create_server(("127.0.0.1", 0))
        self.port = first.getsockname()[1]
        self._doors = [first]
        with contextlib.suppress(OSError):  # there may be no IPv6
            self._doors.append(
                socket.create_server(("::1", self.port), family=socket.AF_INET6)
            )
        for door in self._doors:
            threading.Thread(target=self._watch, args=(door,), daemon=True).start()

    def _watch(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                with door.accept()[0]:
                    self.came += 1

    def close(self) -> None:
        for door in self._doors:
            door.shutdown(socket.SHUT_RDWR)
            door.close()


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library that makes names lead where they say."""
    library = tmp_path_factory.mktemp("resolver") / "resolver.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command = ["cc", *flags, "-o", str(library), str(HERE / "resolver.c"), "-ldl"]
    subprocess.run(command, check=True)
    return str(library)


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    one = Victim()
    yield one
    one.close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, resolver: str, victim: Victim
) -> Iterator[Served]:
    """`durable serve` that may call 127.0.0.2; and is told to look for applications inside."""
    folder = tmp_path_factory.mktemp("reach")
    inside = ("127.0.0.1", "localhost", "[::1]", "2130706433", "to-127-0-0-1.test")
    urls = [f"--url=http://{host}:{victim.port}/api" for host in inside]
    options = ["--allow", "127.0.0.2", *urls]
    with serving(folder, *options, LD_PRELOAD=resolver) as one:
        yield one


@contextlib.contextmanager
def answering(answers: Answers) -> Iterator[int]:
    """An application on 127.0.0.2, in a thread; its port. Each connection is for one request."""

    def keep_to_one(asked: Asked) -> Answer:
        status, headers, body = answers(asked)
        return status, {**headers, "Connection": "close"}, body

    ready, over, port = threading.Event(), asyncio.Event(), list[int]()

    async def serve() -> None:
        web = application(keep_to_one)
        async with listening(web, "127.0.0.2") as url:
            port.append(int(url.rpartition(":")[2]))
            ready.set()
            await over.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def register(server: Served, app: str, *functions: dict[str, Any]) -> tuple[int, str]:
    said = registration(app, *functions)
    answer = server.http.post("/fn/register", json=said)
    return answer.status_code, answer.text


def ended(server: Served, slug: str) -> dict[str, Any]:
    """One run of a function, once it has ended."""
    begun = server.http.post(f"/invoke/{slug}")
    assert begun.status_code == 200, begun.text
    run = begun.json()["run_id"]

    def find() -> dict[str, Any] | None:
        said: dict[str, Any] = server.http.get(f"/v1/runs/{run}").json()["data"]
        return said if said["ended_at"] else None

    found: dict[str, Any] = until(find)
    return found


def is_refused(said: object, form: str = "") -> bool:
    """Nobody was called, and that is why; names are not the same on every machine."""
    is_nobody = form in FORMS["names"] and "failed to lookup" in str(said)
    return is_nobody or any(why in str(said) for why in WHYS)


def at(form: str, port: int) -> str:
    return form.replace("{port}", str(port))


def some(forms: list[str]) -> list[str]:
    """As many as there is time for, drawn from all of them."""
    return random.Random(SEED).sample(forms, count(60, len(forms)))


def test_there_are_many_forms() -> None:
    assert len({*ALL}) == len(ALL) >= 300


def test_no_form_is_called_that_is_registered(server: Served, victim: Victim) -> None:
    called = 0
    for form in ALL:
        url = at(form, victim.port)
        status, why = register(server, "inside", function("inside", "f", url))
        if status == 200:  # a name: where it leads is seen when it is called
            run = ended(server, "inside-f")
            assert run["status"] == "Failed", form
            why, called = run["output"]["message"], called + 1
        assert is_refused(why, form), (form, why)
    assert called >= len(FORMS["names"])
    assert victim.came == 0


def test_no_form_is_called_that_somebody_leads_to(
    server: Served, victim: Victim
) -> None:
    sendable = [form for form in ALL if form.isascii() and form.isprintable()]
    forms = some([form for form in sendable if "://" in form.strip() == form])
    asked: list[str] = []

    def lead(request: Asked) -> Answer:
        asked.append(request.path)
        number = int(request.path[1:])
        status = STATUSES[number % len(STATUSES)]
        return status, {"Location": at(forms[number], victim.port)}, b""

    with answering(lead) as port:
        for number, form in enumerate(forms):
            url = f"http://127.0.0.2:{port}/{number}"
            said = register(server, "led", function("led", "f", url))
            assert said[0] == 200, said
            run = ended(server, "led-f")
            assert run["status"] == "Failed", form
            # What is no address at all leads nowhere: the answer is the redirect itself, which no SDK gives.
            said = str(run["output"])
            assert is_refused(said, form) or "invalid status code: 30" in said, (
                form,
                said,
            )
    assert {*asked} == {f"/{number}" for number in range(len(forms))}
    assert victim.came == 0


def test_no_form_is_fetched_for_a_step(server: Served, victim: Victim) -> None:
    forms, told = some(ALL), dict[str, Any]()

    def fetch(request: Asked) -> Answer:
        steps = json.loads(request.body)["steps"]
        if steps:
            told.update(steps)
        ops = [
            {
                "id": f"{number:040x}",
                "op": "Gateway",
                "name": f"f{number}",
                "displayName": f"f{number}",
                "opts": {"url": at(form, victim.port), "method": "GET"},
            }
            for number, form in enumerate(forms)
        ]
        done = len(told) >= len(forms)
        said = json.dumps("done" if done else ops).encode()
        return 200 if done else 206, signed(said), said

    with answering(fetch) as port:
        url = f"http://127.0.0.2:{port}/"
        assert register(server, "fetch", function("fetch", "f", url))[0] == 200
        run = ended(server, "fetch-f")
    assert run["status"] == "Completed", run
    assert len(told) == len(forms)
    for number, form in enumerate(forms):
        said = told[f"{number:040x}"]
        assert is_refused(said, form), (form, said)
    assert victim.came == 0


def test_a_name_that_leads_elsewhere_the_second_time_is_looked_at_again(
    server: Served, victim: Victim
) -> None:
    """The application is on an address that may be called; then its name is that of the victim's."""
    total = count(20, 500)

    def reply(_: Asked) -> Answer:
        return 200, signed(b'"done"'), b'"done"'

    with answering(reply) as port:
        for number in range(total):
            turning = f"turn-127-0-0-2-to-127-0-0-1-{number}.test"
            both = "both-127-0-0-1-and-127-0-0-2.test"
            functions = [
                function("turns", "f", f"http://{turning}:{port}/"),
                function("turns", "both", f"http://{both}:{port}/"),
            ]
            assert register(server, "turns", *functions)[0] == 200
            assert ended(server, "turns-f")["status"] == "Completed"
            run = ended(server, "turns-f")
            assert (run["status"], is_refused(run["output"])) == ("Failed", True), run
            assert ended(server, "turns-both")["status"] == "Completed"
    assert victim.came == 0


@pytest.mark.asyncio
async def test_what_is_allowed_is_called_in_the_same_forms() -> None:
    """The forms are good: where the operator lets the server call this machine, they lead to it."""
    open_to = ("127.0.0.0/8", "::1", "::ffff:127.0.0.1")
    kinds = {form: kind for kind, forms in FORMS.items() for form in forms}
    one, called = Victim(), 0
    async with engine_with_keys(allowed=open_to) as (engine, http):
        for form in ALL:
            url = at(form, one.port)
            said = registration("inside", function("inside", "f", url))
            is_ours = f"{one.port}/" in url and "names" not in kinds[form]
            answer = await http.post("/fn/register", json=said, headers=BEARER)
            if answer.status_code == 200 and is_ours and "65535" not in url:
                await http.post("/invoke/inside-f", headers=BEARER)
                await engine.join(timeout="30s")
                called += 1
        await asyncio.to_thread(until, lambda: one.came >= called)
    one.close()
    assert called >= 50
    assert one.came == called
