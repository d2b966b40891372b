"""Workers that dial in: who gets what, and what becomes of it when one of them, or the way to it, is lost."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .between import Between
from .running import (
    DEADLINE_S,
    Application,
    Server,
    application,
    free_port,
    now_ms,
    process,
    server,
    settings,
    until,
)
from .toolchains import COMMANDS, DIALLING


OLD, NEW = "signkey-prod-00ff10", "signkey-prod-7e57ed"
FIRST, SECOND = ["first"], ["first", "second"]


class Workers:
    """Starts them."""

    def __init__(self, of: Server, folder: Path) -> None:
        self.of = of
        self._folder = folder

    def folder(self, called: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=called, dir=self._folder))

    @contextlib.contextmanager
    def one(self, sdk: str, app: str, *, at: str = "", **fields: str) -> Iterator[Any]:
        """A worker of an application, which is connected; `at`: the way to the server."""
        folder = self.folder(f"{sdk}-{app}")
        name, fields = f"{sdk}-{app}", {"SERVER": at or self.of.url, **fields}
        with application(name, COMMANDS[sdk](), self.of, folder, **fields) as worker:
            assert worker.register().status_code == 200
            yield worker

    @contextlib.contextmanager
    def two(self, sdk: str, app: str) -> Iterator[list[Application]]:
        with self.one(sdk, app) as first, self.one(sdk, app) as second:
            yield [first, second]


def output(worker: Application, event: str) -> Any:
    run = worker.server.ended(event)
    assert run["status"] == "Completed", run
    return run["output"]


def is_well_at(worker: Application, key: str, for_ms: int = 500) -> bool:
    """Whether the second part began so long ago: the server has heard of that."""
    moments = worker.moments(key)
    return len(moments) == len(SECOND) and now_ms() > moments[-1]["at"] + for_ms


def killed(workers: Workers, sdk: str) -> None:
    """A worker is killed in the middle of a step: the other makes that step, and not the one before."""
    with workers.two(sdk, "killed") as both:
        key = both[0].new_key()
        event = both[0].send("parts", key, hold=3_000)

        def at_it() -> list[Application]:
            return [worker for worker in both if "second" in worker.notes(key)]

        (doomed,) = until(at_it)
        (other,) = [worker for worker in both if worker is not doomed]
        before = other.notes(key)
        assert sorted(before + doomed.notes(key)) == SECOND
        doomed.process.kill()
        assert output(other, event) == "done"
        assert other.notes(key) == [*before, "second"]


def cut(workers: Workers, sdk: str) -> None:
    """A connection is lost in the middle of a step: its answer counts, whether there is one again before it ends or not."""
    with (
        Between(workers.of.url).answering() as between,
        workers.one(sdk, "cut", at=between.url) as worker,
    ):
        kept, flushed = worker.new_key(), worker.new_key()
        event = worker.send("parts", kept, hold=7_000)
        until(lambda: is_well_at(worker, kept))
        between.cut()
        between.is_cut = False
        assert output(worker, event) == "done"
        assert not between.posts("/v0/connect/flush")
        event = worker.send("parts", flushed, hold=1_500)
        until(lambda: is_well_at(worker, flushed))
        between.cut()
        until(lambda: is_well_at(worker, flushed, for_ms=2_000))
        between.is_cut = False
        assert output(worker, event) == "done"
        assert between.posts("/v0/connect/flush")
        assert [worker.notes(key) for key in (kept, flushed)] == [SECOND, SECOND]


def restarted(workers: Workers, sdk: str) -> None:
    """The server ends, and begins again: its worker dials in again, and the run goes on."""
    folder = workers.folder(f"{sdk}-server")
    options = ["--port", str(free_port()), "--no-discovery"]
    with contextlib.ExitStack() as before, contextlib.ExitStack() as after:
        first = before.enter_context(server(folder, "dev", *options))
        own = Workers(first, folder)
        worker = after.enter_context(own.one(sdk, "restarted"))
        key = worker.new_key()
        event = worker.send("parts", key, hold=0, waits=True)
        until(lambda: worker.notes(key) == FIRST and first.jobs(event))
        before.close()
        second = after.enter_context(server(folder, "dev", *options))
        second.send(f"{worker.name}/go", {})
        run = second.ended(event)
        assert (run["status"], run["output"]) == ("Completed", "done")
        assert worker.notes(key) == SECOND


SCENES = {scene.__name__: scene for scene in (killed, cut, restarted)}


@pytest.fixture(scope="module")
def workers(dev: Server, tmp_path_factory: pytest.TempPathFactory) -> Workers:
    return Workers(dev, tmp_path_factory.mktemp("workers"))


@pytest.fixture(scope="module", autouse=True)
def played(workers: Workers) -> Iterator[dict[tuple[str, str], Future[None]]]:
    """What takes its time is begun at once, beside all other tests."""
    with ThreadPoolExecutor(len(SCENES) * len(DIALLING)) as threads:
        yield {
            (name, sdk): threads.submit(scene, workers, sdk)
            for name, scene in SCENES.items()
            for sdk in DIALLING
        }


@pytest.mark.parametrize("sdk", DIALLING)
def test_a_worker_has_no_more_than_it_says(sdk: str, workers: Workers) -> None:
    one = {"INNGEST_CONNECT_MAX_WORKER_CONCURRENCY": "1"}
    with workers.one(sdk, "narrow", **one) as worker:
        key = worker.new_key()
        events = [worker.send("plain", key, n=n, hold=150) for n in range(4)]
        for event in events:
            output(worker, event)
        notes = worker.notes(key)
        assert len(notes) == 8
        for start, end in zip(notes[::2], notes[1::2], strict=True):
            assert end == start.replace("start", "end"), notes


@pytest.mark.parametrize("sdk", DIALLING)
def test_two_workers_share_the_work_until_one_is_told_to_end(
    sdk: str, workers: Workers
) -> None:
    with workers.two(sdk, "shared") as both:
        key = both[0].new_key()
        events = [both[0].send("plain", key, n=n, hold=300) for n in range(6)]
        for event in events:
            output(both[0], event)
        notes = [worker.notes(key) for worker in both]
        assert all(notes), "each has some of it"
        assert sum(map(len, notes)) == 12, "and nothing is done twice"
        is_told_to_end(both)


def is_told_to_end(both: list[Application]) -> None:
    """What it is at it brings to its end, and the other has the rest."""
    key = both[0].new_key()
    event = both[0].send("plain", key, n=1, hold=1_000)

    def at_it() -> list[Application]:
        return [worker for worker in both if worker.notes(key)]

    (leaving,) = until(at_it)
    (other,) = [worker for worker in both if worker is not leaving]
    leaving.process.terminate()
    later = [other.send("plain", key, n=n, hold=0) for n in (2, 3)]
    assert [output(other, one) for one in (event, *later)] == [1, 2, 3]
    rest = {f"{word} {n}" for word in ("start", "end") for n in (2, 3)}
    assert set(other.notes(key)) == rest
    assert leaving.process.wait(DEADLINE_S) == 0


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`durable serve` with the new key."""
    keys = ["--event-key", "an-event-key", "--signing-key", NEW]
    with server(tmp_path_factory.mktemp("serve"), "serve", *keys, key=NEW) as one:
        yield one


