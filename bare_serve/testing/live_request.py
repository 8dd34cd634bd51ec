"""One request to a live server, by the client of the standard library.

What lives here: a request over TCP, TLS or a unix socket, and its answer, complete. What must not:
servers (live.py), clients that call an application without one.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Fields = Mapping[str, str] | Iterable[tuple[str, str]]


class LiveResponse(NamedTuple):
    """An answer; redirects are not followed, so this may be one."""

    status: int
    headers: list[tuple[str, str]]
    """In the order in which they came, repeated ones as often as they came."""
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case of letters; None if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        """The body as text, in the charset of Content-Type; UTF-8 without one."""
        _, _, after = (self.header("content-type") or "").lower().partition("charset=")
        return self.body.decode(after.split(";")[0].strip(' "') or "utf-8")

    def json(self) -> Any:
        """Return what the body, which is JSON, stands for."""
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(f"\0{self._path[1:]}" if self._path.startswith("@") else self._path)


def send_request(
    url: str, method: str, path: str, headers: Fields, body: bytes | str, timeout: float
) -> LiveResponse:
    """Send a request to the server at `url`, and return the complete answer.

    Raises:
        OSError: it cannot be reached, or takes longer than `timeout` seconds.
        http.client.HTTPException: it does not answer by the rules.
    """
    connection = _connect(url, timeout)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        named = set()
        for name, value in pairs:
            named.add(name.lower())
            connection.putheader(name, value)
        data = body.encode() if isinstance(body, str) else body
        if not named & {"content-length", "transfer-encoding"} and (
            data or method in ("POST", "PUT", "PATCH")
        ):
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        return LiveResponse(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


def _connect(url: str, timeout: float) -> http.client.HTTPConnection:
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:"), timeout)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        # Certificates of tests are their own authorities; what is tested is not the certificate.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout)
