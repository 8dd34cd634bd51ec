"""Clients that take their answers slowly, or not at all: no thread of `--threads` is theirs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_serve.http import Timeouts
from bare_serve.tls import TlsOptions
from bare_serve.tls.certificates import Certificates
from bare_serve.wsgi.connection import HIGH_WATER
from tests.support import RawClient, eventually, is_alive, serve
from tests.support.answers import KeptAnswers
from tests.support.certificates import Authority
from tests.workers.wsgi.threads import (
    PLAIN,
    Environ,
    Everywhere,
    Running,
    Serve,
    get,
    hello,
    running,
    serve_threaded,
    serving_threads,
)

__all__ = ["serve_threaded"]

SIZE = 10 << 20
PIECE = b"x" * (1 << 16)
KINDS = ("generator", "write", "file", "list")


@pytest.fixture(params=["plain", "tls"])
def transport(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[dict[str, Any], Callable[[RawClient], RawClient]]:
    """Options of a worker, and what its clients do first."""
    if request.param == "plain":
        return {}, lambda client: client
    authority = Authority(tmp_path)
    chain, key = authority.issue("server")
    options = TlsOptions(certfile=str(chain), keyfile=str(key))
    context: ssl.SSLContext = authority.client()
    roles = Everywhere({0: "tls"})
    return (
        {"certificates": Certificates(options), "roles": roles},
        lambda client: client.speak_tls(context),
    )


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(b"x" * SIZE)
    return path


def application(big: Path) -> Any:
    """/generator, /write, /file and /list answer with 10 MiB each; all else is quick."""

    def app(environ: Environ, start_response: Any) -> Any:
        kind = environ["PATH_INFO"][1:]
        if kind not in KINDS:
            return hello(environ, start_response)
        write = start_response("200 OK", [PLAIN, ("Content-Length", str(SIZE))])
        if kind == "generator":
            return (PIECE for _ in range(SIZE // len(PIECE)))
        if kind == "file":
            return environ["wsgi.file_wrapper"](big.open("rb"))
        if kind == "list":
            return [b"x" * SIZE]
        for _ in range(SIZE // len(PIECE)):
            write(PIECE)
        return []

    return app


def slow_client(worker: Running) -> RawClient:
    """One whose kernel takes little, so that what it does not read is the server's to keep."""
    client = RawClient.__new__(RawClient)
    client.timeout, client.buffer = 20, bytearray()
    client.socket = socket.socket()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.settimeout(20)
    client.socket.connect(worker.address)
    return client


@contextlib.contextmanager
def readers(
    worker: Running, count: int, kinds: tuple[str, ...] = KINDS, greet: Any = None
) -> Iterator[list[RawClient]]:
    """Clients that have asked and taken no more than the head."""
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(count):
            client = stack.enter_context(slow_client(worker))
            clients.append(client)
            if greet is not None:
                greet(client)
            client.send(get(f"/{kinds[number % len(kinds)]}"))
            client.read_until(b"\r\n\r\n")
        yield clients


def unsent(worker: Running) -> list[int]:
    return [each.unsent for each in list(worker.shared.connections.values()) if each.unsent]


def test_slow_readers_hold_none_of_the_threads_and_get_all(
    serve_threaded: Serve,
    transport: tuple[dict[str, Any], Callable[[RawClient], RawClient]],
    big: Path,
) -> None:
    options, greet = transport
    with serve_threaded(application(big), **options) as worker:
        with readers(worker, 24, greet=greet) as clients, worker.client() as raw:
            other = greet(raw)
            eventually(lambda: len(unsent(worker)) == 24)
            for _ in range(20):
                assert other.request().body == b"hello"
            with worker.client() as fresh:
                assert greet(fresh).request().body == b"hello"
            kept = [
                each.unsent
                for each in list(worker.shared.connections.values())
                if each.http.head and each.http.head.target in (b"/generator", b"/write")
            ]
            assert len(kept) == 12
            assert max(kept) < HIGH_WATER + 2 * len(PIECE), "the answer is not piled up"
            for client in clients[::5]:
                assert client.read(SIZE) == b"x" * SIZE
                assert client.request().body == b"hello"
        eventually(lambda: not worker.shared.connections)
        at_rest = worker.shared.options.threads + 1
        eventually(lambda: len(serving_threads()) <= at_rest, "what was made for them has ended")
        with worker.client() as client:
            assert greet(client).request().body == b"hello"
        assert worker.shared.leadership is not None
        assert worker.shared.leadership.waiting == 0


