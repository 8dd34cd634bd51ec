"""A worker that serves nobody any more is found out, told of and replaced; a slow one is not."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.supervision.master import master
from tests.support import Server, eventually, is_alive, run_cli, serve

WSGI = """
import time
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/stuck":
        stuck_here()
    if environ["PATH_INFO"] == "/stream":
        return slowly()
    return [b"hi"]
def stuck_here():
    while True:
        time.sleep(60)
def slowly():
    for _ in range(50):
        yield b"x" * 10
        time.sleep(0.1)
"""
ASGI = """
import asyncio, time
async def app(scope, receive, send):
    if scope["path"] == "/stuck":
        stuck_here()
    if scope["path"] == "/waits":
        await waits_here()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hi"})
def stuck_here():
    while True:
        time.sleep(60)
async def waits_here():
    await asyncio.Event().wait()
"""


def _ask(server: Server, path: str, stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.create_connection(server.address, 10))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return client


@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param(WSGI, ("--threads", "1"), id="wsgi, the only thread"),
        pytest.param(ASGI, ("--loop", "uvloop"), id="uvloop"),
        pytest.param(ASGI, ("--loop", "asyncio"), id="asyncio"),
    ],
)
def test_stuck_worker_is_killed_with_all_that_it_was_doing(
    source: str, options: tuple[str, ...]
) -> None:
    with serve("app:app", "--timeout-worker", "2", *options, source=source) as server:
        [worker] = server.workers
        with ExitStack() as stack:
            for _ in range(2):
                _ask(server, "/stuck?secret=1", stack)
            server.wait_for_output("has shown no sign of life for", 30)
            eventually(lambda: not is_alive(worker))
        assert "  in progress: GET /stuck?secret=1" in server.stderr
        assert "in stuck_here" in server.stderr
        named = re.findall(r"\(thread \d+, (0x[0-9a-f]+)\)", server.stderr)
        assert bool(named) == (source is WSGI)
        assert all(re.search(f"hread {ident} \\(most recent", server.stderr) for ident in named)
        eventually(lambda: server.workers and worker not in server.workers)

        def serves() -> bool:
            with suppress(OSError):
                return bool(urllib.request.urlopen(server.url, timeout=10).read() == b"hi")
            return False

        eventually(serves)
        assert server.stop() == 0


def test_tasks_of_the_application_are_told_as_well() -> None:
    source = """
import asyncio, time
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        app.refreshing = asyncio.create_task(refresh_prices())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    asyncio.create_task(ask_a_friend(), name="friend")
    await asyncio.sleep(0)
    while True:
        time.sleep(60)
async def refresh_prices():
    await asyncio.sleep(3600)
async def ask_a_friend():
    await asyncio.Event().wait()
"""
    with serve("app:app", "--timeout-worker", "2", source=source) as server, ExitStack() as stack:
        _ask(server, "/", stack)
        server.wait_for_output("has shown no sign of life for", 30)
        server.wait_for_output("It is replaced at once.", 30)
        told = server.stderr
        assert re.search(
            r"  beside: Task-\d+, refresh_prices \(\S*app.py:15 in refresh_prices\)", told
        )
        assert re.search(r"  beside: friend, ask_a_friend \(\S*app.py:17 in ask_a_friend\)", told)
        assert told.count("  beside: ") == 2
        assert server.stop() == 0


def test_silent_worker_that_comes_round_is_asked_before_it_is_killed() -> None:
    source = """
def run_worker(slot, index):
    life = Lifecycle(slot, MASTER)
    life.install(lambda: None)
    slot.ready({"index": "1"})
    note("ready", index, os.getpid())
    while not life.stopping:  # and no tick, which is what the master looks for
        time.sleep(0.01)
    note("drained", index, os.getpid())
"""
    with master(source, workers=1, timeout_worker=0.5) as m:
        m.ready(1)
        m.logged("has shown no sign of life for")
        m.logged("exited with code 0.")  # the first one, unless the machine has no time for it
        assert m.notes("drained")
        m.send(signal.SIGQUIT)
        assert m.wait() == 0


def test_silent_worker_that_hears_nothing_is_killed() -> None:
    source = """
def run_worker(slot, index):
    slot.ready({"index": "1"})
    signal.signal(signal.SIGTERM, lambda *_: note("asked"))
    note("ready", index, os.getpid())
    while True:
        time.sleep(60)
"""
    with master(source, workers=1, timeout_worker=0.5) as m:
        [(_, pid)] = m.ready(1)
        m.logged(f"Worker 1 (pid {pid}) was killed by SIGKILL. It is replaced at once.")
        assert m.notes("asked")
        m.send(signal.SIGQUIT)
        assert m.wait() == 0


def test_what_it_was_doing_follows_in_the_error_log() -> None:
    source = """
from bare_serve.logs import error_log
error_log.set_up_logging("info", path=str(SCRATCH / "error.log"))
def stuck_here():
    while True:
        time.sleep(60)
def run_worker(slot, index):
    life = Lifecycle(slot, MASTER)
    life.install(lambda: None)
    life.in_progress = lambda: ["GET /stuck"]
    slot.ready({"index": "1"})
    note("ready", 1, os.getpid())
    stuck_here()
