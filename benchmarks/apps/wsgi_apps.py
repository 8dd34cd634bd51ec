"""Bare WSGI callables, one a scenario, so that no routing is measured (but for the mixed one).

An application that needs what the server does not offer answers 501 and says what is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import payload

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
PLAIN = ("Content-Type", "text/plain")
BINARY = ("Content-Type", "application/octet-stream")
HELLO_HEADERS = [PLAIN, ("Content-Length", str(len(payload.HELLO)))]
DOWNLOAD_HEADERS = [BINARY, ("Content-Length", str(payload.MEGABYTES_10))]


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", HELLO_HEADERS[:])
    return [payload.HELLO]


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [BINARY, ("Content-Length", str(len(body)))])
    return [body]


def upload(environ: Environ, start_response: StartResponse) -> list[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    received = 0
    while left > 0 and (piece := environ["wsgi.input"].read(min(left, 65536))):
        received += len(piece)
        left -= len(piece)
    answer = str(received).encode()
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(answer)))])
    return [answer]


def download(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", DOWNLOAD_HEADERS[:])
    for _ in range(payload.MEGABYTES_10 // len(payload.BLOCK)):
        yield payload.BLOCK


def sendfile(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        start_response("501 Not Implemented", [PLAIN, ("Content-Length", "20")])
        return [b"no wsgi.file_wrapper"]
    start_response("200 OK", DOWNLOAD_HEADERS[:])
    answer: Iterable[bytes] = wrapper(open(payload.DOWNLOAD_FILE, "rb"), 65536)  # noqa: SIM115
    return answer


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [PLAIN])
    for _ in range(payload.CHUNKS):
        yield payload.CHUNK


def mixed(environ: Environ, start_response: StartResponse) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(payload.SLOW_SECONDS)
    elif path == "/compute":
        payload.compute()
    start_response("200 OK", HELLO_HEADERS[:])
    return [payload.HELLO]


def pid(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Which worker answers."""
    body = str(os.getpid()).encode()
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def besieged(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what hostile clients ask for: 3 ms of time, 10 MiB, or the end of a body."""
    path = environ["PATH_INFO"]
    if path == "/download":
        start_response("200 OK", DOWNLOAD_HEADERS[:])
        return (bytes(65536) for _ in range(payload.MEGABYTES_10 // 65536))  # each its own
    if path == "/sleep":
        time.sleep(payload.SLOWISH_SECONDS)
    if environ["REQUEST_METHOD"] == "POST":
        while environ["wsgi.input"].read(65536):
            pass
    start_response("200 OK", HELLO_HEADERS[:])
    return [payload.HELLO]