@pytest.mark.parametrize("kind", ["file", "list"])
def test_what_needs_no_application_needs_no_thread(big: Path, kind: str) -> None:
    with running(application(big), threads=1) as worker, readers(worker, 5, (kind,)) as clients:
        connections = worker.shared.connections
        eventually(lambda: not any(each.busy for each in list(connections.values())))
        with worker.client() as other:
            assert other.request().body == b"hello"
        for client in clients:
            assert client.read(SIZE) == b"x" * SIZE


def test_a_stop_waits_for_slow_readers_within_the_grace(big: Path) -> None:
    with running(application(big), threads=2) as worker, readers(worker, 8) as clients:
        worker.stop()
        eventually(lambda: worker.shared.drain.begun)
        for client in clients:
            assert client.read(SIZE) == b"x" * SIZE
            assert client.is_closed()
        worker.join()


def test_the_grace_ends_for_readers_that_take_nothing(
    big: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        running(application(big), threads=2, graceful_shutdown=0.3) as worker,
        readers(worker, 8) as clients,
    ):
        worker.stop()
        worker.join()
        for client in clients:
            with pytest.raises((EOFError, ConnectionResetError)):
                client.read(SIZE)
    for kind in KINDS:
        assert caplog.text.count(f"Given up at shutdown: GET /{kind}") == 2


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_a_reader_below_the_rate_is_cut_off_and_one_above_is_not(big: Path, kind: str) -> None:
    """Over a window of two seconds the rate is 1,000 bytes."""
    with (
        running(application(big), threads=2, timeouts=Timeouts(write=2)) as worker,
        readers(worker, 2, (kind,)) as (slow, slower),
    ):
        over = threading.Event()

        def takes(client: RawClient, count: int) -> None:
            with contextlib.suppress(OSError):
                while not over.wait(0.1):
                    client.socket.recv(count)

        threads = [
            threading.Thread(target=takes, args=pair) for pair in ((slow, 4000), (slower, 5))
        ]
        try:
            for thread in threads:
                thread.start()
            connections = worker.shared.connections
            eventually(lambda: len(connections) == 1)
            begun = time.monotonic()
            eventually(lambda: time.monotonic() > begun + 3)
            assert len(connections) == 1, "who is fast enough is left alone"
        finally:
            over.set()
            for thread in threads:
                thread.join()


