"""Each end of a request is told of once, with its status and its seconds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.logs.on_answered import CLIENT_LEFT, compose
from bare_serve.wsgi import service as wsgi_service
from bare_serve.wsgi.response import FileWrapper
from bare_serve.wsgi.service import Service
from tests.wsgi.fakes import PLAIN, request
from tests.wsgi.pairs import Pair, pair


class Clock:
    """`perf_counter` as the test has it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(wsgi_service, "perf_counter", made.perf_counter)
    return made


def begun(both: Pair, raw: bytes) -> RequestHead:
    both.client.sendall(raw)
    assert both.connection.read()
    head = both.connection.http.next_event()
    assert isinstance(head, RequestHead)
    return head


def answered(both: Pair, clock: Clock) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        clock.now += 2.5
        start_response("201 Created", [PLAIN])
        return [b"x"]

    both.serve(app, request())


def raised(both: Pair, clock: Clock) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        clock.now += 2.5
        raise LookupError

    both.serve(app, request())


def broken_off(both: Pair, clock: Clock) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("203 Non-Authoritative", [PLAIN])
        yield b"x"
        clock.now += 2.5
        raise LookupError

    both.serve(app, request())


def left_before_the_answer(both: Pair, clock: Clock) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        clock.now += 2.5
        environ["wsgi.input"].read()

    both.serve(app, request("POST", "/", "Content-Length: 5"), leaves="ends")


def left_during_the_answer(both: Pair, clock: Clock) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("206 Partial", [PLAIN])
        clock.now += 2.5
        while True:
            yield b"x" * 65536

    both.serve(app, request(), leaves="closes")


def broke_the_protocol_in_its_body(both: Pair, clock: Clock) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        clock.now += 2.5
        environ["wsgi.input"].read()

    both.serve(app, request("POST", "/", "Transfer-Encoding: chunked") + b"zz\r\n")


def timed_out(both: Pair, clock: Clock) -> None:
    """Another thread gives the call up; the call itself comes to its end later."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        clock.now += 2.5
        service.give_up(both.connection, head, RequestError(504, "Late."), "it is late")
        clock.now += 5.0
        start_response("200 OK", [PLAIN])
        return [b"late"]

    head = begun(both, request())
    service = Service(app, "", both.answers)
    service.call(both.connection, head, service.environ(both.connection, head))


def redirected(both: Pair, clock: Clock) -> None:
    begun(both, request())
    error = RequestError(308, "Elsewhere")
    Service(raises, "", both.answers).refuse(both.connection, error)


def refused_before_its_head_was_complete(both: Pair, clock: Clock) -> None:
    both.client.sendall(b"nonsense\r\n\r\n")
    assert both.connection.read()
    with pytest.raises(RequestError) as refusal:
        both.connection.http.next_event()
    Service(raises, "", both.answers).refuse(both.connection, refusal.value)


def raises(environ: Any, start_response: Any) -> list[bytes]:
    raise AssertionError("it is not called")


End = Callable[[Pair, Clock], None]

ENDS: list[tuple[End, list[tuple[int, float]]]] = [
    (answered, [(201, 2.5)]),
    (raised, [(500, 2.5)]),
    (broken_off, [(203, 2.5)]),
    (left_before_the_answer, [(CLIENT_LEFT, 2.5)]),
    (left_during_the_answer, [(206, 2.5)]),
    (broke_the_protocol_in_its_body, [(400, 2.5)]),
    (timed_out, [(504, 2.5)]),
    (redirected, [(308, 0.0)]),
    (refused_before_its_head_was_complete, []),
]


@pytest.mark.parametrize(("end", "told"), ENDS, ids=[end.__name__ for end, _ in ENDS])
def test_each_end_of_a_request(clock: Clock, end: End, told: list[tuple[int, float]]) -> None:
    with pair() as both:
        end(both, clock)
        both.connection.close()
        assert [(line.status, line.seconds) for line in both.answers.kept] == told
        assert all(line.client == "192.0.2.9" for line in both.answers.kept)


@pytest.mark.parametrize("taken", [True, False])
def test_a_file_is_told_of_when_its_client_has_it_or_leaves(clock: Clock, taken: bool) -> None:
    size = 4 << 20

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", str(size))])
        return FileWrapper(file)

    with tempfile.TemporaryFile() as file, pair() as both:
        os.truncate(file.fileno(), size)
        both.serve(app, request())
        assert both.connection.sends_file
        assert both.answers.kept == []
        clock.now += 2.5
        if taken:
            got = 0
            while got < size:
                got += len(both.client.recv(1 << 20))
                both.connection.flush()
        else:
            both.connection.close()
        [line] = both.answers.kept
        assert (line.status, line.seconds) == (200, 2.5)
        assert (line.bytes_sent == size) is taken


def test_an_observer_that_fails_does_not_reach_the_connection() -> None:
    def fails(*_: Any) -> None:
        raise LookupError

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [b"x"]

    with pair() as both:
        head = begun(both, request())
        service = Service(app, "", compose(fails, both.answers))
        service.call(both.connection, head, service.environ(both.connection, head))
        assert not both.connection.aborted
        assert both.connection.http.keep_alive
        assert both.finish().endswith(b"\r\n\r\nx")
        assert [line.status for line in both.answers.kept] == [200]


def test_nobody_looks_at_the_clock_if_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [b"x"]

    monkeypatch.setattr(wsgi_service, "perf_counter", None)
    with pair() as both:
        head = begun(both, request())
        service = Service(app, "", None)
        service.call(both.connection, head, service.environ(both.connection, head))
        assert both.finish().endswith(b"\r\n\r\nx")
