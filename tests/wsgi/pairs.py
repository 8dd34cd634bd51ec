"""A connection on one end of a socket pair, the client on the other; nothing runs by itself."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from bare_serve.http import Limits, RequestHead, Timeouts
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.environ import connection_environ, server_environ
from bare_serve.wsgi.input import NO_INPUT, StreamInput
from bare_serve.wsgi.response import FileWrapper
from bare_serve.wsgi.service import Service
from tests.support.answers import KeptAnswers

CONTENT = bytes(range(256)) * 40_000  # 10 MB: more than any buffer


class Pair:
    """Both ends."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        mine, self.client = socket.socketpair()
        mine.setblocking(False)
        self.client.settimeout(10)
        base = server_environ(multithread=False, multiprocess=False, file_wrapper=FileWrapper)
        http = ServerConnection(select_parser("python").make(), Limits())
        environ = connection_environ(base, ("192.0.2.1", 80), ("192.0.2.9", 1))
        self.connection = Connection(mine, http, timeouts or Timeouts(), environ)
        self.answers = KeptAnswers()

    def serve(self, app: Any, request: bytes, *, leaves: str = "") -> None:
        """Serves one request; the client "ends" its side or "closes" right after sending it."""
        self.client.sendall(request)
        if leaves == "ends":
            self.client.shutdown(socket.SHUT_WR)
        elif leaves == "closes":
            self.client.close()
        assert self.connection.read()
        head = self.connection.http.next_event()
        assert isinstance(head, RequestHead)
        service = Service(app, "", self.answers)
        environ = service.environ(self.connection, head)
        body = StreamInput(self.connection.receive_body) if head.has_body else NO_INPUT
        environ["wsgi.input"] = body
        service.call(self.connection, head, environ)

    def finish(self) -> bytes:
        """Closes the server's side; all that the client has received."""
        if self.connection.held:
            self.connection.release()
        self.connection.flush()
        self.connection.close()
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := self.client.recv(1 << 20):
                received += data
        return received


@contextlib.contextmanager
def pair(timeouts: Timeouts | None = None) -> Iterator[Pair]:
    both = Pair(timeouts)
    try:
        yield both
    finally:
        both.client.close()
        both.connection.close()


def filled(both: Pair) -> int:
    """Fills the kernel's buffers, as a client does that reads nothing; how much that took."""
    count = 0
    try:
        while True:
            count += both.connection.sock.send(bytes(1 << 16))
    except BlockingIOError:
        return count


class Reader(threading.Thread):
    """Takes all that comes, until there is no more or it has as much as it wants."""

    def __init__(self, client: socket.socket, most: int = 1 << 40) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._most = most
        self.received = bytearray()
        self.start()

    def run(self) -> None:
        while len(self.received) < self._most:
            try:
                data = self._client.recv(min(1 << 20, self._most - len(self.received)))
            except OSError:  # the test is over
                return
            if not data:
                return
            self.received += data


def begun(both: Pair, raw: bytes) -> Connection:
    """The connection once a request's head has been read."""
    both.client.sendall(raw)
    connection = both.connection
    assert connection.read() is True
    assert isinstance(connection.http.next_event(), RequestHead)
    return connection
