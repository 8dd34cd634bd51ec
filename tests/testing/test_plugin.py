"""The pytest plugin in sessions of its own: what tests get, and what is left after each end."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import children_of, clean_environment, eventually, is_alive

NAME = "bare_serve.testing.plugin"
INSTALLED = any(each.value == NAME for each in importlib.metadata.entry_points(group="pytest11"))
"""A development install that is older than the entry point does not know it."""

APPS = """
def wsgi(environ, start_response):
    print("called for", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

async def echo(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": (await receive())["text"]})
    await send({"type": "websocket.close"})
"""


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *args]


ALONE = ("-p", NAME)
"""For a session without the plugins of this environment, which take a second to start."""


def environment(*, alone: bool) -> dict[str, str]:
    return clean_environment({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1" if alone else None})


def session(folder: Path, source: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file of tests beside the applications."""
    write(folder, source)
    return subprocess.run(
        command("-q", "-rA", *args), cwd=folder, env=environment(alone=ALONE[1] in args),
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip


def write(folder: Path, source: str) -> None:
    (folder / "apps_of_plugin.py").write_text(APPS)
    (folder / "test_inner.py").write_text(source)


def test_it_is_an_entry_point(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"bare_serve": NAME}


KINDS = """
import os, pathlib, pytest
from websockets.sync.client import connect

def note(server):
    with open("pids", "a") as file:
        file.write(f"{server.pid}\\n")

@pytest.mark.parametrize("workers", [1, 2])
def test_wsgi(live_server, workers):
    server = live_server("apps_of_plugin:wsgi", workers=workers)
    note(server)
    assert server.request("GET", "/x").text == "hello"

def test_websocket(live_server):
    server = live_server("apps_of_plugin:echo")
    note(server)
    with connect(server.ws_url) as socket:
        socket.send("word")
        assert socket.recv() == "word"

def test_object(live_server):
    answers = []
    def app(environ, start_response):
        start_response("200 OK", [])
        return answers
    server = live_server(app)
    answers.append(b"later")
    assert server.request("GET").text == "later"
"""


@pytest.mark.parametrize("more", [(), ("-p", "xdist.plugin", "-n", "2")])
def test_each_kind_of_server(tmp_path: Path, more: Sequence[str]) -> None:
    done = session(tmp_path, KINDS, *ALONE, *more)
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    pids = {int(line) for line in (tmp_path / "pids").read_text().split()}
    assert len(pids) == 3
    assert not any(map(is_alive, pids))


FAILS = """
def test_before(live_server):
    server = live_server("apps_of_plugin:wsgi")
    assert server.request("GET", "/before").status == 200
    while "GET /before" not in server.log:  # the access log comes a little later
        pass

def test_fails(live_server):
    assert live_server("apps_of_plugin:wsgi").request("GET", "/during").status == 500

def test_server_fails(live_server):
    live_server("absent_apps:app")
"""


def test_a_failing_test_shows_what_its_servers_wrote(tmp_path: Path) -> None:
    done = session(tmp_path, FAILS, *ALONE)
    assert "1 passed" in done.stdout
    failure = done.stdout.partition("test_fails __")[2].partition("test_server_fails __")[0]
    assert "bare-serve apps_of_plugin:wsgi (pid" in failure
    assert "called for /during" in failure
    assert "GET /during HTTP/1.1 200 5" in failure
    assert "/before" not in failure
    other = done.stdout.partition("test_server_fails __")[2]
    assert "There is no module 'absent_apps'" in other
    assert "process.py" not in other, "no frame of ours"


UNUSED = """
import sys

def test_nothing_is_imported():
    ours = {name for name in sys.modules if name.startswith("bare_serve")}
    assert ours <= {"bare_serve", "bare_serve.version", "bare_serve.testing", %r}
    assert "asyncio" not in sys.modules or "asyncio" in BEFORE

BEFORE = set(sys.modules)
"""


def test_a_suite_that_uses_nothing_imports_nothing(tmp_path: Path) -> None:
    done = session(tmp_path, UNUSED % NAME, *(() if INSTALLED else ALONE))
    assert "1 passed" in done.stdout, done.stdout


OTHERS = """
import pytest

@pytest.fixture
def live_server():
    return "theirs"
"""
BESIDE = """
def test_both(live_server, bare_live_server):
    assert live_server == "theirs"
    assert bare_live_server("apps_of_plugin:wsgi").request("GET").status == 200
"""


def test_a_fixture_of_another_plugin_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "others_plugin.py").write_text(OTHERS)
    done = session(tmp_path, BESIDE, *ALONE, "-p", "others_plugin")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


WAITS = """
import os, pathlib, threading

def test_waits(live_server):
    servers = [live_server("apps_of_plugin:wsgi", workers=2), live_server("apps_of_plugin:wsgi")]
    text = " ".join(str(each) for each in (os.getpid(), *(server.pid for server in servers)))
    pathlib.Path("new").write_text(text)
    os.rename("new", "pids")
    if %r:
        assert False
    threading.Event().wait(50)
"""


@pytest.mark.parametrize("end", ["-x", "SIGINT", "SIGKILL", "SIGKILL of an xdist worker"])
def test_nothing_is_left(tmp_path: Path, end: str) -> None:
    write(tmp_path, WAITS % (end == "-x"))
    args = ["-p", "xdist.plugin", "-n", "1"] if "xdist" in end else []
    with subprocess.Popen(
        command("-q", "-x", *ALONE, *args), cwd=tmp_path, env=environment(alone=True),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            path = tmp_path / "pids"
            inner, *masters = eventually(
                lambda: [int(word) for word in path.read_text().split()], "servers", 40
            )
            family = [*masters, *(each for master in masters for each in children_of(master))]
            if end != "-x":
                os.kill(inner, signal.SIGINT if end == "SIGINT" else signal.SIGKILL)
            eventually(lambda: not any(map(is_alive, family)), "the end of all servers", 20)
            if "xdist" not in end:
                process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
