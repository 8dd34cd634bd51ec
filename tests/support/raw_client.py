"""A client that sends exactly the bytes it is given and reads exactly one answer.

HTTP libraries repair what they send and hide what they get; here a test sees the wire. Every
call has a deadline, so a server that says nothing fails the test instead of hanging it.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Response:
    """One answer as read from the wire; header names are lower-case, body is decoded of chunks."""

    version: str
    status: int
    reason: str
    headers: Headers
    body: bytes
    trailers: Headers = field(default_factory=list)
    interim: tuple[Response, ...] = ()
    head: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of a header that occurs at most once, or None."""
        values = self.header_list(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    def header_list(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]


class RawClient:
    """A connection to `address`: (host, port), or the path of a Unix socket."""

    def __init__(
        self, address: tuple[str, int] | str, timeout: float = 10, source: str = ""
    ) -> None:
        """`source`: the address to connect from, if it is not to be the usual one."""
        self.timeout = timeout
        self.buffer = bytearray()
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            try:
                self.socket.connect(address)
            except OSError:
                self.socket.close()
                raise
        else:
            origin = (source, 0) if source else None
            self.socket = socket.create_connection(address, timeout, origin)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def speak_tls(self, context: ssl.SSLContext, hostname: str = "localhost") -> Self:
        """Goes on with TLS: a handshake now, and all that follows is encrypted."""
        self.socket = context.wrap_socket(self.socket, server_hostname=hostname)
        return self

    def send(self, *data: bytes) -> None:
        """Sends each piece by itself."""
        for piece in data:
            self.socket.sendall(piece)

    def send_eof(self) -> None:
        """Closes our sending side only."""
        self.socket.shutdown(socket.SHUT_WR)

    def request(
        self, method: str = "GET", target: str = "/", *headers: str, body: bytes = b""
    ) -> Response:
        """Sends a well-formed request (headers as "Name: value") and reads its answer."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Reads exactly one final answer; 1xx answers before it are kept in `.interim`."""
        deadline = time.monotonic() + self.timeout
        interim: list[Response] = []
        while True:
            head = self._until(b"\r\n\r\n", deadline)
            version, status, reason, headers = _parse_head(head)
            if 100 <= status < 200 and status != 101:
                interim.append(Response(version, status, reason, headers, b"", head=head))
                continue
            body, trailers = b"", []
            if method != "HEAD" and status not in (101, 204, 304):
                body, trailers = self._body(dict(headers), deadline)
            return Response(
                version, status, reason, headers, body, trailers, tuple(interim), head=head
            )

    def read(self, count: int) -> bytes:
        """Reads exactly `count` bytes."""
        return self._exactly(count, time.monotonic() + self.timeout)

    def read_until(self, mark: bytes) -> bytes:
        """Reads up to and including `mark`."""
        return self._until(mark, time.monotonic() + self.timeout)

    def read_to_eof(self) -> bytes:
        """Reads all the server sends until it closes."""
        deadline = time.monotonic() + self.timeout
        while self._receive(deadline):
            pass
        rest = bytes(self.buffer)
        self.buffer.clear()
        return rest

    def is_closed(self) -> bool:
        """Waits for the server to close or reset; False if it sends anything instead."""
        if self.buffer:
            return False
        try:
            return not self._receive(time.monotonic() + self.timeout)
        except ConnectionResetError:
            return True

    def _receive(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"deadline passed; so far: {bytes(self.buffer[:500])!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(262144)
        except TimeoutError:
            raise TimeoutError(
                f"no answer in {self.timeout} s; so far: {bytes(self.buffer[:500])!r}"
            ) from None
        self.buffer += data
        return bool(data)

    def _need(self, deadline: float) -> None:
        if not self._receive(deadline):
            raise EOFError(f"closed in the middle; so far: {bytes(self.buffer[:500])!r}")

    def _exactly(self, count: int, deadline: float) -> bytes:
        while len(self.buffer) < count:
            self._need(deadline)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _until(self, mark: bytes, deadline: float) -> bytes:
        while (end := self.buffer.find(mark)) < 0:
            self._need(deadline)
        return self._exactly(end + len(mark), deadline)

    def _body(self, headers: dict[str, str], deadline: float) -> tuple[bytes, Headers]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked_body(deadline)
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]), deadline), []
        while self._receive(deadline):
            pass
        return self._exactly(len(self.buffer), deadline), []

    def _chunked_body(self, deadline: float) -> tuple[bytes, Headers]:
        body = bytearray()
        while size := int(self._until(b"\r\n", deadline).partition(b";")[0], 16):
            body += self._exactly(size, deadline)
            assert self._exactly(2, deadline) == b"\r\n", "a chunk does not end in CRLF"
        trailers: Headers = []
        while (line := self._until(b"\r\n", deadline)) != b"\r\n":
            trailers.append(_parse_line(line.decode("latin-1")))
        return bytes(body), trailers


def _parse_line(line: str) -> tuple[str, str]:
    name, colon, value = line.rstrip("\r\n").partition(":")
    assert colon, f"not a header line: {line!r}"
    return name.lower(), value.strip(" \t")


def _parse_head(head: bytes) -> tuple[str, int, str, Headers]:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, status, reason = first.split(" ", 2)
    return version, int(status), reason, [_parse_line(line) for line in lines]
