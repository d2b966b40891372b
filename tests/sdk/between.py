"""A way to the server that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer


class Between(ThreadingTCPServer):
    """Hands on what comes; the sockets of workers may be cut, and stay so until they are let through again."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._posts: list[bytes] = []
        self.is_cut = False
        where = urllib.parse.urlsplit(server)
        self.behind = (str(where.hostname), int(where.port or 0))
        self.open: list[socket.socket] = []

    def note(self, data: bytes) -> None:
        self._posts.append(data)

    def posts(self, path: str) -> int:
        """How often that was asked for."""
        return b"".join(self._posts).count(f"POST {path} ".encode())

    def cut(self) -> None:
        self.is_cut = True
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def answering(self) -> Iterator[Between]:
        thread = threading.Thread(target=self.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(BaseRequestHandler):
    server: Between

    def handle(self) -> None:
        worker: socket.socket = self.request
        data = worker.recv(65536)
        is_socket = data.startswith(b"GET /v0/connect")
        if is_socket and self.server.is_cut:
            return
        with socket.create_connection(self.server.behind) as behind:
            if is_socket:
                self.server.open += [worker, behind]
            back = threading.Thread(target=_hand_on, args=(behind, worker))
            back.start()
            with contextlib.suppress(OSError):
                while data:
                    self.server.note(data)
                    behind.sendall(data)
                    data = worker.recv(65536)
                behind.shutdown(socket.SHUT_WR)
            back.join()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
