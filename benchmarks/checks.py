"""Asks a server once, before it is measured, whether it answers a scenario rightly.

Three outcomes: it does (None is returned), it lacks what the scenario needs (`NotOffered`), or it
answers wrongly (`WrongAnswer`). Nobody is measured giving wrong answers.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable

from benchmarks.process import Running
from benchmarks.scenario import Scenario
from benchmarks.wsload import handshake, masked_frame, server_frame_size

HELLO = b"Hello, world!"
TEN_MIB = 10 << 20
TIMEOUT = 5.0


class NotOffered(Exception):
    """The server does not have what the scenario is about."""


class WrongAnswer(Exception):
    """The server answered something else than the application said."""


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise WrongAnswer(what)


def _ask(server: Running, path: str = "/", body: bytes | None = None) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", server.launch.port, timeout=TIMEOUT)
    client.sock = server.connect(TIMEOUT)
    try:
        client.request("GET" if body is None else "POST", path, body)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def _ok(server: Running, path: str = "/", body: bytes | None = None) -> bytes:
    status, content = _ask(server, path, body)
    if status == 501:
        raise NotOffered(content.decode(errors="replace"))
    _expect(status == 200, f"status {status}")
    return content


def _hello(server: Running, scenario: Scenario) -> None:
    _expect(_ok(server, scenario.load.path) == HELLO, "another body than hello")
    if scenario.second is not None:
        _expect(_ok(server, scenario.second.path) == HELLO, "another body than hello")


def _json(server: Running, scenario: Scenario) -> None:
    _expect(json.loads(_ok(server))["message"] == "Hello, world!", "another JSON")


def _echo(server: Running, scenario: Scenario) -> None:
    sent = bytes(range(256)) * 40
    _expect(_ok(server, body=sent) == sent, "the echo differs from what was sent")


def _upload(server: Running, scenario: Scenario) -> None:
    counted = _ok(server, body=b"x" * TEN_MIB)
    _expect(counted == str(TEN_MIB).encode(), f"the app counted {counted[:20]!r} bytes")


def _download(server: Running, scenario: Scenario) -> None:
    size = len(_ok(server))
    _expect(size == TEN_MIB, f"{size} bytes instead of {TEN_MIB}")


def _stream(server: Running, scenario: Scenario) -> None:
    size = len(_ok(server))
    _expect(size == 100 * 1024, f"{size} bytes instead of {100 * 1024}")


def _pipelined(server: Running, scenario: Scenario) -> None:
    with server.connect(TIMEOUT) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 16)
        seen = b""
        while seen.count(HELLO) < 16:
            piece = client.recv(65536)
            if not piece:
                count = seen.count(HELLO)
                raise NotOffered(f"closed after {count} of 16 pipelined requests")
            seen += piece


def _websocket(server: Running, scenario: Scenario) -> None:
    with server.connect(TIMEOUT) as client:
        status = handshake(client)
        if status != 101:
            raise NotOffered(f"no WebSocket: status {status} to the handshake")
        message = b"m" * scenario.message
        client.sendall(masked_frame(message))
        wanted, seen = server_frame_size(len(message)), b""
        while len(seen) < wanted:
            piece = client.recv(65536)
            _expect(bool(piece), "closed instead of echoing")
            seen += piece
        _expect(seen.endswith(message), "the echo differs from what was sent")


def _events(server: Running, scenario: Scenario) -> None:
    with server.connect(TIMEOUT) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        seen = b""
        while b"open\n\n" not in seen:
            piece = client.recv(65536)
            _expect(bool(piece), "closed instead of streaming")
            seen += piece
        _expect(b" 200 " in seen[:16], f"answered {seen[:40]!r}")


def _room(server: Running, scenario: Scenario) -> None:
    with server.connect(TIMEOUT) as client:
        status = handshake(client)
        if status != 101:
            raise NotOffered(f"no WebSocket: status {status} to the handshake")
        _expect(_ok(server, "/tell?n1") == HELLO, "another body than hello")
        _expect(b"n1" in client.recv(4096), "another message than the one told")


def _pid(server: Running, scenario: Scenario) -> None:
    _expect(_ok(server).isdigit(), "no process number")


_CHECKS: dict[str, Callable[[Running, Scenario], None]] = {
    "hello": _hello,
    "json": _json,
    "echo": _echo,
    "upload": _upload,
    "download": _download,
    "stream": _stream,
    "pipelined": _pipelined,
    "websocket": _websocket,
    "events": _events,
    "room": _room,
    "pid": _pid,
}


def check(server: Running, scenario: Scenario) -> None:
    try:
        _CHECKS[scenario.check](server, scenario)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WrongAnswer(f"{type(error).__name__}: {error}") from error
