"""What an application forks keeps nothing of the server, and never serves in its place."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import RawClient, Server, children_of, eventually, is_alive, serve
from tests.support.killer import held_by

WAYS = {
    "wsgi": ("wsgi", "--threads", "8"),
    "wsgi-1": ("wsgi", "--threads", "1"),
    "wsgi-alone": ("wsgi", "--workers", "0"),
    "uvloop": ("asgi", "--loop", "uvloop"),
    "asyncio": ("asgi", "--loop", "asyncio"),
}
MORE_WAYS = {
    "wsgi-preload": ("wsgi", "--preload"),
    "asgi-alone": ("asgi", "--workers", "0", "--loop", "asyncio"),
    "uvloop-alone": ("asgi", "--workers", "0", "--loop", "uvloop"),
    "asgi-preload": ("asgi", "--preload"),
}
ALL_WAYS = WAYS | MORE_WAYS

Start = Callable[..., Server]


@pytest.fixture(params=[*WAYS, *(pytest.param(way, marks=pytest.mark.long) for way in MORE_WAYS)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    interface, *args = ALL_WAYS[request.param]
    target = f"tests.leaving.leaving_app:forking_{interface}"
    with serve(target, *args, cwd=tmp_path) as started:
        yield started


def get(server: Server, path: str) -> bytes:
    with RawClient(server.address) as client:
        return client.request("GET", path).body


def worker_of(server: Server) -> int:
    return int(get(server, "/"))


def test_child_that_comes_back_is_ended_and_its_answer_goes_nowhere(
    server: Server, tmp_path: Path
) -> None:
    before = worker_of(server)
    with RawClient(server.address) as client:
        for _ in range(2):
            assert client.request("GET", "/back").body == b"from the parent"
        assert client.request("GET", "/").body == str(before).encode()
    for line in (tmp_path / "notes").read_text().splitlines():
        pid = line.split()[1]
        assert not is_alive(int(pid))
        server.wait_for_output(f"Process {pid}, which the application has forked, came back")
    assert "failed" not in server.output
    assert server.stop() == 0


def test_child_may_end_by_sys_exit(server: Server) -> None:
    assert get(server, "/exits") == b"7"
    assert "came back" not in server.output
    assert "failed" not in server.output
    assert server.stop() == 0


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_child_of_another_thread_that_comes_back_is_ended(tmp_path: Path, loop: str) -> None:
    """Frameworks call views that are no coroutines in threads."""
    target = "tests.leaving.leaving_app:forking_asgi"
    with serve(target, "--loop", loop, cwd=tmp_path) as server:
        assert get(server, "/threaded/back") == b"from the parent"
        assert get(server, "/threaded/exits") == b"7"
        [line] = (tmp_path / "notes").read_text().splitlines()
        server.wait_for_output(f"Process {line.split()[1]}, which the application has forked, came")
        assert server.stop() == 0


def test_child_is_ended_by_terminate(server: Server) -> None:
    assert get(server, "/terminated") == b"-15"
    assert get(server, "/left-pool") == b"left"


@pytest.mark.long
def test_children_that_are_ended_at_once_end(server: Server) -> None:
    """A signal that comes between the fork and the child's own handlers is not forgotten."""
    for _ in range(200):
        assert get(server, "/left-pool") == b"left"


def test_child_has_neither_port_nor_connections(server: Server, tmp_path: Path) -> None:
    with RawClient(server.address) as idle, RawClient(server.address) as client:
        assert idle.request("GET", "/").status == 200
        pid = int(client.request("GET", "/lasting", "Connection: close").body)
        try:
            assert client.read_to_eof() == b""
            eventually((tmp_path / "notes").exists)
            assert held_by(pid, server.port) == set()
            worker = worker_of(server)
            assert held_by(worker, server.port)
            assert idle.request("GET", "/").status == 200
            assert server.stop() == 0
            assert is_alive(pid)
            with socket.socket() as again:  # the port is free
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(server.address)
                again.listen()
        finally:
            os.kill(pid, signal.SIGKILL)


AT_IMPORT = """
import os, time
from pathlib import Path
pid = os.fork()
Path("at-import" if pid else "in-child").write_text(str(os.getpid()))
if pid:
    os.waitpid(pid, 0)
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("args", [("--workers", "0"), ("--workers", "1"), ("--preload",)])
def test_child_of_an_import_is_no_second_server(tmp_path: Path, args: tuple[str, ...]) -> None:
    with serve("app:app", *args, cwd=tmp_path, source=AT_IMPORT) as server:
        pid = int((tmp_path / "in-child").read_text())
        server.wait_for_output(f"Process {pid}, which the application has forked, came back")
        assert not is_alive(pid)
        assert get(server, "/") == b"ok"
        assert server.stop() == 0


LASTING_AT_IMPORT = """
import multiprocessing, time
process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
process.start()
def app(environ, start_response):
    body = str(process.pid).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("args", [("--workers", "0"), ("--workers", "1"), ("--preload",)])
def test_process_of_an_import_lives_as_long_as_who_has_started_it(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    with serve("app:app", *args, cwd=tmp_path, source=LASTING_AT_IMPORT) as server:
        pid = int(get(server, "/"))
        assert is_alive(pid)
        assert held_by(pid, server.port) == set()
        if "--preload" in args:  # it is the master's: no worker takes it along
            worker = next(each for each in children_of(server.pid) if each != pid)
            os.kill(worker, signal.SIGTERM)
            eventually(lambda: not is_alive(worker))
            eventually(lambda: int(get(server, "/")) == pid)
            assert is_alive(pid)
        assert server.stop() == 0
        eventually(lambda: not is_alive(pid))


EXECUTED = """
import subprocess, os
def app(environ, start_response):
    preexec = (lambda: None) if environ["PATH_INFO"] == "/preexec" else None
    body = subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False,
                          preexec_fn=preexec).stdout
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("path", ["/", "/preexec"])
def test_programs_inherit_no_descriptor(tmp_path: Path, path: str) -> None:
    args = ("--error-log", str(tmp_path / "error"), "--access-log", str(tmp_path / "access"))
    with serve("app:app", *args, cwd=tmp_path, source=EXECUTED, ready=False) as server:
        eventually(lambda: "pid  " in server.output, "the banner")
        port = int(server.output.partition("http://127.0.0.1:")[2].split()[0])
        with RawClient(("127.0.0.1", port)) as client:
            listing = client.request("GET", path).body.decode()
    numbers = [line.split()[-3] for line in listing.splitlines() if " -> " in line]
    assert set(numbers) <= {"0", "1", "2", "3"}, listing  # the last one is the listing itself


def test_killed_children_do_no_harm_to_the_connections(tmp_path: Path) -> None:
    """A copy of an epoll descriptor is the same epoll: what a child closes stays watched."""
    target = "tests.leaving.leaving_app:forking_asgi"
    with (
        serve(target, "--loop", "asyncio", cwd=tmp_path) as server,
        RawClient(server.address) as first,
        RawClient(server.address) as second,
    ):
        pids = [int(client.request("GET", "/lasting").body) for client in (first, second)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for client in (first, second, first):
            assert client.request("GET", "/").status == 200