@pytest.mark.parametrize("sdk", DIALLING)
def test_whoever_has_another_key_does_not_get_in(
    sdk: str, serve: Server, tmp_path: Path
) -> None:
    name, log = f"{sdk}-of-others", tmp_path / "log"
    own = {"MODE": "production", "INNGEST_SIGNING_KEY": OLD}
    with Between(serve.url).answering() as between:
        environment = settings(name, free_port(), serve, SERVER=between.url, **own)
        with process(COMMANDS[sdk](), log, environment) as running:
            # Python's gives up, and TypeScript's tries again.
            start = "/v0/connect/start"
            until(lambda: between.posts(start) > 1 or running.poll() is not None)
        assert between.posts(start), log.read_text()
    invoked = serve.http.post(f"/invoke/{name}-plain", json={})
    assert invoked.status_code == 404


@pytest.mark.parametrize("path", ["/v0/connect/start", "/v0/connect/flush"])
def test_nobody_begins_without_a_key(path: str, serve: Server) -> None:
    answer = serve.http.post(path, headers={"authorization": ""})
    assert answer.status_code == 401


@pytest.mark.parametrize("sdk", DIALLING)
@pytest.mark.parametrize("scene", SCENES)
def test_what_is_lost(
    scene: str, sdk: str, played: dict[tuple[str, str], Future[None]]
) -> None:
    """See the function of the scene's name."""
    played[scene, sdk].result()
