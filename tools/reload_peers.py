"""Edits the same application under the reload of several servers, and prints what came of it.

`python -m tools.reload_peers --bin VENV/bin` runs those servers that are installed there, one after
the other. Each has an application of its interface, of which 50 edits are made: 30 good ones, 10
syntax errors, 5 imports that fail, 5 startups that fail. A client connects all the while; a last
edit is made while an event stream is open. A server that has ended is started again.

Times depend on the machine and on what else runs there; they are of one run, in this order.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PATIENCE = 15.0
"""Seconds for new code to answer."""
SETTLE = 2.0
"""Seconds for a server to do what it does about broken code."""
PLAN = [*("", "syntax", "", "import", "", "", "syntax", "lifespan", "", "") * 5]

_ASGI = """
import asyncio
VERSION = {version!r}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    while scope["path"] == "/stream":
        await send({{"type": "http.response.body", "body": b"data: tick", "more_body": True}})
        await asyncio.sleep(0.05)
    await send({{"type": "http.response.body", "body": VERSION.encode()}})

async def lifespan(receive, send):
    while True:
        event = (await receive())["type"]
        await send({{"type": event + ".complete"}})
        if event == "lifespan.shutdown":
            return
"""
_WSGI = """
import time
VERSION = {version!r}
def stream():
    while True:
        yield b"data: tick"
        time.sleep(0.05)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return stream() if environ["PATH_INFO"] == "/stream" else [VERSION.encode()]
"""
_FLASK = """
import time
from flask import Flask
VERSION = {version!r}
app = Flask(__name__)
@app.get("/")
def index():
    return VERSION
@app.get("/stream")
def stream():
    def ticks():
        while True:
            yield "data: tick"
            time.sleep(0.05)
    return ticks()
"""
_DJANGO = """
import time
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
VERSION = {version!r}
def ticks():
    while True:
        yield b"data: tick"
        time.sleep(0.05)
urlpatterns = [
    path("", lambda request: HttpResponse(VERSION)),
    path("stream", lambda request: StreamingHttpResponse(ticks())),
]
"""
_FASTAPI = """
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
VERSION = {version!r}
async def startup():
    pass
@asynccontextmanager
async def lifespan(app):
    await startup()
    yield
app = FastAPI(lifespan=lifespan)
@app.get("/", response_class=PlainTextResponse)
async def index():
    return VERSION
@app.get("/stream")
async def stream():
    async def ticks():
        while True:
            yield b"data: tick"
            await asyncio.sleep(0.05)
    return StreamingResponse(ticks())
"""
_SETTINGS = "SECRET_KEY, DEBUG, ROOT_URLCONF, ALLOWED_HOSTS = 'x', True, 'app', ['*']\n"
_WRONG = {
    "syntax": "def (\n",
    "import": "import no_such_module_anywhere\n",
    "raise": "raise RuntimeError('while it was imported')\n",
    "lifespan": "async def lifespan(receive, send):\n    await receive()\n    raise KeyError\n",
    "startup": "async def startup():\n    raise KeyError\n",
}


class Peer(NamedTuple):
    """A server, and how it is started with reload."""

    name: str
    command: str
    source: str
    startup: str = "raise"
    """How a startup fails there."""


PEERS = [
    Peer(
        "bare-serve, ASGI",
        "bare-serve app:app --reload --no-error-page --port {port}",
        _ASGI,
        "lifespan",
    ),
    Peer("bare-serve, WSGI", "bare-serve app:app --reload --no-error-page --port {port}", _WSGI),
    Peer("uvicorn", "uvicorn app:app --reload --port {port}", _ASGI, "lifespan"),
    Peer("gunicorn", "gunicorn app:app --reload -b 127.0.0.1:{port}", _WSGI),
    Peer("hypercorn", "hypercorn app:app --reload -b 127.0.0.1:{port}", _ASGI, "lifespan"),
    Peer("granian", "granian app:app --interface asgi --reload --port {port}", _ASGI, "lifespan"),
    Peer("flask run", "flask --app app run --debug --port {port}", _FLASK),
    Peer("runserver", "django-admin runserver {port}", _DJANGO),
    Peer("fastapi dev", "fastapi dev app.py --port {port}", _FASTAPI, "startup"),
]


class Found(NamedTuple):
    """What came of all edits."""

    name: str
    attempts: int
    refused: int
    times: list[float]
    missed: int
    """Good edits whose code never answered."""
    ended: int
    """How often the server has ended."""
    broken_answers: dict[str, int]
    """What a client got while broken code was there."""
    streaming: float | None
    """Seconds to the new answer with a stream open; None for never."""


class Run:
    """One server, started again if it ends."""

    def __init__(self, peer: Peer, directory: Path, bin_directory: Path) -> None:
        self.peer = peer
        self.directory = directory
        self.bin = bin_directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None
        self.attempts = self.refused = self.ended = 0

    def write(self, version: str, wrong: str = "") -> None:
        """Write this version of the application."""
        wrong = self.peer.startup if wrong == "lifespan" else wrong
        text = self.peer.source.format(version=version) + _WRONG.get(wrong, "")
        (self.directory / "app.py").write_text(text)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        name, *rest = self.peer.command.format(port=self.port).split()
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project_settings", "PYTHONPATH": "."}
        # Outside: some watch every file there is.
        with self.directory.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.bin / name), *rest], cwd=self.directory, env=env, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + 60
        while self.answer() is None and time.monotonic() < until:
            time.sleep(0.05)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End all of its processes."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def answer(self) -> tuple[int, str] | None:
        """Return status and body; None if the connection fails."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def answers(self, version: str) -> float | None:
        """Return the seconds until this version answers; None if it never does."""
        began = time.monotonic()
        while time.monotonic() < began + PATIENCE:
            if self.answer() == (200, version):
                return time.monotonic() - began
            time.sleep(0.01)
        return None

    @contextlib.contextmanager
    def knocking(self) -> Iterator[None]:
        """Connect all the while, and count refusals while the server is up."""
        stop = threading.Event()

        def knock() -> None:
            while not stop.wait(0.01):
                if not self.runs:
                    continue
                try:
                    socket.create_connection(("127.0.0.1", self.port), 5).close()
                except ConnectionRefusedError:
                    self.refused += 1
                except OSError:
                    pass
                self.attempts += 1

        thread = threading.Thread(target=knock)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def what_is_served(self, good: str, broken: str) -> str:
        """Return, in words, what a client gets while broken code is there."""
        found = self.answer()
        if found is None:
            return "nothing"
        status, text = found
        if (status, text) == (200, broken):
            return "the broken code"
        return "the code before" if (status, text) == (200, good) else f"an error ({status})"


