"""A breakpoint in the application: its prompt is left alone, and the request is answered."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bare_serve.workers import debuggers
from tests.support import clean_environment, eventually
from tests.support.processes import BANNER_URL, COMMAND

APP = """
import os, time

def work(path):
    if path == "/stop":
        seen = 41
        breakpoint()
        seen += 1
        return str(seen).encode()
    if path == "/hang":
        time.sleep(600)
    return b"hello"
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    answer = work(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})
"""
WSGI = """
def app(environ, start_response):
    answer = work(environ["PATH_INFO"])
    start_response("200 OK", [])
    return [answer]
"""
PROMPT = "(Pdb) "


class Terminal:
    """A server on a pseudo-terminal, and who sits there."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self.fd = fd
        self._seen = ""

    def seen(self) -> str:
        """Everything that was ever shown."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self._seen += os.read(self.fd, 65536).decode()
            except OSError:  # the last process at the other end has gone
                break
        return self._seen

    def shows(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.seen().count(text) >= times, f"{text!r} on the terminal", 30)

    def types(self, line: str) -> None:
        """At the prompt; returns when the prompt is there again, unless the line ends it."""
        prompts = self.seen().count(PROMPT)
        os.write(self.fd, f"{line}\n".encode())
        if line != "c":
            self.shows(PROMPT, prompts + 1)

    @property
    def address(self) -> tuple[str, int]:
        match = eventually(lambda: BANNER_URL.search(self.seen()), "the banner", 30)
        return match[2], int(match[3])


@contextmanager
def terminal(cwd: Path, source: str, *options: str) -> Iterator[Terminal]:
    (cwd / "app.py").write_text(source)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "app:app", "--bind", "127.0.0.1:0", *options],
        cwd=cwd,
        env=clean_environment({"TERM": "dumb", "PYTHONBREAKPOINT": None}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    made = Terminal(process, ours)
    try:
        yield made
    except BaseException as error:
        error.add_note(made.seen())
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


@contextmanager
def request(address: tuple[str, int], path: str) -> Iterator[socket.socket]:
    with socket.create_connection(address, 30) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        yield sock


def answer(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


KINDS = {
    "asgi": (ASGI, ()),
    "asgi, asyncio, no watch": (ASGI, ("--loop", "asyncio", "--warn-blocked", "off")),
    "wsgi, 8 threads": (WSGI, ()),
    "wsgi, 1 thread": (WSGI, ("--threads", "1")),
}


@pytest.mark.parametrize(
    ("kind", "workers"), [*((kind, "1") for kind in KINDS), ("asgi", "0"), ("wsgi, 1 thread", "0")]
)
def test_a_session_at_a_breakpoint(kind: str, workers: str, tmp_path: Path) -> None:
    source, options = KINDS[kind]
    if "--warn-blocked" not in options and source is ASGI:
        options = (*options, "--warn-blocked", "0.1")
    more = ("-w", workers, "--timeout-worker", "3", "--log-level", "debug")
    with terminal(tmp_path, APP + source, *options, *more) as there:
        with request(there.address, "/stop") as sock:
            there.shows(PROMPT)
            before = len(there.seen())
            there.types("p seen * 1000 + 1")
            there.shows("41001")
            if workers == "1" and kind != "wsgi, 8 threads":  # there another thread goes on
                there.shows("is held by a debugger.", 2)
            there.types("!time.sleep(1)")  # the debugger's own doing is no blocking either
            there.types("n")
            there.types("n")
            there.types("p seen")
            session = there.seen()[before:]
            there.types("c")
            assert b"42" in answer(sock)
        assert "blocked" not in session
        assert "sign of life" not in session
        with request(there.address, "/fine") as sock:
            assert b"hello" in answer(sock)


@pytest.mark.parametrize("kind", ["asgi", "wsgi, 1 thread"])
def test_after_the_session_all_is_as_before(kind: str, tmp_path: Path) -> None:
    source, options = KINDS[kind]
    more = ("--timeout-worker", "3")
    with terminal(tmp_path, APP + source, *options, *more) as there:
        with request(there.address, "/stop") as sock:
            there.shows(PROMPT)
            there.types("c")
            assert answer(sock).startswith(b"HTTP/1.1 200")
        with request(there.address, "/hang") as sock:
            there.shows("has shown no sign of life for ")
            assert answer(sock) == b""
        there.shows("It is replaced at once.")


def test_a_breakpoint_while_the_application_is_imported(tmp_path: Path) -> None:
    source = "breakpoint()\n" + APP + ASGI
    with terminal(tmp_path, source, "--timeout-boot", "4", "--log-level", "debug") as there:
        there.shows(PROMPT)
        there.shows("is held by a debugger.", 2)
        there.types("p 41000 + 1")
        there.shows("41001")
        there.types("c")
        with request(there.address, "/fine") as sock:
            assert b"hello" in answer(sock)
        assert "was not ready" not in there.seen()


# ------------------------------------------------------------------ what counts as a debugger


def _frame_below(source: str, name: str) -> bool:
    """What `holds` says of a frame that a function of a module of that name calls."""
    space = {"__name__": name, "ask": lambda: debuggers.holds(sys._getframe())}
    exec(f"def called():\n    return {source}\n", space)
    return bool(space["called"]())  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pdb", True), ("bdb", True), ("IPython.terminal.debugger", True),
        ("debugpy.server.api", True), ("_pydevd_bundle.pydevd_frame", True), ("pydevd", True),
        ("shop.pdb", False), ("pdbx", False), ("shop", False),
    ],
)  # fmt: skip
def test_debuggers_are_known_by_their_modules(name: str, expected: bool) -> None:
    assert _frame_below("ask()", name) is expected


def test_coverage_is_no_debugger() -> None:
    class Tracer:
        def trace(self, *_: object) -> None: ...

    assert not debuggers.is_trace(None)
    assert debuggers.is_trace(Tracer().trace)
    Tracer.__module__ = "coverage.pytracer"
    assert not debuggers.is_trace(Tracer().trace)
    assert not debuggers.is_trace(Tracer())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 669")
def test_a_tool_for_debugging_counts() -> None:
    frame = sys._getframe()
    if sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None:
        pytest.skip("these tests are themselves debugged")
    sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "test")
    try:
        assert debuggers.holds(frame)
    finally:
        sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)
    assert not debuggers.holds(frame)


def test_threads_of_a_debugger_itself_do_not_count() -> None:
    """Those of debugpy are there as long as it listens, whether anybody is connected or not."""
    began, over = threading.Event(), threading.Event()
    space = {"__name__": "pydevd", "began": began, "over": over}
    exec("def wait():\n    began.set()\n    over.wait(30)\n", space)
    thread = threading.Thread(target=space["wait"])
    thread.start()
    try:
        assert began.wait(30)
        assert not debuggers.holds_any(None)
    finally:
        over.set()
        thread.join()


def test_a_thread_that_serves_counts() -> None:
    began, over = threading.Event(), threading.Event()
    ours = {"__name__": "bare_serve.workers.wsgi.leader"}
    exec("def serve(call):\n    call()\n", ours)
    theirs = {"__name__": "bdb", "began": began, "over": over}
    exec("def wait():\n    began.set()\n    over.wait(30)\n", theirs)
    thread = threading.Thread(target=ours["serve"], args=(theirs["wait"],))
    thread.start()
    try:
        assert began.wait(30)
        assert debuggers.holds_any(None)
    finally:
        over.set()
        thread.join()
