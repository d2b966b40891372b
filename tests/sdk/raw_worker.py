"""A worker that says what a test wants it to say, frame by frame."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from inngest.connect._internal import connect_pb2 as pb
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .running import Server


PROTOCOL: Any = "v0.connect.inngest.com"
WAIT_S = 30.0


def functions(app: str) -> bytes:
    """One, without a second try, for the event of the application's name."""
    url = f"wss://connect?fnId={app}-f&stepId=step"
    runtime = {"type": "ws", "url": url}
    step = {"id": "step", "name": "step", "runtime": runtime}
    function = {
        "id": f"{app}-f",
        "name": "f",
        "triggers": [{"event": app}],
        "steps": {"step": {**step, "retries": {"attempts": 0}}},
    }
    return json.dumps([function]).encode()


@contextlib.contextmanager
def raw_worker(server: Server) -> Iterator[RawWorker]:
    """One that has said nothing yet."""
    answer = server.http.post("/v0/connect/start")
    assert answer.status_code == 200, answer.text
    started = pb.StartResponse.FromString(answer.content)
    url = started.gateway_endpoint
    with connect(url, subprotocols=[PROTOCOL], max_size=None) as socket:
        worker = RawWorker(socket, started.session_token)
        assert worker.hear().kind == pb.GATEWAY_HELLO
        yield worker


class RawWorker:
    """Has an application of one function."""

    def __init__(self, socket: ClientConnection, token: str) -> None:
        self.socket = socket
        self.token = token

    def say(self, kind: int, payload: Any = None) -> None:
        data = payload.SerializeToString() if payload is not None else b""
        message = pb.ConnectMessage(kind=pb.GatewayMessageType.ValueType(kind))
        message.payload = data
        self.socket.send(message.SerializeToString())

    def hear(self, timeout: float = WAIT_S) -> pb.ConnectMessage:
        data = self.socket.recv(timeout)
        assert isinstance(data, bytes)
        return pb.ConnectMessage.FromString(data)

    def introduce(self, app: str, token: str = "", **fields: Any) -> None:
        """Say what there is."""
        auth = pb.AuthData(session_token=token or self.token)
        named = pb.AppConfiguration(app_name=app, functions=functions(app))
        said = pb.WorkerConnectRequestData(auth_data=auth, apps=[named], **fields)
        self.say(pb.WORKER_CONNECT, said)

    def open(self, app: str, **fields: Any) -> pb.GatewayConnectionReadyData:
        self.introduce(app, **fields)
        said = self.hear()
        assert said.kind == pb.GATEWAY_CONNECTION_READY, said
        return pb.GatewayConnectionReadyData.FromString(said.payload)

    def request(self) -> pb.GatewayExecutorRequestData:
        """The next that it is given."""
        said = self.hear()
        assert said.kind == pb.GATEWAY_EXECUTOR_REQUEST, said
        return pb.GatewayExecutorRequestData.FromString(said.payload)

    def is_given_nothing(self) -> bool:
        """Whether nothing was sent before the answer to a sign of life."""
        self.say(pb.WORKER_HEARTBEAT)
        return self.hear().kind == pb.GATEWAY_HEARTBEAT

    def begin(self, request: pb.GatewayExecutorRequestData) -> None:
        self.say(pb.WORKER_REQUEST_ACK, ids(pb.WorkerRequestAckData, request))

    def extends(self, request: pb.GatewayExecutorRequestData) -> bool:
        """Whether it still has this request."""
        said = ids(pb.WorkerRequestExtendLeaseData, request)
        self.say(pb.WORKER_REQUEST_EXTEND_LEASE, said)
        answer = self.hear()
        assert answer.kind == pb.WORKER_REQUEST_EXTEND_LEASE_ACK, answer
        ack = pb.WorkerRequestExtendLeaseAckData.FromString(answer.payload)
        assert ack.request_id == request.request_id
        return bool(ack.new_lease_id)

    def answer(self, request: pb.GatewayExecutorRequestData, output: object) -> None:
        """It has returned."""
        self.say(pb.WORKER_REPLY, returned(request, output))
        ack = self.hear()
        assert ack.kind == pb.WORKER_REPLY_ACK, ack
        assert pb.WorkerReplyAckData.FromString(ack.payload).request_id == (
            request.request_id
        )

    def is_sent_away(self) -> str:
        """Why, once its connection has been ended."""
        try:
            while True:
                self.hear()
        except ConnectionClosed as closed:
            return closed.rcvd.reason if closed.rcvd else ""


def ids(kind: Any, request: pb.GatewayExecutorRequestData) -> Any:
    """What names a request, in a message of this kind."""
    return kind(
        request_id=request.request_id,
        account_id=request.account_id,
        env_id=request.env_id,
        app_id=request.app_id,
        function_slug=request.function_slug,
    )


def returned(request: pb.GatewayExecutorRequestData, output: object) -> pb.SDKResponse:
    body = json.dumps(output).encode()
    return pb.SDKResponse(request_id=request.request_id, status=pb.DONE, body=body)
