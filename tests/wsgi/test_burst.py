"""Pieces of an answer in a burst: few sends, in order, none lost; late ones by another thread.

What is a burst does not depend on the machine here: it is all that comes, or nothing.
"""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.errors import RequestError
from bare_serve.wsgi import burst as burst_module
from bare_serve.wsgi import connection as connection_module
from bare_serve.wsgi.burst import MOST_KEPT, SMALL, Burst
from bare_serve.wsgi.service import Service
from tests.wsgi.fakes import PLAIN, request
from tests.wsgi.pairs import Pair, Reader, pair

PIECES = [b"%03d" % number * 100 for number in range(100)]
WHOLE = b"".join(PIECES)
Errands = list[Callable[[], None]]

LATE = RequestError(504, "The application did not answer in time.")


class Sending:
    """A socket that counts."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sends = 0

    def send(self, data: bytes) -> int:
        self.sends += 1
        return self.sock.send(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Waits:
    """What a worker with a monitor gives to its connections; the test is the monitor."""

    def __init__(self) -> None:
        self.errands: Errands = []
        self.later = self.errands.append

    def look(self) -> None:
        while self.errands:
            self.errands.pop()()

    def begins(self, connection: object) -> None:
        """Not counted here."""

    def goes_on(self) -> float:
        return 1.0

    def ends(self, connection: object) -> None:
        """Not counted here."""


@pytest.fixture(autouse=True)
def all_is_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (burst_module, connection_module):
        monkeypatch.setattr(module, "BURST_SECONDS", math.inf)


@pytest.fixture
def both() -> Iterator[tuple[Pair, Waits]]:
    with pair() as made:
        made.connection.client_waits = waits = Waits()  # type: ignore[assignment]
        made.connection.sock = Sending(made.connection.sock)  # type: ignore[assignment]
        yield made, waits


def sends(both: Pair) -> int:
    sock: Any = both.connection.sock
    return int(sock.sends)


def finish_slowly(both: Pair) -> None:
    """As the loop does while a client reads."""
    connection = both.connection
    connection.release()
    while connection.unsent:
        connection.flush()
    connection.close()


def body_of(output: bytes) -> bytes:
    head, _, rest = output.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return rest
    body = b""
    while not rest.startswith(b"0\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        assert rest[int(size, 16) :][:2] == b"\r\n"
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    assert rest == b"0\r\n\r\n"
    return body


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("way", ["generator", "write"])
def test_a_burst_takes_few_sends(
    both: tuple[Pair, Waits], minor: int, length: bool, way: str
) -> None:
    headers = [PLAIN, *([("Content-Length", str(len(WHOLE)))] if length else [])]

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", headers)
        if way == "generator":
            return iter(PIECES)
        for piece in PIECES[:-1]:
            write(piece)
        return [PIECES[-1]]

    served, _ = both
    served.serve(app, request(minor=minor))
    assert body_of(served.finish()) == WHOLE
    assert sends(served) == 2  # the first piece, and all others with the end
    assert served.answers.kept[0].bytes_sent == len(WHOLE)


def test_what_is_kept_is_bounded_and_large_pieces_are_not(both: tuple[Pair, Waits]) -> None:
    served, _ = both
    pieces = [b"a" * 1000] * 200 + [b"b" * SMALL, b"c" * 100, b"d" * (1 << 18), b"e" * 10]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return iter(pieces)

    reader = Reader(served.client)
    served.serve(app, request())
    finish_slowly(served)
    reader.join(10)
    assert body_of(bytes(reader.received)) == b"".join(pieces)
    assert sends(served) >= 200_000 // (MOST_KEPT + SMALL)


def test_another_thread_sends_what_lies_there(both: tuple[Pair, Waits]) -> None:
    served, waits = both
    seen = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"one"
        served.client.recv(1 << 16)
        yield b"two"
        yield b"three"
        seen.append(select.select([served.client], [], [], 0)[0])
        waits.look()
        seen.append(served.client.recv(1 << 16))
        yield b"four"  # the burst is over
        seen.append(served.client.recv(1 << 16))

    served.serve(app, request())
    assert seen == [[], b"8\r\ntwothree\r\n", b"4\r\nfour\r\n"]
    assert served.finish() == b"0\r\n\r\n"
    waits.look()  # late: nothing is left to send


@pytest.mark.parametrize("minor", [0, 1])
def test_what_is_kept_leaves_before_an_exception_shows(
    both: tuple[Pair, Waits], minor: int, caplog: pytest.LogCaptureFixture
) -> None:
    served, waits = both

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"one"
        yield b"two"
        raise ValueError("in the middle")

    served.serve(app, request(minor=minor))
    assert "in the middle" in caplog.text
    assert served.connection.aborted is (minor == 0)
    received = served.client.recv(1 << 16)
    assert received.endswith(b"two\r\n" if minor else b"onetwo")
    waits.look()
    assert served.finish() == b""
    assert served.answers.kept[0].bytes_sent == 6


def test_a_client_that_leaves_in_the_middle(
    both: tuple[Pair, Waits], caplog: pytest.LogCaptureFixture
) -> None:
    served, waits = both
    made = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"one"
        served.client.close()
        for number in range(10_000):
            made.append(number)
            waits.look()  # meets the end first, and says nothing
            yield b"more"

    served.serve(app, request())
    assert len(made) < 10
    assert served.connection.aborted
    assert not caplog.records


def test_a_slow_reader_gets_all(both: tuple[Pair, Waits]) -> None:
    """The other thread has sent a part, the rest waits for the client, and order holds."""
    served, waits = both
    served.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pieces = [b"%07d" % number * 1000 for number in range(300)]
    readers = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        for number, piece in enumerate(pieces):
            if not number % 5:
                waits.look()
            if served.connection.unsent and not readers:
                readers.append(Reader(served.client))
            yield piece

    served.serve(app, request())
    finish_slowly(served)
    readers[0].join(10)
    assert body_of(bytes(readers[0].received)) == b"".join(pieces)


def test_head_gets_no_body(both: tuple[Pair, Waits]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return iter(PIECES)

    served, _ = both
    served.serve(app, request("HEAD"))
    assert served.finish().endswith(b"\r\n\r\n")
    assert served.answers.kept[0].bytes_sent == 0


def test_a_body_that_is_too_long_is_cut(both: tuple[Pair, Waits]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", "7")])
        return iter([b"one", b"two", b"three"])

    served, _ = both
    served.serve(app, request())
    assert body_of(served.finish()) == b"onetwot"


def test_a_write_behind_the_end_is_refused(both: tuple[Pair, Waits]) -> None:
    writes = []

    def app(environ: Any, start_response: Any) -> Any:
        writes.append(start_response("200 OK", [PLAIN]))
        return iter([b"one", b"two"])

    served, waits = both
    served.serve(app, request())
    with pytest.raises(ValueError, match="complete"):
        writes[0](b"more")
    waits.look()
    assert body_of(served.finish()) == b"onetwo"


def test_without_another_thread_each_piece_is_sent(both: tuple[Pair, Waits]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return iter(PIECES)

    served, waits = both
    waits.later = None  # type: ignore[assignment]
    served.serve(app, request())
    assert body_of(served.finish()) == WHOLE
    assert sends(served) == len(PIECES) + 1


def test_an_answer_that_was_given_up_sends_nothing_more(both: tuple[Pair, Waits]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"one"
        yield b"two"
        head = served.connection.http.head
        assert head is not None
        Service(app, "", None).give_up(served.connection, head, LATE, "it is late")
        waits.look()
        yield b"three"

    served, waits = both
    served.serve(app, request())
    assert served.finish().endswith(b"3\r\none\r\n")


def test_a_piece_that_is_added_while_another_thread_sends_is_not_lost() -> None:
    """The moment between the look for pieces and the end of the send."""
    sent: list[bytes] = []

    def emit(data: bytes) -> None:
        sent.append(data)
        assert not burst.add(b"c")  # over: whoever adds has to take it

    burst = Burst(emit, b"a", 0.0)
    assert burst.add(b"b")
    burst.send()
    assert sent == [b"ab"]
    assert burst.take() == b"c"
    burst.send()
    assert sent == [b"ab"]
