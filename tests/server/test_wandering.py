"""Applications that go elsewhere, in what all parts of a process share: directory and umask.

What the server was told by relative paths is where it was at the start, and is gone at the end.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from tests.support import RawClient, eventually, run_cli, serve

APP = """
import os
os.chdir("/")
os.umask(0o077)

def wsgi(environ, start_response):
    start_response("200 OK", [])
    umask = os.umask(0)
    os.umask(umask)
    return [f"{os.getcwd()} {umask:03o}".encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        body = b"".join(wsgi({}, lambda status, headers: None))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
FILES = ("--pid", "pid", "--error-log", "errors", "--access-log", "requests")
WAYS = [("--preload",), ("--workers", "0"), ("--workers", "2")]


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("how", WAYS)
def test_an_application_that_changes_directory_leaves_nothing_behind(
    kind: str, how: tuple[str, ...], tmp_path: Path
) -> None:
    options = ("-b", "unix:sock", "-b", "127.0.0.1:0", *FILES, *how)
    (tmp_path / "app.py").write_text(APP)
    with serve(f"app:{kind}", *options, cwd=tmp_path) as server:
        assert (tmp_path / "sock").is_socket()
        assert (tmp_path / "pid").read_text() == f"{server.pid}\n"
        with RawClient(server.address) as client:
            assert client.request().body == b"/ 077"
        assert server.stop() == 0
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"app.py", "errors", "requests"}
    assert (tmp_path / "requests").read_text().count("\n") == 1


def test_a_preloading_master_stays_where_it_was(tmp_path: Path) -> None:
    """It reads its settings, its logs' names and itself anew from there."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "bare-serve.toml").write_text("threads = 2\n")
    options = ("app:wsgi", "--preload", *FILES, "-b", "unix:sock", "-b", "127.0.0.1:0")
    with serve(*options, cwd=tmp_path) as server:
        errors = tmp_path / "errors"
        errors.rename(tmp_path / "errors.1")
        server.send_signal(signal.SIGUSR1)
        eventually(lambda: "reopened" in errors.read_text(), "the new log")
        assert stat.S_IMODE(errors.stat().st_mode) == 0o640
        (tmp_path / "bare-serve.toml").write_text("threads = 3\n")
        server.send_signal(signal.SIGHUP)  # a handover, where the application is preloaded
        eventually(lambda: "Reloaded" in errors.read_text(), "the end of the handover", 30)
        with RawClient(server.address) as client:
            assert client.request().body == b"/ 077"
        assert (tmp_path / "pid").read_text() == f"{server.pid}\n"
        assert server.stop() == 0
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"app.py", "bare-serve.toml", "errors", "errors.1", "requests"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract sockets")
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_an_abstract_socket_is_served_handed_over_and_let_go_of(kind: str, tmp_path: Path) -> None:
    name = f"bare-serve-test-{os.getpid()}-{os.urandom(4).hex()}"
    (tmp_path / "app.py").write_text(APP)
    options = ("-b", f"unix:@{name}", "-b", "127.0.0.1:0")
    with serve(f"app:{kind}", *options, cwd=tmp_path) as server:
        assert f"  unix:@{name}\n" in server.output
        with RawClient(f"\0{name}") as client:
            assert client.request().body == b"/ 077"
        second = run_cli(f"app:{kind}", "-b", f"unix:@{name}", cwd=tmp_path)
        assert second.returncode == 1
        assert f"unix:@{name}: it is in use by pid {server.pid} (" in second.stderr
        server.send_signal(signal.SIGUSR2)
        server.wait_for_output("Reloaded", 30)
        with RawClient(f"\0{name}") as client:
            assert client.request().status == 200
        assert server.stop() == 0
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(f"\0{name}")
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"app.py"}
    shown = run_cli("--print-config", "-b", f"unix:@{name}", cwd=tmp_path).stdout
    assert f"unix:@{name} " in shown