def edit_all(run: Run) -> Found:
    """Make all edits under one server."""
    times: list[float] = []
    missed = 0
    broken: dict[str, int] = {}
    good = version = "v0"
    run.write(version)
    run.start()
    with run.knocking():
        for number, wrong in enumerate(PLAN):
            # Of another length each time: Python takes its compiled file for the same otherwise.
            version = f"v{number}" + "." * (number % 7)
            run.write(version, wrong)
            if wrong:
                time.sleep(SETTLE)
                served = run.what_is_served(good, version)
                broken[served] = broken.get(served, 0) + 1
            else:
                took = run.answers(version)
                missed += took is None
                times += [] if took is None else [took]
                good = version
                time.sleep(0.3)
            if not run.runs:
                run.ended += 1
                run.write(good)
                run.start()
    streaming = None
    if not run.runs or run.answer() is None:  # it may live, and serve nothing any more
        run.stop()
        run.start()
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", run.port), 5) as stream,
    ):
        stream.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        stream.recv(1)
        run.write("streaming")
        streaming = run.answers("streaming")
    run.stop()
    return Found(
        run.peer.name, run.attempts, run.refused, times, missed, run.ended, broken, streaming
    )


def row(found: Found) -> str:
    """Return a line of the table."""
    times = sorted(found.times)
    median = f"{statistics.median(times):.2f} s" if times else "never"
    p95 = f"{times[int(0.95 * (len(times) - 1))]:.2f} s" if times else "never"
    good = len(times) + found.missed
    broken = ", ".join(f"{what} {count}" for what, count in sorted(found.broken_answers.items()))
    streaming = "never" if found.streaming is None else f"{found.streaming:.2f} s"
    return (
        f"| {found.name} | {found.refused} of {found.attempts} | {len(times)} of {good} "
        f"| {median} | {p95} | {found.ended} | {broken} | {streaming} |"
    )


HEAD = (
    "| | refused | good edits served | median | p95 | ended | while broken | with a stream |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |"
)


def main() -> None:
    """Run those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=Path(".venv/bin"), help="where servers are")
    parser.add_argument("--only", default="", help="names that contain this")
    options = parser.parse_args()
    print(HEAD, flush=True)
    for peer in PEERS:
        if options.only not in peer.name:
            continue
        if not (options.bin / peer.command.split()[0]).exists():
            print(f"{peer.name} is not installed in {options.bin}", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="reload-") as scratch:
            directory = Path(scratch) / "project"
            directory.mkdir()
            (directory / "project_settings.py").write_text(_SETTINGS)
            run = Run(peer, directory, options.bin.absolute())
            try:
                print(row(edit_all(run)), flush=True)
            finally:
                run.stop()


if __name__ == "__main__":
    main()
