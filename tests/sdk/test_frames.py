"""The socket of a worker, frame by frame: what the server promises whoever speaks the protocol, and does to whoever does not."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator

import pytest
from inngest.connect._internal import connect_pb2 as pb
from websockets.exceptions import ConnectionClosed

from .raw_worker import RawWorker, raw_worker, returned
from .running import Server


MB = 1024 * 1024
#: A frame of more is not read.
MOST_BYTES = 64 * MB
#: A reply of more is none.
MOST_OF_A_REPLY = 40 * MB


@pytest.fixture
def app() -> str:
    return f"raw-{uuid.uuid4().hex}"


@pytest.fixture
def dial(dev: Server) -> Iterator[Callable[[], RawWorker]]:
    """A worker that has said nothing yet."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(raw_worker(dev))


def send(dev: Server, app: str) -> str:
    return dev.send(app, {})


def output(dev: Server, event: str) -> object:
    run = dev.ended(event)
    assert run["status"] == "Completed", run
    return run["output"]


def test_a_request_is_answered(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    ready = worker.open(app)
    assert (ready.heartbeat_interval, ready.extend_lease_interval) == ("10s", "5s")
    event = send(dev, app)
    request = worker.request()
    assert (request.app_name, request.function_slug) == (app, f"{app}-f")
    worker.begin(request)
    assert worker.is_given_nothing()
    worker.answer(request, "done")
    assert output(dev, event) == "done"


def test_a_worker_keeps_what_it_says_it_is_at(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    worker.open(app)
    event = send(dev, app)
    request = worker.request()
    assert worker.extends(request)
    strange = pb.GatewayExecutorRequestData(request_id="nobody's")
    assert not worker.extends(strange)
    worker.answer(request, 1)
    assert not worker.extends(request)
    assert output(dev, event) == 1


def test_a_worker_comes_back_to_what_it_is_at(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    first, second = dial(), dial()
    first.open(app)
    event = send(dev, app)
    request = first.request()
    first.begin(request)
    assert first.is_given_nothing()
    first.socket.close()
    second.open(app)
    assert second.extends(request), "and is not given it again"
    second.answer(request, "late")
    assert output(dev, event) == "late"


def test_an_answer_may_come_beside_the_socket(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    worker.open(app)
    event = send(dev, app)
    request = worker.request()
    worker.begin(request)
    assert worker.is_given_nothing()
    worker.socket.close()
    content = returned(request, "flushed").SerializeToString()
    answer = dev.http.post("/v0/connect/flush", content=content)
    assert answer.status_code == 200
    said = pb.FlushResponse.FromString(answer.content)
    assert said.request_id == request.request_id
    assert output(dev, event) == "flushed"
    garbled = dev.http.post("/v0/connect/flush", content=b"\xff\xff")
    assert garbled.status_code == 400


def test_what_nobody_has_begun_is_given_to_another_at_once(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    first = dial()
    first.open(app)
    event = send(dev, app)
    lost = first.request()
    second = dial()
    second.open(app)
    first.socket.close()
    request = second.request()
    assert request.request_id != lost.request_id
    second.answer(request, 2)
    assert output(dev, event) == 2


def test_a_call_that_ends_its_workers_fails(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    event = ""
    for _ in range(3):
        worker = dial()
        worker.open(app)
        event = event or send(dev, app)
        worker.request()
        worker.socket.close()
    run = dev.ended(event)
    assert run["status"] == "Failed"
    assert "connect_worker_stopped_responding" in run["output"]["message"]


def test_a_worker_is_given_something_once_it_is_ready(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    worker.open(app, worker_manual_readiness_ack=True)
    event = send(dev, app)
    assert worker.is_given_nothing()
    worker.say(pb.WORKER_READY)
    worker.answer(worker.request(), 1)
    assert output(dev, event) == 1


def test_runs_wait_where_nobody_is_left(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    first = dial()
    first.open(app)
    first.socket.close()
    event = send(dev, app)
    second = dial()
    second.open(app)
    second.answer(second.request(), "at last")
    assert output(dev, event) == "at last"


def test_a_worker_that_takes_no_more_is_given_no_more(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    leaving, other = dial(), dial()
    leaving.open(app)
    event = send(dev, app)
    request = leaving.request()
    leaving.say(pb.WORKER_PAUSE)
    assert leaving.is_given_nothing()
    other.open(app, max_worker_concurrency=1)
    later = send(dev, app)
    other.answer(other.request(), "other")
    assert output(dev, later) == "other"
    leaving.answer(request, "leaving")
    assert output(dev, event) == "leaving"


def test_what_is_called_off_while_it_waits_is_given_to_nobody(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    worker.open(app, max_worker_concurrency=1)
    first, second = send(dev, app), send(dev, app)
    request = worker.request()
    assert worker.is_given_nothing(), "there is no room"
    waiting = first if request.run_id != dev.runs(first)[0]["run_id"] else second
    run = dev.runs(waiting)[0]["run_id"]
    assert dev.http.delete(f"/v1/runs/{run}").status_code == 200
    assert dev.ended(waiting)["status"] == "Cancelled"
    other = dial()
    other.open(f"{app}-other")
    send(dev, f"{app}-other")
    other.request()  # comes after all that was decided before
    worker.answer(request, 1)
    third = send(dev, app)
    assert worker.request().run_id == dev.runs(third)[0]["run_id"]


def test_a_large_answer_is_taken_and_one_that_is_too_large_is_an_error(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    worker.open(app)
    large = send(dev, app)
    request = worker.request()
    step = [{"id": "a", "op": "StepRun", "data": 1}]
    said = returned(request, step)
    said.status = pb.NOT_COMPLETED
    said.body += b" " * 20 * MB
    worker.say(pb.WORKER_REPLY, said)
    assert worker.hear().kind == pb.WORKER_REPLY_ACK
    worker.answer(worker.request(), 2)
    assert output(dev, large) == 2
    too_large = send(dev, app)
    worker.answer(worker.request(), "x" * MOST_OF_A_REPLY)
    failed = dev.ended(too_large)
    assert failed["status"] == "Failed"
    assert "output_too_large" in failed["output"]["message"]


GARBLED = {
    "no frame": b"\xff\xff\xff",
    "of no kind": b"\x08\x63",
    "too large": b"\x00" * (MOST_BYTES + 1),
}


@pytest.mark.parametrize("frame", GARBLED.values(), ids=GARBLED)
def test_what_cannot_be_read_ends_its_own_connection_only(
    frame: bytes, dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    worker, stranger = dial(), dial()
    worker.open(app)
    stranger.open(f"{app}-strange")
    with contextlib.suppress(ConnectionClosed):  # before all of it is sent
        stranger.socket.send(frame)
    assert stranger.is_sent_away() in {"connect_worker_invalid_msg", ""}
    event = send(dev, app)
    worker.answer(worker.request(), 1)
    assert output(dev, event) == 1


def refused(worker: RawWorker) -> str:
    """Why it is not let in."""
    said = worker.hear()
    assert said.kind == pb.SYNC_FAILED, said
    why = str(pb.SystemError.FromString(said.payload).message)
    assert why.startswith(worker.is_sent_away()), "it is told twice"
    return why


def test_a_worker_begins_with_what_it_has(dial: Callable[[], RawWorker]) -> None:
    worker = dial()
    worker.say(pb.WORKER_HEARTBEAT)
    assert refused(worker).startswith("connect_worker_hello_invalid_msg")


def test_a_session_is_for_one_connection(
    dial: Callable[[], RawWorker], app: str
) -> None:
    first, second, third = dial(), dial(), dial()
    first.introduce(app, "made up")
    assert "session is not known" in refused(first)
    second.open(app)
    third.introduce(app, token=second.token)
    assert "session is not known" in refused(third)


def test_what_is_wrong_with_its_functions_is_told(
    dial: Callable[[], RawWorker], app: str
) -> None:
    worker = dial()
    auth = pb.AuthData(session_token=worker.token)
    named = pb.AppConfiguration(app_name=app, functions=b"[{}]")
    said = pb.WorkerConnectRequestData(auth_data=auth, apps=[named])
    worker.say(pb.WORKER_CONNECT, said)
    assert "id" in refused(worker)
    again = dial()
    again.open(app)


def test_a_worker_that_comes_as_another_goes_is_given_the_runs(
    dev: Server, dial: Callable[[], RawWorker], app: str
) -> None:
    before = dial()
    before.open(app)
    for n in range(20):
        after = dial()
        before.socket.close()
        after.open(app)
        event = send(dev, app)
        after.answer(after.request(), n)
        assert output(dev, event) == n
        before = after
