"""A worker without descriptors: two lines in the log, no traceback, and it serves again."""

from __future__ import annotations

import errno
import resource
import socket
import sys
from contextlib import ExitStack

import pytest

from bare_serve.workers.accept_errors import Scarcity
from tests.support import eventually, serve

APPS = {
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})
""",
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
""",
}
MOST = 40
# Not by an argument of subprocess: the limit is to be there from the beginning on.
LIMITED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({MOST}, {MOST}))
os.execv(sys.executable, [sys.executable, "-m", "bare_serve", *sys.argv[1:]])
"""


def _get(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, 20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize(
    ("kind", "options"), [("asgi", ()), ("asgi", ("--loop", "asyncio")), ("wsgi", ())]
)
def test_descriptors_are_out_in_the_first_second(kind: str, options: tuple[str, ...]) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 2 * MOST
    command = (sys.executable, "-c", LIMITED)
    with serve("app:app", *options, source=APPS[kind], command=command) as server:
        with ExitStack() as clients:
            for _ in range(MOST):  # more than it can take; the rest waits in the backlog
                clients.enter_context(socket.create_connection(server.address, 20))
            server.wait_for_output("Cannot accept: Too many open files.")
            if kind == "asgi":  # read half a second after the start, and not at all here
                server.wait_for_output("Cannot read the code for WebSockets yet: Too many open")
        eventually(lambda: _get(server.address).endswith(b"here"), "an answer")
        server.wait_for_output("Accepting works again, after ")
        assert server.stop() == 0
        assert server.output.count("Cannot accept") == 1
        assert server.output.count("Cannot read") == (1 if kind == "asgi" else 0)
        assert "Traceback" not in server.output


def test_it_is_said_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    scarcity = Scarcity()
    error = OSError(errno.EMFILE, "Too many open files")
    scarcity.is_over()
    for _ in range(2):
        for _ in range(3):
            scarcity.begins(error)
        scarcity.is_over()
        scarcity.is_over()
    told = [record.getMessage() for record in caplog.records]
    assert told[0::2] == ["Cannot accept: Too many open files. Trying again every 1 s."] * 2
    assert all(text.endswith(" and 3 attempts.") for text in told[1::2])
    assert len(told) == 4
