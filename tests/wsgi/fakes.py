"""A WSGI exchange without a socket: an application and a request go in, an answer comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bare_serve.errors import ClientGone
from bare_serve.http import Limits, Output, RequestHead
from bare_serve.http1 import ServerConnection, select_parser
from bare_serve.wsgi.response import Exchange

PLAIN = ("Content-Type", "text/plain")


def connection_for(request: bytes) -> tuple[ServerConnection, RequestHead]:
    """A connection that has just received `request`'s head."""
    connection = ServerConnection(select_parser("python").make(), Limits())
    connection.receive_data(request)
    head = connection.next_event()
    assert isinstance(head, RequestHead)
    return connection, head


def request(method: str = "GET", target: str = "/", *lines: str, minor: int = 1) -> bytes:
    first = f"{method} {target} HTTP/1.{minor}"
    return "\r\n".join([first, "Host: test", *lines, "", ""]).encode("latin-1")


@dataclass
class FakeTransport:
    """Remembers each write; `leaves_after` writes the client is gone."""

    connection: ServerConnection
    writes: list[bytes] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    """Of each piece, whether it was said to be the last one."""
    files: list[tuple[int, int]] = field(default_factory=list)
    leaves_after: int | None = None

    def transmit(self, output: Output, last: bool) -> None:
        if self.leaves_after is not None and len(self.writes) >= self.leaves_after:
            raise ClientGone("left")
        self.last.append(last)
        data = output if isinstance(output, bytes) else b"".join(output)
        if data:
            self.writes.append(data)

    def send_piece(self, data: bytes) -> None:
        self.transmit(self.connection.send_body(data, True), False)

    def take_kept(self) -> bytes:
        return b""

    def release(self) -> None:
        """Nothing is held here."""

    def send_file(self, fd: int, offset: int, count: int) -> None:
        head, count = self.connection.send_external(count, at_most=True)
        self.transmit(head, False)
        if count:
            self.files.append((offset, count))
            self.writes.append(b"<file>")


@dataclass
class Answer:
    """What the client would have received."""

    connection: ServerConnection
    transport: FakeTransport

    @property
    def raw(self) -> bytes:
        return b"".join(self.transport.writes)

    @property
    def status(self) -> str:
        return self.raw.split(b"\r\n", 1)[0].decode().partition(" ")[2]

    @property
    def headers(self) -> dict[str, str]:
        head = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = [line.partition(": ") for line in head.split("\r\n")[1:]]
        return {name.lower(): value for name, _, value in pairs if name.lower() != "date"}

    @property
    def body(self) -> bytes:
        """Without the chunked coding."""
        rest = self.raw.partition(b"\r\n\r\n")[2]
        if self.headers.get("transfer-encoding") != "chunked":
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            count = int(size, 16)
            body += rest[:count]
            assert rest[count : count + 2] == b"\r\n"
            rest = rest[count + 2 :]
        return body


def call(
    app: Any, raw: bytes | None = None, *, leaves_after: int | None = None, answer: Any = None
) -> Answer:
    """Runs `app` for one request; its exceptions come out. `answer` may be filled beforehand."""
    connection, head = connection_for(raw or request())
    transport = FakeTransport(connection, leaves_after=leaves_after)
    environ = {"REQUEST_METHOD": head.method}
    result = Answer(connection, transport)
    if answer is not None:
        answer.append(result)
    exchange = Exchange(connection, transport)
    exchange.send(app(environ, exchange.start_response))
    return result


class Closing:
    """An iterable that knows whether it was closed."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces
        self.closed = 0
        self.given = 0

    def __iter__(self) -> Any:
        for piece in self.pieces:
            self.given += 1
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed += 1