"""
    with master(source, workers=1, timeout_graceful_shutdown=0.1) as m:
        m.ready(1)
        assert m.stop() == 0
        before, _, told = (m.scratch / "error.log").read_text().partition("what it was doing:")
        assert "did not finish in time" in before
        assert "  in progress: GET /stuck" in told
        assert "in stuck_here" in told
        assert "in stuck_here" not in m.stderr


def test_threads_that_are_all_busy_but_get_on_are_left_alone() -> None:
    options = ("--timeout-worker", "2", "--threads", "2")
    with serve("app:app", *options, source=WSGI) as server, ExitStack() as stack:
        [worker] = server.workers
        clients = [_ask(server, "/stream", stack) for _ in range(2)]
        for client in clients:
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                data = client.recv(4096)
                assert data, received
                received += data
            assert received.count(b"x") == 500
        assert server.workers == [worker]
        assert "no sign of life" not in server.stderr
        assert server.stop() == 0


@pytest.mark.parametrize("path", ["/waits", "/quiet"], ids=["slow calls", "quiet streams"])
def test_as_many_slow_calls_as_threads_is_not_death(path: str) -> None:
    source = """
import pathlib, time
def app(environ, start_response):
    start_response("200 OK", [])
    return served(environ["PATH_INFO"])
def served(path):
    if path == "/quiet":
        yield b"begun"
    if path != "/":
        while not pathlib.Path("go").exists():
            time.sleep(0.05)
    yield b"hi"
"""
    options = ("--timeout-worker", "2", "--threads", "2")
    with serve("app:app", *options, source=source) as server, ExitStack() as stack:
        [worker] = server.workers
        clients = [_ask(server, path, stack) for _ in range(2)]
        late = _ask(server, "/", stack)
        server.wait_for_output("1 or more requests wait for one of 2 threads, the first for")
        told = "Raise --threads or --workers, or bound calls by --timeout-request."
        assert server.output.count(told) == 1
        (Path(f"/proc/{worker}/cwd") / "go").touch()
        for client in (*clients, late):
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                data = client.recv(4096)
                assert data, received
                received += data
            assert b"hi" in received
        assert server.workers == [worker]
        assert "no sign of life" not in server.stderr
        assert server.stop() == 0


def test_c_code_that_keeps_the_interpreter_is_death() -> None:
    """Nobody can lead, and nothing ticks."""
    source = """
import ctypes
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/stuck":
        ctypes.PyDLL(None).sleep(600)
    return [b"hi"]
"""
    with serve("app:app", "--timeout-worker", "2", source=source) as server, ExitStack() as stack:
        [worker] = server.workers
        _ask(server, "/stuck", stack)
        server.wait_for_output("has shown no sign of life for", 30)
        eventually(lambda: not is_alive(worker))
        assert "File" in server.stderr
        assert " in app" in server.stderr, "C code has told where"
        eventually(lambda: server.workers and worker not in server.workers)
        eventually(lambda: urllib.request.urlopen(server.url, timeout=10).read() == b"hi")
        assert server.stop() == 0


def test_off_is_off() -> None:
    with (
        serve("app:app", "--timeout-worker", "off", "--threads", "1", source=WSGI) as server,
        ExitStack() as stack,
    ):
        _ask(server, "/stuck", stack)
        # Nothing is to happen, for as long as it takes to reload twice.
        for number in (1, 2):
            server.send_signal(signal.SIGHUP)
            eventually(lambda n=number: server.stderr.count("Reloaded") >= n, "reload", 30)
        assert "no sign of life" not in server.stderr
        server.stop(signal.SIGQUIT)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        pytest.param(WSGI, "It was at work on: GET /stuck (thread 1, 0x", id="wsgi"),
        pytest.param(ASGI, "It was at work on: GET /waits (", id="asgi"),
    ],
)
def test_worker_that_is_killed_had_left_word_of_its_long_requests(source: str, told: str) -> None:
    with serve("app:app", source=source) as server, ExitStack() as stack:
        [worker] = server.workers
        _ask(server, "/stuck" if source is WSGI else "/waits", stack)
        # The word is left at a tick, once a second, and shows only when the worker dies.
        since = time.monotonic()
        eventually(lambda: time.monotonic() > since + 2.5)
        os.kill(worker, signal.SIGKILL)
        server.wait_for_output(f"(pid {worker}) was killed by SIGKILL, not by this server. {told}")
        assert server.stop() == 0


def test_a_startup_that_never_ends_is_told_by_the_line_it_waits_on(tmp_path: Path) -> None:
    source = """
import asyncio
async def app(scope, receive, send):
    await receive()
    await connect_to_nothing()
async def connect_to_nothing():
    await asyncio.Event().wait()
"""
    (tmp_path / "app.py").write_text(source)
    done = run_cli("app:app", "--timeout-boot", "1.5", "--bind", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 3
    assert "in progress: the lifespan startup" in done.stderr
    assert "app.py:7 in connect_to_nothing)" in done.stderr
