"""Exchanges of WSGI on streams of one connection: nothing in them depends on HTTP/1.1.

The exchanges and their threads are real ones. What is not HTTP/1.1 is in
`tests.support.multiplexed`: each stream has a window of a few bytes, and all share one wire.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.errors import ClientGone, RequestError, ResponseError
from bare_serve.http import Output, RequestHead, ServerExchange
from bare_serve.wsgi.response import Exchange, FileWrapper
from bare_serve.wsgi.service import Service
from tests.support.answers import KeptAnswers
from tests.support.multiplexed import Frame, Stream, data, frames, head_of, kinds
from tests.support.waiting import eventually
from tests.wsgi.fakes import PLAIN, Closing, request

CONTENT = bytes(range(256)) * 800


class StreamTransport:
    """Where the output of one stream goes."""

    def __init__(self, wire: MultiplexedWire, stream: Stream) -> None:
        self.wire = wire
        self.stream = stream
        self.lost = False
        self.waits = False
        self.gone = ClientGone("the client left this stream")

    def transmit(self, output: Output, last: bool) -> None:
        assert isinstance(output, bytes)
        with self.wire.changed:
            if self.lost:
                raise self.gone
            self.wire.written += output
            while not last and self.stream.blocked and not self.lost:
                self.waits = True
                self.wire.changed.wait()
            self.waits = False
            if self.lost:
                raise self.gone

    def send_piece(self, data: bytes) -> None:
        self.transmit(self.stream.send_body(data, True), False)

    def take_kept(self) -> bytes:
        return b""

    def release(self) -> None:
        """Nothing is held here."""

    def send_file(self, fd: int, offset: int, count: int) -> None:
        raise AssertionError("raw bytes between frames")


class StreamClient(StreamTransport):
    """The client of one stream, as the service sees it."""

    trust = None
    collected = None
    given_up = False
    unsent = 0
    sends_file = False
    upgraded = None

    def __init__(self, wire: MultiplexedWire, stream: Stream) -> None:
        super().__init__(wire, stream)
        self.http: ServerExchange = stream
        self.client = "192.0.2.9"
        self.environ: dict[str, Any] = {"REMOTE_ADDR": self.client, "SCRIPT_NAME": ""}
        self.last_head: RequestHead | None = None
        self.last_environ = self.environ
        self.at_end: Callable[[], None] | None = None

    @property
    def failure(self) -> ClientGone | RequestError | None:
        return self.gone if self.lost else None

    def socket_for_upgrade(self) -> None:
        """Return nothing: one stream of many has no socket."""

    def abort(self) -> None:
        with self.wire.changed:
            self.wire.written += self.stream.reset()

    def drop_output(self) -> None:
        raise AssertionError("no other thread answers")

    def forget_collected(self) -> None:
        """No body is gathered here."""

    def mark_given_up(self, why: str) -> None:
        raise AssertionError("no other thread answers")

    def give_up(self, answer: bytes, *, reset: bool) -> None:
        raise AssertionError("no other thread answers")


class Call:
    """One stream served by a thread of its own."""

    def __init__(self, wire: MultiplexedWire, number: int, app: Any, raw: bytes, window: int):
        self.stream = Stream(number, head_of(raw), window)
        self.transport = StreamTransport(wire, self.stream)
        self.failure: BaseException | None = None
        self._app = app
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        exchange = Exchange(self.stream, self.transport)
        environ = {"PATH_INFO": self.stream.head.target.decode(), "hints": exchange}
        try:
            exchange.send(self._app(environ, exchange.start_response))
        except BaseException as error:
            self.failure = error

    def wait_until_blocked(self) -> None:
        eventually(lambda: self.transport.waits, "it waits for its window")

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


class MultiplexedWire:
    """One client with many streams."""

    def __init__(self) -> None:
        self.written = b""
        self.changed = threading.Condition()
        self.calls: dict[int, Call] = {}

    def ask(self, number: int, app: Any, raw: bytes | None = None, window: int = 14) -> Call:
        call = Call(self, number, app, raw or request(), window)
        self.calls[number] = call
        return call

    def enlarge(self, number: int, count: int) -> None:
        """The client of a stream takes `count` bytes more."""
        with self.changed:
            self.written += self.calls[number].stream.enlarge(count)
            self.changed.notify_all()

    def lose(self, number: int) -> None:
        """The client wants nothing more of a stream."""
        with self.changed:
            self.calls[number].transport.lost = True
            self.changed.notify_all()

    @property
    def frames(self) -> list[Frame]:
        with self.changed:
            return frames(self.written)


def app_of(result: Any, *headers: tuple[str, str]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, *headers])
        return result

    return app


PIECES = [b"0123456789", b"", b"abcdefghij", b"XYZ"]


def test_two_streams_interleave_and_each_waits_for_its_own_window() -> None:
    wire = MultiplexedWire()
    first = wire.ask(1, app_of(iter(PIECES)))
    first.wait_until_blocked()
    second = wire.ask(3, app_of(iter(PIECES)))
    second.wait_until_blocked()
    assert kinds(wire.frames) == "H1 D1 D1 H3 D3 D3"
    wire.enlarge(3, 9)
    second.join()
    assert first.transport.waits, "only the other one goes on"
    assert kinds(wire.frames, 1) == "H D D"
    wire.enlarge(1, 9)
    first.join()
    assert kinds(wire.frames) == "H1 D1 D1 H3 D3 D3 D3 D3 E3 D1 D1 E1"
    assert data(wire.frames, 1) == data(wire.frames, 3) == b"".join(PIECES)
    assert first.failure is second.failure is None


@pytest.mark.parametrize("result", [[b"x" * 20], [b"x" * 9, b"x" * 11]])
def test_nobody_waits_for_the_last_piece(result: list[bytes]) -> None:
    wire = MultiplexedWire()
    call = wire.ask(1, app_of(result))
    call.join()
    assert kinds(wire.frames) == "H1 D1"
    wire.enlarge(1, 6)
    assert kinds(wire.frames) == "H1 D1 D1 E1"
    assert data(wire.frames, 1) == b"x" * 20
    assert call.stream.over


def test_a_client_that_leaves_one_stream_does_not_disturb_the_other() -> None:
    wire = MultiplexedWire()
    pieces = Closing(PIECES)
    first = wire.ask(1, app_of(pieces))
    first.wait_until_blocked()
    second = wire.ask(3, app_of(iter(PIECES)))
    second.wait_until_blocked()
    wire.lose(1)
    first.join()
    assert isinstance(first.failure, ClientGone)
    assert pieces.closed == 1
    wire.enlarge(3, 100)
    second.join()
    assert second.failure is None
    assert data(wire.frames, 3) == b"".join(PIECES)


def test_early_hints_and_the_write_callable() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["hints"]([("Link", "</a>; rel=preload")])
        write = start_response("200 OK", [PLAIN])
        write(b"before ")
        with pytest.raises(ResponseError, match="before the final one"):
            environ["hints"]([])
        return [b"behind"]

    wire = MultiplexedWire()
    call = wire.ask(1, app)
    call.join()
    assert call.failure is None
    assert wire.frames == [
        ("I", 1, b"103\nLink: </a>; rel=preload\n"),
        ("H", 1, b"200\nContent-Type: text/plain\n"),
        ("D", 1, b"before "),
        ("D", 1, b"behind"),
        ("E", 1, b""),
    ]


def serve(wire: MultiplexedWire, number: int, app: Any, answers: KeptAnswers) -> StreamClient:
    """Serve one stream by the service of a worker, in this thread."""
    stream = Stream(number, head_of(request("GET", f"/{number}")), window=100)
    client = StreamClient(wire, stream)
    service = Service(app, "", answers)
    service.call(client, stream.head, service.environ(client, stream.head))
    return client


def test_the_service_serves_streams(caplog: pytest.LogCaptureFixture) -> None:
    wire, answers = MultiplexedWire(), KeptAnswers()

    def fails(environ: dict[str, Any], start_response: Any) -> Any:
        raise ValueError(environ["PATH_INFO"])

    def fails_behind_a_piece(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"piece"
        raise ValueError(environ["PATH_INFO"])

    serve(wire, 1, app_of([b"hello"]), answers)
    serve(wire, 3, fails, answers)
    serve(wire, 5, fails_behind_a_piece, answers)
    assert kinds(wire.frames) == "H1 D1 E1 H3 D3 E3 H5 D5"
    assert data(wire.frames, 1) == b"hello"
    assert data(wire.frames, 3) == b"Internal Server Error\n"
    assert [(line.target, line.status, line.bytes_sent) for line in answers.kept] == [
        (b"/1", 200, 5),
        (b"/3", 500, 22),
        (b"/5", 200, 5),
    ]
    assert caplog.text.count("ValueError: /3") == caplog.text.count("ValueError: /5") == 1


def test_the_service_meets_a_client_that_leaves_its_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire, answers = MultiplexedWire(), KeptAnswers()
    clients: list[StreamClient] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        clients[0].lost = True
        start_response("200 OK", [PLAIN])
        return [b"nobody reads this"]

    stream = Stream(1, head_of(request()))
    clients.append(StreamClient(wire, stream))
    Service(app, "", answers).call(clients[0], stream.head, {})
    assert wire.frames == [("R", 1, b"")]
    assert "Traceback" not in caplog.text
    assert len(answers.kept) == 1


# ------------------------------------------------------------------------------------- files


@pytest.fixture
def file() -> Iterator[Any]:
    with tempfile.TemporaryFile() as made:
        made.write(CONTENT)
        made.flush()
        made.seek(0)
        yield made


@pytest.fixture(autouse=True)
def no_sendfile(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> int:
        raise AssertionError("raw bytes between frames")

    monkeypatch.setattr(os, "sendfile", never)


def test_a_file_arrives_in_frames_among_those_of_another_stream(file: Any) -> None:
    wire = MultiplexedWire()
    first = wire.ask(1, app_of(FileWrapper(file)), window=1000)
    first.wait_until_blocked()
    second = wire.ask(3, app_of(iter(PIECES)))
    second.wait_until_blocked()
    assert data(wire.frames, 1) == CONTENT[:1000]
    wire.enlarge(3, 100)
    second.join()
    wire.enlarge(1, 1 << 20)
    first.join()
    assert first.failure is None
    assert data(wire.frames, 1) == CONTENT
    assert data(wire.frames, 3) == b"".join(PIECES)
    assert kinds(wire.frames, 1).endswith("D E")
    assert first.stream.bytes_sent == len(CONTENT)
    assert file.closed, "the wrapper's close() is the file's"


@pytest.mark.parametrize(("method", "length"), [("GET", 70_000), ("HEAD", 0)])
def test_no_more_of_a_file_is_read_than_is_sent(file: Any, method: str, length: int) -> None:
    wire = MultiplexedWire()
    copy = os.dup(file.fileno())  # the wrapper's close() is the file's
    headers = [("Content-Length", str(length))] if length else []
    call = wire.ask(1, app_of(FileWrapper(file), *headers), request(method), window=1 << 20)
    call.join()
    assert call.failure is None
    assert data(wire.frames, 1) == CONTENT[:length]
    assert length <= os.lseek(copy, 0, os.SEEK_CUR) <= length + (1 << 16)
    os.close(copy)
