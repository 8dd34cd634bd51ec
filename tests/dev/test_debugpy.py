"""An editor is attached to a server under development: breakpoints hold, and nothing else does."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.dev.debug_adapter import editor
from tests.dev.editing import serves
from tests.support import RawClient, Server, serve

pytest.importorskip("debugpy")
pytestmark = pytest.mark.long  # three debuggers, each with a process of its own

WSGI = """
def app(environ, start_response):
    seen = 41
    answer = b"%s %%d" %% (seen + 1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer]
"""
ASGI = """
async def app(scope, receive, send):
    seen = 41
    answer = b"%s %%d" %% (seen + 1)
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})
"""
AT = "    answer ="


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def request(server: Server) -> RawClient:
    client = RawClient(server.address, timeout=60)
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


def line_of(file: Path) -> int:
    lines = file.read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.startswith(AT))


DEBUGGED = [sys.executable, "-Xfrozen_modules=off", "-m", "debugpy", "--listen"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("source", [WSGI, ASGI], ids=["wsgi", "asgi"])
def test_a_reload_goes_by_what_stands_at_a_breakpoint(source: str, tmp_path: Path) -> None:
    file, port = tmp_path / "app.py", free_port()
    file.write_text(source % "first")
    command = [*DEBUGGED, f"127.0.0.1:{port}", "-m", "bare_serve", "app:app", "--dev"]
    if source is ASGI:
        command += ["--lifespan", "off", "--warn-blocked", "0.2"]
    env = {"PYTHONWARNINGS": None}  # the debugger's own are not ours
    with (
        serve(cwd=tmp_path, command=command, ready=False, env=env) as server,
        editor(port, file, line_of(file)) as attached,
    ):
        server.wait_until_ready()
        first = request(server)
        stop = attached.stop()
        assert (stop.line, stop.value("seen * 1000 + 1")) == (line_of(file), "41001")
        file.write_text(source % "second")
        server.wait_for_output("Reloaded: all workers are new.", timeout=60)
        second = request(server)
        other = attached.stop()
        assert stop.value("seen + 1") == other.value("seen + 1") == "42"
        other.goes_on()
        assert second.response().body == b"second 42"
        stop.goes_on()
        assert first.response().body == b"first 42"
        for client in (first, second):
            client.close()
        for word in ("blocked", "sign of life", "killed", "Not reloaded"):
            assert word not in server.output
        assert len(attached.sessions) == 3, "a worker before and behind, and no watcher of files"
        assert server.stop() == 0


@pytest.mark.timeout(240)
def test_a_replacement_leaves_the_debugger_behind(tmp_path: Path) -> None:
    """It cannot follow: it would find its own port taken, and the server would end."""
    file = tmp_path / "app.py"
    file.write_text(WSGI % "first")
    command = [*DEBUGGED, f"127.0.0.1:{free_port()}", "-m", "bare_serve", "app:app", "--dev"]
    env = {"PYTHONWARNINGS": None}
    with serve("--preload", cwd=tmp_path, command=command, env=env) as server:
        file.write_text(WSGI % "second")
        server.wait_for_output("The debugger stays behind", timeout=60)
        serves(server, "second 42")
        assert server.stop() == 0