def test_where_too_many_wait_the_slowest_makes_room(
    big: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bare_serve.workers.wsgi.worker.MOST_WAITING", 3)
    with (
        running(application(big), threads=2) as worker,
        readers(worker, 9, ("generator", "write")) as clients,
        worker.client() as other,
    ):
        for _ in range(10):
            assert other.request().body == b"hello"
        alive = len(unsent(worker))
        assert 3 <= alive <= 5, "three that may wait, and two threads at most"
        with pytest.raises((EOFError, ConnectionResetError)):
            clients[0].read(SIZE)
        assert clients[-1].read(SIZE) == b"x" * SIZE
    lines = re.findall(r"\d threads wait for slow clients.*", caplog.text)
    assert len(lines) == 1, "and not one for each"
    assert re.search(r"GET /(generator|write) from 127.0.0.1, who took nothing for", lines[0])


def test_one_thread_that_waits_looks_after_the_others(big: Path) -> None:
    """It serves one request at a time, but deadlines and signs of life go on."""
    timeouts = Timeouts(headers=0.5)
    with (
        running(application(big), threads=1, timeouts=timeouts) as worker,
        worker.client() as silent,
        readers(worker, 1, ("generator",)) as (reader,),
    ):
        beats = len(worker.slot.beats)
        assert silent.is_closed()
        eventually(lambda: len(worker.slot.beats) > beats + 2)
        assert reader.read(SIZE) == b"x" * SIZE


def test_one_thread_with_a_limit_for_calls_cuts_no_client_off(
    big: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no other thread that a slow client could keep from the others."""
    with (
        running(application(big), threads=1, timeout_request=30) as worker,
        readers(worker, 1, ("generator",)) as (reader,),
        worker.client() as other,
    ):
        other.send(get("/"))
        eventually(lambda: unsent(worker))
        worker.shared.acceptor.client_waits.look(time.monotonic() + 5)  # as the monitor does
        assert reader.read(SIZE) == b"x" * SIZE
        assert other.response().body == b"hello"
    assert "Cut off" not in caplog.text


def test_deadlines_and_accepting_go_on_whatever_the_threads_do(
    tmp_path: Path,
) -> None:
    go = threading.Event()

    def app(environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/wait":
            assert go.wait(30)
        return hello(environ, start_response)

    with (
        running(app, threads=2, timeouts=Timeouts(headers=0.3, keep_alive=0.3)) as worker,
        worker.client() as idle,
        contextlib.ExitStack() as stack,
    ):
        assert idle.request().status == 200
        waiting = [stack.enter_context(worker.client()) for _ in range(2)]
        for client in waiting:
            client.send(get("/wait"))
        eventually(lambda: sum(c.busy for c in list(worker.shared.connections.values())) == 2)
        reopened: list[bool] = []
        worker.lifecycle.reopen = lambda: reopened.append(True)
        worker.lifecycle.to_reopen = True
        assert idle.is_closed()
        with worker.client() as silent:
            assert silent.is_closed()
        with worker.client() as half:
            half.send(b"GET / HT")
            queued = stack.enter_context(worker.client())
            queued.send(get("/"))
            eventually(lambda: len(worker.shared.queue) >= 1)
        eventually(lambda: reopened)
        go.set()
        for client in (*waiting, queued):
            assert client.response().body == b"hello"


def test_a_file_that_is_taken_slowly_is_told_of_when_it_is_taken(big: Path) -> None:
    answers = KeptAnswers()
    with running(application(big), threads=2) as worker:
        worker.shared.service._on_answered = answers
        with readers(worker, 2, ("file",)) as (patient, leaving):
            eventually(lambda: len(unsent(worker)) == 2)
            assert answers.kept == []
            leaving.close()
            eventually(lambda: answers.kept)
            assert answers.kept[0][4] == 200
            assert 0 < answers.kept[0][5] < SIZE, "what has left, and no more"
            assert patient.read(SIZE) == b"x" * SIZE
            eventually(lambda: len(answers.kept) == 2)
            assert answers.kept[1][5] == SIZE


ALONE = """
import atexit
atexit.register(print, "exit function", flush=True)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    print("begun", flush=True)
    return (b"x" * 65536 for _ in range(1000))
"""


@pytest.mark.parametrize("how", ["grace", "hurry"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_one_thread_that_waits_for_its_client_ends_by_itself(
    tmp_path: Path, workers: str, how: str
) -> None:
    grace = "1" if how == "grace" else "30"
    args = ("--workers", workers, "--threads", "1", "--timeout-graceful-shutdown", grace)
    with serve("app:app", *args, cwd=tmp_path, source=ALONE) as server:
        with RawClient(server.address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for_output("begun")
            assert server.stop(signal.SIGTERM if how == "grace" else signal.SIGQUIT) == 0
        assert "Given up at shutdown: GET /" in server.output
        assert "exit function" in server.output
        assert "did not finish in time" not in server.output


HOLDS = """
import time

def app(environ, start_response):
    print("begun", flush=True)
    while True:
        time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_one_thread_in_a_call_without_a_master_is_killed_by_who_insists(
    tmp_path: Path, how: signal.Signals
) -> None:
    args = ("--workers", "0", "--threads", "1")
    with serve("app:app", *args, cwd=tmp_path, source=HOLDS) as server:
        with RawClient(server.address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for_output("begun")

            def insisted() -> bool:
                if is_alive(server.pid):
                    os.kill(server.pid, how)
                return not is_alive(server.pid)

            eventually(insisted)
        assert server.wait() == -how
