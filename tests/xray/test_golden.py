"""What real servers show of real requests, to the letter; times, sizes of heads and ports masked.

`XRAY_GOLDEN=write pytest tests/xray/test_golden.py` writes the files anew, to be read and
committed.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from tests.support import serve
from tests.support.processes import Server
from tests.support.waiting import eventually

HERE = Path(__file__).parent
GET = "GET {} HTTP/1.1\r\nHost: test\r\nCookie: a=b\r\n\r\n"
POST = (
    "POST {} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer abcdef\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\n"
    "password=hunter2&a=1"
)
WEBSOCKET = (
    "GET {} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
ERRORS_WSGI = ("/no_start", "/text", "/short", "/boom", "/odd")
ERRORS_ASGI = ("/early", "/text", "/short", "/nothing", "/boom")

# A name: the application, and its requests, each on a connection of its own.
CASES: dict[str, tuple[str, list[bytes]]] = {
    "bare_wsgi": (
        "bare_wsgi:app",
        [POST.format("/orders?token=abc&x=1").encode(), GET.format("/ticks").encode()],
    ),
    "bare_asgi": (
        "bare_asgi:app",
        [
            *(POST.format("/orders?token=abc&x=1").encode(), GET.format("/ticks").encode()),
            WEBSOCKET.format("/ws").encode() + HELLO,
        ],
    ),
    "errors_wsgi": (
        "bare_wsgi:app",
        [
            *(GET.format(path).encode() for path in ERRORS_WSGI),
            b"GET / HTTP/1.1\r\nCookie: a=b\r\nX Y: 1\r\n\r\n",
        ],
    ),
    "errors_asgi": (
        "bare_asgi:app",
        [
            *(GET.format(path).encode() for path in ERRORS_ASGI),
            b"GET / HTTP/1.1\r\nCookie: a=b\r\nX Y: 1\r\n\r\n",
        ],
    ),
    "flask": ("flask_site:app", [GET.format("/orders/7").encode()]),
    "django_wsgi": ("django_site:wsgi", [GET.format("/orders/7").encode()]),
    "django_asgi": ("django_site:asgi", [GET.format("/orders/7").encode()]),
    "fastapi": ("fastapi_site:app", [GET.format("/orders/7").encode()]),
    "starlette": (
        "starlette_site:app",
        [GET.format("/orders/7").encode(), GET.format("/ticks").encode()],
    ),
}

_MASKS = (
    (r"^ *\d+\.\d\d (?=->|<-|=>|x |! )", "    T.TT "),
    (r"(?<=  )\d+\.\d\d ms", "T ms"),
    (r"\(pid \d+\)", "(pid P)"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:P"),
    (r"127\.0\.0\.1, \d+", "127.0.0.1, P"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT", "DATE"),
    # Layers are told from Python 3.12 on.
    (r'(?:, layer\d+;desc="[^"]*";dur=\d+\.\d\d)+', ""),
    (r"dur=\d+\.\d\d", "dur=T"),
    (r"(=> bytes out +)\d+ B", r"\1N B"),
    (r"\s+waited [\d.]+ ms for the client", ""),
    (r"   took [\d.]+ ms", ""),
    (r" in \d reads", ""),
    # Django listens beside its view; whether it hears of the end depends on the version of Python.
    (r"^    T\.TT -> receive +http\.disconnect\n", ""),
    # A busy machine may hold it for so long that it is worth a word.
    (r"^    T\.TT ! +advice +the application held the event loop .*\n(?: {20,}.*\n)*", ""),
    (r"^ {9}layers .*\n(?: {9} +\S.*\n)*", ""),  # these have samples of their own
    (r"(?<=  )at \S+/(\w+\.py):\d+", r"at \1:N"),
)


_ANSWER = re.compile(r"(?<==> bytes out )(?:.*\n)(?: {20,}.*\n)*", re.MULTILINE)


def masked(text: str) -> str:
    text = _ANSWER.sub(_in_one_line, text)
    for pattern, other in _MASKS:
        text = re.sub(pattern, other, text, flags=re.MULTILINE)
    return text


def _in_one_line(found: re.Match[str]) -> str:
    """Where a line of a head ends depends on the Server-Timing in it."""
    return " ".join(found[0].split()) + "\n"


def blocks(server: Server) -> list[str]:
    """The blocks of the x-ray in what a server has written."""
    return [
        found[0]
        for found in re.finditer(
            r"^(?:#\d+|lifespan) .*\n(?: .*\n)+\n", server.stderr, re.MULTILINE
        )
    ]


def ask(server: Server, raw: bytes, number: int) -> None:
    """Send a request, and keep the connection until its block is there."""
    with socket.create_connection(server.address, timeout=20) as client:
        client.sendall(raw)
        if raw.endswith(HELLO):
            answer = b""
            while b"HELLO" not in answer:
                answer += client.recv(65536)
            client.sendall(CLOSE)
        eventually(lambda: len(blocks(server)) >= number, f"block {number}")


@pytest.mark.parametrize("name", CASES)
def test_what_is_shown(name: str) -> None:
    target, requests = CASES[name]
    options = ("--app-dir", str(HERE / "apps"), "--xray", "--loop", "asyncio")
    with serve(target, *options, "--access-log", "off") as server:
        before = len(blocks(server))
        for number, raw in enumerate(requests, before + 1):
            ask(server, raw, number)
        server.stop()
        assert "hunter2" not in server.stderr
        text = masked("".join(blocks(server)))
    path = HERE / "golden" / "blocks" / f"{name}.txt"
    if os.environ.get("XRAY_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == masked(path.read_text(encoding="utf-8"))
