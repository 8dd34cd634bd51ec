"""`--timeout-request` with WSGI: the client is told, the log says where, the worker goes."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any, cast

import pytest

from bare_serve.workers.wsgi.call import Call
from bare_serve.workers.wsgi.request_timeout import RequestTimeouts, look_seconds
from bare_serve.wsgi.connection import Connection
from tests.support import RawClient, eventually, serve
from tests.workers.wsgi.threads import PLAIN, Environ, get, running


@dataclass
class Busy:
    """What the clock looks at of a connection."""

    busy: bool = True
    upgraded: None = None


def begin(call: Call) -> Busy:
    """The thread begins a call, for a connection that is busy."""
    call.requests += 1
    connection = Busy()
    call.serving = cast("Connection", connection)
    return connection


def test_the_clock_of_calls() -> None:
    one, two = Call(1), Call(2)
    clock = RequestTimeouts(10.0, [one, two])
    assert clock.look(0.0) == []
    begin(one)
    assert clock.look(100.0) == []
    begin(two)
    assert clock.look(105.0) == []
    assert clock.look(109.0) == []
    assert clock.look(110.0) == [(one, one.serving)]
    assert clock.look(112.0) == [], "told once"
    assert clock.stuck == 1
    assert clock.look(115.0) == [(two, two.serving)]
    assert clock.stuck == 2
    connection = begin(one)
    assert clock.look(116.0) == []
    assert clock.stuck == 1
    connection.busy = False
    assert clock.look(200.0) == [], "it waits for work"
    begin(one)
    one.serving = None
    assert clock.look(300.0) == []
    assert clock.look(400.0) == [], "it stands by"


@pytest.mark.parametrize(("limit", "seconds"), [(0.2, 0.01), (10.0, 0.5), (20.0, 1.0), (60.0, 1.0)])
def test_how_often_calls_are_looked_at(limit: float, seconds: float) -> None:
    assert look_seconds(limit) == pytest.approx(seconds)


class Gate:
    """/wait and /stream block until the test lets them go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.late_write: list[Exception] = []

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == "/wait":
            self.block_here()
        write = start_response("200 OK", [PLAIN])
        if path == "/stream":
            write(b"first")
            self.block_here()
            try:
                write(b"never seen")
            except Exception as error:
                self.late_write.append(error)
                raise
        return [path.encode()]

    def block_here(self) -> None:
        assert self.go.wait(30)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_client_is_told_and_the_log_says_where(
    threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    with running(gate, threads=threads, timeout_request=0.2) as worker:
        with worker.client() as slow:
            slow.send(get("/wait") + get("/behind"))
            answer = slow.response()
            assert (answer.status, answer.header("connection")) == (504, "close")
            assert slow.read_to_eof() == b"", "and nothing after it"
        assert "GET /wait takes longer than 0.2 s. Its thread 1 is here:" in caplog.text
        assert "in block_here" in caplog.text
        gate.go.set()
        with worker.client() as client:  # there is no master, so this worker goes on
            assert client.request("GET", "/quick").body == b"/quick"
        eventually(lambda: not worker.shared.connections)
    assert "the application raised" not in caplog.text


def test_an_answer_that_has_begun_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with running(gate, timeout_request=0.2) as worker, worker.client() as slow:
        slow.send(get("/stream"))
        assert slow.read_to_eof().endswith(b"5\r\nfirst\r\n")
        gate.go.set()
        eventually(lambda: gate.late_write)
        with worker.client() as client:
            assert client.request("GET", "/quick").status == 200
    assert "GET /stream takes longer than 0.2 s" in caplog.text
    assert "the application raised" not in caplog.text


def test_calls_in_time_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with running(Gate(), timeout_request=5.0) as worker, worker.client() as client:
        for _ in range(100):
            assert client.request("GET", "/quick").status == 200
    assert caplog.records == []


SOURCE = """
import os, threading

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("threads", ["1", "4"])
def test_the_worker_is_replaced(threads: str) -> None:
    options = ("--wsgi", "--threads", threads, "--timeout-request", "1")
    with serve("app:app", *options, source=SOURCE) as server:
        with RawClient(server.address) as client:
            first = client.request().body
        with RawClient(server.address) as hanging:
            hanging.send(get("/hang"))
            assert hanging.response().status == 504

        def replaced() -> bool:
            with RawClient(server.address, timeout=5) as client:
                return client.request().body != first

        eventually(replaced)
        eventually(lambda: len(server.workers) == 1)
        assert re.search(r"GET /hang takes longer than 1 s. Its thread \d is here:", server.stderr)
        assert "Traceback" not in server.stderr
        assert server.stop() == 0


def test_a_body_that_is_being_read_does_not_look_complete() -> None:
    seen: list[Any] = []

    def app(environ: Environ, start_response: Any) -> Any:
        try:
            seen.append(environ["wsgi.input"].read())
        except OSError as error:
            seen.append(error)
            raise
        start_response("200 OK", [PLAIN])
        return [b"stored"]

    with running(app, timeout_request=0.2) as worker, worker.client() as client:
        client.send(get("/", "Content-Length: 200000", method="POST") + b"x" * 100_000)
        assert client.response().status == 504
        eventually(lambda: seen)
    assert isinstance(seen[0], OSError)


def test_a_call_that_was_given_up_and_outlives_its_worker_closes_its_socket() -> None:
    gate = Gate()
    with running(gate, threads=2, timeout_request=0.2) as worker, worker.client() as slow:
        slow.send(get("/wait"))
        eventually(lambda: worker.shared.connections)
        connection = next(iter(worker.shared.connections.values()))
        assert slow.response().status == 504
        worker.stop(hurry=True)
        worker.join()
        assert connection.sock.fileno() >= 0, "its thread may still use it"
        gate.go.set()
        eventually(lambda: connection.sock.fileno() < 0)
